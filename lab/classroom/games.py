"""A round of Be the cook that a whole class plays. No Streamlit.

The instructor begins and ends it. Whoever finishes the round sends its moves; the lab plays them itself and keeps what
comes of them, so no page can claim a score. A learner has one point: the latest round, unless an earlier one beats it.
What is needed to draw the class's points is in the file, so nothing is lost if the lab restarts.
"""

import sqlite3
import time
from collections.abc import Sequence

import msgspec

from lab.classroom.store import Refusal, RoomFile, known
from lab.play.game import play
from lab.play.pace import Pace, from_text
from lab.play.puzzle import Puzzle, puzzle
from lab.play.score import Score, score

LASTS_S = 120.0  # what the clock shows at first; it ends nothing by itself
OVER = "The class's round is over, so this one is not counted."


class ClassGame(msgspec.Struct, frozen=True):
    """`best`: what a search has found, by TTFT; the instructor ends the game with it. `names`: whether the wall shows
    those that learners offer."""

    puzzle: Puzzle
    best: tuple[Score, ...] = ()
    names: bool = False

    @property
    def on(self) -> bool:
        """Whether rounds count."""
        return not self.best


class Point(msgspec.Struct, frozen=True):
    """What a learner has reached, and how. `nickname`: only if its learner offers it; "" otherwise."""

    moves: tuple[str, ...]
    score: Score
    nickname: str = ""


class Games:
    """At most one for each class: the next one takes the place of the last."""

    def __init__(self, file: RoomFile) -> None:
        self._file = file

    # ---- what anybody may see

    def of(self, code: str) -> ClassGame | None:
        """The class's game, whether it is on, over or set aside for a question."""
        kept: ClassGame | None = self._file.read(("game", code), lambda db: _game_in(db, code))
        return kept

    def points(self, code: str) -> dict[str, Point]:
        """By learner, which is for no page to show."""
        query = (
            "SELECT p.learner, p.moves, p.score, IIF(p.named AND m.here, m.nickname, '') FROM plays AS p "
            "JOIN members AS m ON m.room = p.room AND m.learner = p.learner WHERE p.room = ? ORDER BY p.rowid"
        )
        kept: dict[str, Point] = self._file.read(
            ("points", code),
            lambda db: {
                learner: Point(tuple(moves.split()), msgspec.json.decode(reached, type=Score), nickname)
                for learner, moves, reached, nickname in db.execute(query, (code,))
            },
        )
        return kept

    def paces(self) -> list[Pace]:
        """Those of all games, which the lab has to know for as long as somebody plays them."""
        rows = self._file.read(("paces",), lambda db: db.execute("SELECT pace FROM games").fetchall())
        return [from_text(pace) for (pace,) in rows]

    # ---- what learners do

    def finish(self, code: str, learner: str, moves: Sequence[str]) -> None:
        """Play the moves, and keep what comes of them. Raises Refusal, or BadInput for moves that cannot be made."""
        game = self.of(code)
        if game is None or not game.on:
            raise Refusal(OVER)
        played = play(game.puzzle, moves)
        if not played.over:
            raise Refusal("This round is not at its end, so it is not counted yet.")
        reached = score(played.events)
        with self._file.act() as db:
            if known(db, code).pace != "play" or _game_in(db, code) != game:
                raise Refusal(OVER)
            at = "WHERE room = ? AND learner = ?"
            before = db.execute(f"SELECT score FROM plays {at}", (code, learner)).fetchone()
            if before and msgspec.json.decode(before[0], type=Score).beats(reached):
                return
            row = (code, learner, " ".join(moves), msgspec.json.encode(reached).decode())
            db.execute(
                "INSERT INTO plays (room, learner, moves, score) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET moves = excluded.moves, score = excluded.score",
                row,
            )

    def sign(self, code: str, learner: str, *, named: bool) -> None:
        """Offer one's nickname to stand beside one's point on the wall, or take it back."""
        with self._file.act() as db:
            db.execute("UPDATE plays SET named = ? WHERE room = ? AND learner = ?", (named, code, learner))

    # ---- what the instructor does

    def begin(self, code: str, by: str, given: Puzzle) -> None:
        """Take everybody to this round, with a clock to see."""
        with self._file.act(by) as db:
            known(db, code)
            db.execute("DELETE FROM plays WHERE room = ?", (code,))
            row = (code, given.level.number, given.seed, given.pace.as_text())
            db.execute("INSERT OR REPLACE INTO games (room, level, seed, pace) VALUES (?, ?, ?, ?)", row)
            db.execute("UPDATE rooms SET pace = 'play', timer_s = ? WHERE code = ?", (time.time() + LASTS_S, code))

    def end(self, code: str, by: str, best: Sequence[Score]) -> None:
        """No round counts any more, and everybody sees the class's points and the best that was found."""
        with self._file.act(by) as db:
            if _game_in(db, code) is None:
                raise Refusal("The class has no round to end.")
            found = msgspec.json.encode(best).decode()
            db.execute("UPDATE games SET best = ? WHERE room = ? AND best = ''", (found, code))
            db.execute("UPDATE rooms SET timer_s = 0 WHERE code = ?", (code,))

    def show_names(self, code: str, by: str, *, shown: bool) -> None:
        """Whether the wall has the names that learners offer."""
        with self._file.act(by) as db:
            db.execute("UPDATE games SET names = ? WHERE room = ?", (shown, code))

    def show(self, code: str, by: str) -> None:
        """Bring all back to the game, which was set aside for a question or for free roam."""
        with self._file.act(by) as db:
            if _game_in(db, code) is None:
                raise Refusal("The class has played no round yet.")
            db.execute("UPDATE rooms SET pace = 'play', timer_s = 0 WHERE code = ?", (code,))


def _game_in(db: sqlite3.Connection, code: str) -> ClassGame | None:
    query = "SELECT level, seed, pace, best, names FROM games WHERE room = ?"
    row = db.execute(query, (code,)).fetchone()
    if row is None:
        return None
    level, seed, pace, best, names = row
    found = msgspec.json.decode(best, type=tuple[Score, ...]) if best else ()
    return ClassGame(puzzle(level, seed, from_text(pace)), found, bool(names))

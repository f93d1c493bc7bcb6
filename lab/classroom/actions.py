"""What people do in a class: join, vote, ask, show. No Streamlit.

For each question, everybody votes alone; the instructor may show the counts, open a second vote after a discussion, has
the engine run once for all, and shows the answer. Each step closes the one before it, and none can be undone: a vote
cast after seeing something would mean something else. The instructor's actions say who acts (`by`), and all rules hold
here, whatever a page offers.
"""

import secrets
import sqlite3
import time

import msgspec

from lab.classroom.records import ClassRecords
from lab.classroom.store import TABLES, ClassQuestion, Pace, Refusal, Room, checked_nickname, known, room_in
from lessons.book import Guess, checked, now
from lessons.evidence import Made
from lessons.keys import Key
from lessons.lesson import Round

ALPHABET = "ACDEFHJKMNPQRTUVWXY34679"  # no letters that look alike
CODE_CHARS = 5
MOST_SEED = 999_999
# Of what is read (lab/classroom/records.py). What is shown is not changed by a vote: it is of one that is closed.
A_VOTE_CHANGES = ("room", "own", "voters", "ballots")
A_STEP_CHANGES = ("room", "own", "shown", "ballots", "settings")


class ClassActions(ClassRecords):
    """All actions on the rooms in a file, and what is read there."""

    # ---- what learners do

    def join(self, code: str, learner: str, nickname: str = "") -> Room:
        """Join or rejoin, at any time; leaves the class that the learner was in before."""
        name = checked_nickname(nickname)
        with self._file.act() as db:
            if room_in(db, code) is None:
                raise Refusal(f"There is no class with the code {code!r}. Please check it.")
            db.execute("UPDATE members SET here = 0 WHERE learner = ?", (learner,))
            db.execute("DELETE FROM offers WHERE learner = ? AND room != ?", (learner, code))
            db.execute(
                "INSERT INTO members SELECT ?, ?, 1 + COUNT(*), ?, 1 FROM members WHERE room = ? "
                "ON CONFLICT DO UPDATE SET here = 1, nickname = CASE excluded.nickname WHEN '' THEN nickname "
                "ELSE excluded.nickname END",
                (code, learner, name, code),
            )
            return known(db, code)

    def leave(self, learner: str) -> None:
        """Votes stay; offers are withdrawn."""
        with self._file.act() as db:
            db.execute("DELETE FROM offers WHERE learner = ?", (learner,))
            db.execute("UPDATE members SET here = 0 WHERE learner = ?", (learner,))

    def cast(self, code: str, learner: str, asked: ClassQuestion, round: Round, guess: Guess) -> None:
        """Vote on `asked`, the question as the learner saw it. Raises Refusal, or BadInput for an invalid guess."""
        checked(round, guess)
        with self._file.act(changes=A_VOTE_CHANGES) as db:
            room = known(db, code)
            at = room.question
            if not db.execute("SELECT 1 FROM members WHERE room = ? AND learner = ?", (code, learner)).fetchone():
                raise Refusal("Only those who have joined this class can vote in it.")
            if at is None or (at.lesson, at.round) != (asked.lesson, asked.round):
                raise Refusal("The class has gone on to another question.")
            if at.vote != asked.vote:
                raise Refusal("The first vote is over; the second is on.")
            if not at.open:
                raise Refusal(
                    "This vote is closed: it ended when the counts or the answer were shown or the run began."
                )
            try:
                db.execute(
                    "INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (code, at.lesson, at.round, at.vote, learner, msgspec.json.encode(guess).decode(), now()),
                )
            except sqlite3.IntegrityError as voted:
                raise Refusal("You have voted on this already, and a vote can't be changed.") from voted

    # ---- what the instructor does

    def open(self, by: str) -> Room:
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_CHARS))
        with self._file.act(by) as db:
            db.execute("INSERT INTO rooms (code, opened, pace) VALUES (?, ?, 'free')", (code, now()))
            return known(db, code)

    def ask(self, code: str, by: str, lesson: str, round: str, setting: float = 0.0) -> None:
        """Take everybody to that question. A question that was asked before is as it was left."""
        with self._file.act(by, changes=A_STEP_CHANGES) as db:
            known(db, code)
            db.execute(
                "INSERT OR IGNORE INTO questions (room, lesson, round, setting) VALUES (?, ?, ?, ?)",
                (code, lesson, round, setting),
            )
            db.execute(
                "UPDATE rooms SET lesson = ?, round = ?, pace = 'step', timer_s = 0 WHERE code = ?",
                (lesson, round, code),
            )

    def set_pace(self, code: str, by: str, pace: Pace) -> None:
        with self._file.act(by, changes=A_STEP_CHANGES) as db:
            if pace == "step" and known(db, code).question is None:
                raise Refusal("Ask a question first; then everybody can be taken to it.")
            db.execute("UPDATE rooms SET pace = ?, timer_s = 0 WHERE code = ?", (pace, code))

    def set_timer(self, code: str, by: str, seconds: float) -> None:
        """Show everybody a timer; it closes nothing by itself. 0 removes it, and so does each next step."""
        if not 0 <= seconds <= 3600:
            raise Refusal("A timer runs for at most an hour.")
        with self._file.act(by, changes=("room",)) as db:
            db.execute("UPDATE rooms SET timer_s = ? WHERE code = ?", (seconds and time.time() + seconds, code))

    def show_counts(self, code: str, by: str) -> None:
        """Show the counts of the current or last vote, which closes it."""
        self._question(code, by, "counts = vote")

    def vote_again(self, code: str, by: str) -> None:
        """Open the second vote. What it is compared with has to be on the table: the counts of the first."""
        why = "The second vote can't be opened: something has been shown."
        self._question(code, by, "vote = 2", once_run=why, counted="Show the counts of the first vote first.")

    def run(self, code: str, by: str, seed: int = 0) -> None:
        """Close the vote and let the engine run for all, with `seed` and, for the repeats, the seeds after it."""
        if not (isinstance(seed, int) and 0 <= seed <= MOST_SEED):
            raise Refusal(f"The seed is {seed}; it must be a whole number from 0 to {MOST_SEED:,}.")
        self._question(
            code, by, "running = 1, seed = ?", (seed,), once_run="The run has begun, and its seed can't be changed."
        )

    def show_answer(self, code: str, by: str, key: Key, machine: str, made: Made | None = None) -> None:
        """Show the answer. The first one shown stays."""
        first = "answer = COALESCE(answer, ?1), machine = IIF(answer IS NULL, ?2, machine)"
        change = f"counts = vote, running = 1, {first}, made = IIF(answer IS NULL, ?3, made)"
        self._question(code, by, change, (_json(key), machine, _json(made) if made else ""))

    def reset(self, code: str, by: str) -> None:
        """Delete all votes, questions, offers and rounds of the game; members stay."""
        with self._file.act(by) as db:
            known(db, code)
            for table in ("plays", "games", "offers", "votes", "questions"):
                db.execute(f"DELETE FROM {table} WHERE room = ?", (code,))
            db.execute("UPDATE rooms SET lesson = '', round = '', pace = 'free', timer_s = 0 WHERE code = ?", (code,))

    def delete(self, code: str, by: str) -> None:
        """Delete the room and everything in it."""
        with self._file.act(by) as db:
            for table in TABLES:
                db.execute(f"DELETE FROM {table} WHERE room = ?", (code,))
            db.execute("DELETE FROM rooms WHERE code = ?", (code,))

    def remove(self, code: str, by: str, number: int) -> None:
        """Take a member out of the class, with what they offer. Their votes stay; with the code they can join again."""
        with self._file.act(by) as db:
            who = "learner IN (SELECT learner FROM members WHERE room = ?1 AND number = ?2)"
            db.execute(f"DELETE FROM offers WHERE room = ?1 AND {who}", (code, number))
            db.execute("UPDATE members SET here = 0 WHERE room = ?1 AND number = ?2", (code, number))

    # ---- inside

    def _question(
        self,
        code: str,
        by: str,
        change: str,
        values: tuple[str | int, ...] = (),
        *,
        once_run: str = "",
        counted: str = "",
    ) -> None:
        """Change the room's question, and end its timer: that was for the step before. Why not after the run or the
        answer (`once_run`), and why not before any counts are shown (`counted`); "" if it may be changed then."""
        with self._file.act(by, changes=A_STEP_CHANGES) as db:
            asked = known(db, code).question
            if asked is None:
                raise Refusal("No question has been asked yet.")
            if once_run and (asked.running or asked.answer is not None):
                raise Refusal(once_run)
            if counted and not asked.counts:
                raise Refusal(counted)
            where = "WHERE room = ? AND lesson = ? AND round = ?"  # its parameters follow those of the change
            db.execute(f"UPDATE questions SET {change} {where}", (*values, code, asked.lesson, asked.round))
            db.execute("UPDATE rooms SET timer_s = 0 WHERE code = ?", (code,))


def _json(said: Key | Made) -> str:
    return msgspec.json.encode(said).decode()

"""What a learner's page and the wall show while a class plays a round of the game, and after it. No Streamlit.

The round itself is played on the game's own page (lab/web/play_routes.py), which the learner's page links to.
"""

from html import escape
from urllib.parse import urlencode

from lab.classroom.cloud import cloud_html, says
from lab.classroom.games import ClassGame, Point
from lab.classroom.service import Classroom
from lab.classroom.store import Refusal, Room
from lab.course.round_html import folded
from lab.play.score import Score
from lab.play.standing import better_of, rivals_of
from lab.play.words import numbers, reached, verdict
from lab.scene.stall_words import COUNTS

DISCUSS = "Talk it over: who lies nearest to the line, and what did they do when the large order came in?"
WHICH = "Your latest round counts, unless an earlier one of yours beats it: better in one score, worse in neither."
STEPS = {True: "cook", False: "cooked"}  # whether the round is on; the game's page leaves when it is over
Parts = list[tuple[str, str]]


def game_of(classroom: Classroom, room: Room) -> ClassGame | None:
    """The game that the class is at; None while it is at something else."""
    return classroom.games.of(room.code) if room.pace == "play" else None


def learners_parts(classroom: Classroom, room: Room, game: ClassGame, learner: str) -> Parts:
    """From top to bottom."""
    points = classroom.games.points(room.code)
    mine = points.get(learner)
    level = game.puzzle.level
    if game.on:
        heading = f"Everybody is the cook, of the same {COUNTS[level.orders]} orders"
        address = escape(f"./play?{urlencode({'room': room.code})}")
        again = "Play it again" if mine else "Play the round"
        play = f'<p><a class="onward" href="{address}">{again}</a></p>'
        parts = [("play", play)]  # the game's page says what it is about; nobody is to read that twice
        own = f"{reached(mine.score)} {WHICH}" if mine else ""
    else:
        heading = "Where your class's rounds lie"
        parts = [
            ("cloud", _cloud(game, points, mine)),
            ("does", folded("What was played", f"<p>{escape(level.does)}</p>")),
        ]
        own = _stands(mine.score, game) if mine else "You have finished no round of this one."
    said = f'<p class="own">{escape(own)}{_again(room.code, game, mine)}</p>' if own else ""
    nickname = classroom.actions.nickname(room.code, learner)
    sign = _sign(nickname, offered=bool(mine.nickname)) if mine and nickname else ""
    shown = [
        ("heading", f'<h1 tabindex="-1" data-arrive>{escape(heading)}</h1>'),
        ("mine", said),
        *parts,
        ("sign", sign),
    ]
    return [(name, html) for name, html in shown if html]


def _cloud(game: ClassGame, points: dict[str, Point], mine: Point | None) -> str:
    others = [point for point in points.values() if point is not mine]
    return f"<p>{escape(says(game, points.values()))}</p>" + cloud_html(game, others, mine.score if mine else None)


def _stands(mine: Score, game: ClassGame) -> str:
    better = better_of(game.best, mine)
    rivals = rivals_of(game.puzzle)
    return f"{verdict(mine, rivals, better, searched=True)} {numbers(mine, rivals)}"


def _again(code: str, game: ClassGame, mine: Point | None) -> str:
    """The round to look at once more: while the class plays, for the move that decided; then by itself, where the best
    that was found can be watched beside it."""
    if game.on:
        if mine is None:
            return ""
        address = f"./play?{urlencode({'room': code, 'moves': '.'.join(mine.moves)})}"
        return f'<br><a href="{escape(address)}">See which move decided it, and go on from there</a>'
    round_ = {"level": game.puzzle.level.number, "seed": game.puzzle.seed, "pace": game.puzzle.pace.name}
    address = f"./play?{urlencode(round_ | ({'moves': '.'.join(mine.moves)} if mine else {}))}"
    does = "Look at your round once more: which move decided it, and the best that was found" if mine else "Play it now"
    return f'<br><a href="{escape(address)}">{does}</a>'


def _sign(nickname: str, *, offered: bool) -> str:
    act, does = ("unsign", "Take my name back") if offered else ("sign", f"Offer my nickname, {nickname}")
    says_ = "Your nickname may stand beside your point." if offered else "Points have no names on the projector."
    return f'<p>{says_} <button type="button" data-act="{act}">{escape(does)}</button></p>'


def wall_parts(classroom: Classroom, room: Room, game: ClassGame) -> Parts:
    """From top to bottom. The best that was found is not drawn before the end: a class looks for its own."""
    points = list(classroom.games.points(room.code).values())
    level = game.puzzle.level
    heading = f"Be the cook: the same {COUNTS[level.orders]} orders for all" if game.on else "Where your rounds lie"
    return [
        ("heading", f"<h1>{escape(heading)}</h1>"),
        ("says", f"<p>{escape(says(game, points))}</p>"),
        ("cloud", cloud_html(game, points, names=game.names)),
        *([] if game.on else [("discuss", f"<p><strong>{DISCUSS}</strong></p>")]),
        ("pace", f"<p><small>{escape(f'{level.title}. {game.puzzle.pace.says}')}</small></p>"),
    ]


# ---- what a learner does


def finish(classroom: Classroom, learner: str, moves: tuple[str, ...]) -> None:
    """Raises Refusal, or BadInput for moves that cannot be made."""
    classroom.games.finish(_room(classroom, learner).code, learner, moves)


def sign(classroom: Classroom, learner: str, *, named: bool) -> None:
    """Offer the nickname, or take it back. Raises Refusal."""
    classroom.games.sign(_room(classroom, learner).code, learner, named=named)


def _room(classroom: Classroom, learner: str) -> Room:
    room = classroom.actions.room_of(learner)
    if room is None:
        raise Refusal("You are in no class any more. Join it again with its code.")
    return room

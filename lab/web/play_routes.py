"""The page on which a learner is the cook. It sends a round's moves and is told where they lead; nothing is kept here.

Like a class's pages it is none of Streamlit's: a move is one small request, and its picture is there at once.
"""

import asyncio
from contextlib import nullcontext
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from engine.errors import BadInput
from lab.classroom.actions import CODE_CHARS
from lab.classroom.cook_page import game_of
from lab.classroom.games import ClassGame
from lab.play.answer import Answer, Asked, answer
from lab.play.card import card
from lab.play.game import MOST_MOVES, play
from lab.play.pace import RECORDED
from lab.play.puzzle import LEVELS, puzzle
from lab.scene.export_html import inert
from lab.ui.learner import name_of
from lab.web.class_routes import FRESH, address, bounded, introduced, shell
from lab.web.services import running
from lessons import lesson as lesson_of

MOST_BYTES = 16 * MOST_MOVES  # of what a page sends: moves such as "4:256p", and what they are moves of


# A class ends its rounds at the same moment. One search at a time: the first finds what the others ask for, and they
# wait here, not in the threads that answer everybody else.
_searching = asyncio.Semaphore(1)


class Said(msgspec.Struct, frozen=True):
    """The answer, or why there is none."""

    answer: Answer | None = None
    why: str = ""


def said(asked: Asked) -> Said:
    """What the page hears."""
    try:
        return Said(answer(asked, running().paces.of))
    except BadInput as wrong:
        return Said(why=str(wrong))


async def play_page(request: Request) -> Response:
    """A round as its address has it, from the first moment on."""
    paces = await asyncio.to_thread(running().paces.offered)
    usual = paces[0].name
    me, fresh = name_of(request, await introduced(request))
    room = request.query_params.get("room", "").upper()[:CODE_CHARS]
    member, game = await asyncio.to_thread(_class_of, me)
    if room and (room != member or game is None):  # whatever the class is at, its own page says
        return RedirectResponse(f"join?room={quote(room)}", 307, headers=FRESH)  # with the form, if there is one
    try:
        asked = _asked(request, usual)
        if room and game is not None:
            given = game.puzzle
            asked = Asked(given.level.number, given.seed, given.pace.name, asked.moves)
        first = await asyncio.to_thread(said, asked)
    except ValueError:
        asked, first = Asked(pace=usual), Said(why="The address names no round: level and seed must be whole numbers.")
    data = {
        "asked": msgspec.to_builtins(asked),
        "said": msgspec.to_builtins(first),
        "levels": [{"number": level.number, "title": level.title} for level in LEVELS],
        "paces": [{"name": pace.name, "title": pace.title} for pace in paces],
        "modules": {"kitchen": address("kitchen.js")},
        "room": room,
        "member": member,
        "me": me if fresh else "",
        "sees": "page",
        "lesson": _came_from(request),
    }
    styles = {"css": address("play.css"), "js": address("play.js")}
    return HTMLResponse(shell("play").substitute(data=inert(data), **styles), headers=FRESH)


def _class_of(learner: str) -> tuple[str, ClassGame | None]:
    """The code of this learner's class, and the round that it plays now; "" and None if there is none."""
    classroom = running().classroom
    room = classroom.actions.room_of(learner)
    game = game_of(classroom, room) if room else None
    return room.code if room else "", game if game and game.on else None


def _came_from(request: Request) -> dict[str, str]:
    """The lesson that a learner has come from, to go back to; nothing if there is none of that name."""
    lesson = lesson_of(request.query_params.get("from", ""))
    return {"slug": lesson.slug, "says": f"Back to lesson {lesson.number}"} if lesson else {}


def _asked(request: Request, pace: str) -> Asked:
    """The round in an address. Raises ValueError for what are no numbers."""
    query = request.query_params
    moves = tuple(move for move in query.get("moves", "").split(".") if move)
    return Asked(int(query.get("level", "1")), int(query.get("seed", "1")), query.get("pace", pace), moves)


async def card_of(request: Request) -> Response:
    """A round that is over, as a picture to keep."""
    try:
        async with _searching:
            drawn = await asyncio.to_thread(_card, _asked(request, RECORDED), f"{request.base_url}play")
    except (BadInput, ValueError) as wrong:
        return PlainTextResponse(str(wrong), 409, headers=FRESH)
    headers = {**FRESH, "Content-Disposition": 'attachment; filename="be-the-cook.svg"'}
    return Response(drawn, media_type="image/svg+xml", headers=headers)


def _card(asked: Asked, page: str) -> str:
    played = play(puzzle(asked.level, asked.seed, running().paces.of(asked.pace)), asked.moves)
    if not played.over:
        raise BadInput("moves", len(asked.moves), "those of a whole round")
    return card(played, f"{page}?level={asked.level}&seed={asked.seed}&pace={asked.pace}")


async def moved(request: Request) -> Response:
    """Where the moves lead."""
    body = await bounded(request, MOST_BYTES)
    if body is None:
        return Response(status_code=413)
    try:
        asked = msgspec.json.decode(body, type=Asked)
    except msgspec.DecodeError:
        return Response(status_code=400)
    async with _searching if asked.search or asked.watch else nullcontext():
        found = await asyncio.to_thread(said, asked)
    answered = await asyncio.to_thread(msgspec.json.encode, found)
    return Response(answered, 409 if found.why else 200, media_type="application/json", headers=FRESH)


PLAY_ROUTES = [
    Route("/play", play_page, methods=["GET", "POST"]),
    Route("/lab/play", moved, methods=["POST"]),
    Route("/lab/play/card", card_of),
]

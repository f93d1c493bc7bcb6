"""The light pages of a class: a page of some kilobytes, what a learner sends, and the modules that it draws with.

Streamlit has no part in them: a vote is one request with an answer, and what is to be seen comes over `/lab/class`.
"""

import asyncio
import gzip
import hashlib
from collections.abc import Callable
from functools import cache
from string import Template
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from engine.errors import BadInput
from lab.classroom import light
from lab.classroom.actions import CODE_CHARS
from lab.classroom.store import Refusal
from lab.classroom.tally import STYLE as TALLY
from lab.scene.bundle import SCENE
from lab.scene.export_html import inert
from lab.ui.assets import asset
from lab.ui.js_component import source
from lab.ui.learner import name_of
from lab.web.services import running
from lessons.book import Book

T = TypeVar("T")
MOST_BYTES = 4096  # of what a page sends: a reason of 400 characters in any script fits
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
FRESH = {"Cache-Control": "no-store"}


class Sent(msgspec.Struct):
    """`me`: who asks, from a page whose browser keeps no cookie."""

    me: str = ""
    room: str = ""
    code: str = ""
    nickname: str = ""
    vote: light.Vote | None = None


class Answer(msgspec.Struct):
    """The next page, and why the last act was refused, if it was."""

    page: light.Page
    why: str = ""  # why it was not done


# ---- modules, by the hash of their content


@cache
def modules() -> dict[str, tuple[bytes, str]]:
    """Name -> compressed content and its hash."""
    every = {
        "class.js": asset("class.js"),
        "number.js": source("number"),
        "curve.js": source("curve"),
        "kitchen.js": SCENE,
        "class.css": asset("class.css") + asset("chart.css") + TALLY,
        "play.js": asset("play.js"),
        "play.css": asset("play.css"),
    }
    return {
        name: (gzip.compress(text.encode(), 9, mtime=0), hashlib.sha256(text.encode()).hexdigest()[:16])
        for name, text in every.items()
    }


def address(name: str) -> str:
    """A module's address, below the lab's own; it changes with the content."""
    stem, _, kind = name.partition(".")
    return f"lab/static/{stem}.{modules()[name][1]}.{kind}"


async def module(request: Request) -> Response:
    """Every browser takes gzip; what does not is no browser."""
    stem, _, rest = request.path_params["name"].partition(".")
    found = modules().get(f"{stem}.{rest.rpartition('.')[2]}")
    if found is None or rest.partition(".")[0] != found[1]:
        return Response(status_code=404)
    kind = "text/css" if rest.endswith("css") else "text/javascript"
    return Response(found[0], media_type=kind, headers={**FOR_EVER, "Content-Encoding": "gzip"})


# ---- the page


async def learners_page(request: Request) -> Response:
    """The page that every learner of every class opens."""
    me, fresh = name_of(request)
    coming = request.query_params.get("room", "").upper()[:CODE_CHARS]
    page = await asyncio.to_thread(light.page_of, running().classroom, me, coming)
    data = {"page": msgspec.to_builtins(page), "me": me if fresh else "", "room": coming}
    data["modules"] = {name: address(f"{name}.js") for name in ("class", "number", "curve", "kitchen")}
    body = shell().substitute(data=inert(data), css=address("class.css"), js=address("class.js"))
    return HTMLResponse(body, headers=FRESH)


@cache
def shell() -> Template:
    """The page without its data."""
    return Template(asset("class.html"))


# ---- what it sends


def _act(do: Callable[[str, Sent, Book], object]) -> Callable[[Request], object]:
    async def answer(request: Request) -> Response:
        said = b""
        async for piece in request.stream():
            said += piece
            if len(said) > MOST_BYTES:
                return Response(status_code=413)
        try:
            sent = msgspec.json.decode(said, type=Sent)
        except msgspec.DecodeError:
            return Response(status_code=400)
        me, _ = name_of(request, sent.me)
        return await asyncio.to_thread(_done, do, me, sent)

    return answer


def _done(do: Callable[[str, Sent, Book], object], me: str, sent: Sent) -> Response:
    lab, why = running(), ""
    try:
        do(me, sent, lab.books.of(me))
    except (Refusal, BadInput) as wrong:
        why = str(wrong)
    page = light.page_of(lab.classroom, me, "" if why == "" else sent.room)
    answer = msgspec.json.encode(Answer(page, why))
    return Response(answer, 409 if why else 200, media_type="application/json", headers=FRESH)


def _join(me: str, sent: Sent, _: Book) -> None:
    running().classroom.actions.join(sent.code.strip().upper()[:CODE_CHARS], me, sent.nickname)


def _leave(me: str, _: Sent, __: Book) -> None:
    running().classroom.actions.leave(me)


def _vote(me: str, sent: Sent, book: Book) -> None:
    if sent.vote is None:
        raise Refusal("There is no vote in it.")
    light.vote(running().classroom, book, me, sent.vote)


def _take_back(me: str, _: Sent, __: Book) -> None:
    running().classroom.offers.take_back(me)


def _look(me: str, _: Sent, book: Book) -> None:
    light.settle(running().classroom, book, me)


CLASS_ROUTES = [
    Route("/join", learners_page),
    Route("/lab/static/{name}", module),
    *(
        Route(f"/lab/class/{name}", _act(do), methods=["POST"])
        for name, do in {
            "join": _join,
            "leave": _leave,
            "vote": _vote,
            "look": _look,
            "take_back": _take_back,
        }.items()
    ),
]

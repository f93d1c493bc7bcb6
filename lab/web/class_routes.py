"""The light pages of a class, the learners' and the wall: some kilobytes each, what a learner sends, and the modules
that they draw with.

Streamlit has no part in them: a vote is one request with an answer, and what is to be seen comes over `/lab/class`.
"""

import asyncio
from collections.abc import Callable
from functools import cache, lru_cache
from io import BytesIO
from string import Template
from typing import TypeVar
from urllib.parse import parse_qs

import msgspec
import segno
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from engine.errors import BadInput
from lab.classroom import cook_page, light
from lab.classroom.actions import CODE_CHARS
from lab.classroom.store import Refusal
from lab.classroom.tally import STYLE as TALLY
from lab.classroom.wall import wall_of
from lab.scene.bundle import SCENE
from lab.scene.export_html import inert
from lab.ui.assets import asset, kept_at
from lab.ui.js_component import source
from lab.ui.learner import name_of
from lab.web.guard import from_here
from lab.web.packed import FOR_EVER, packed
from lab.web.services import running
from lessons.book import Book

T = TypeVar("T")
MOST_ADDRESS = 300  # characters of a way in
MOST_FORM = 100  # bytes: a name
MOST_BYTES = 4096  # of what a page sends: a reason of 400 characters in any script fits
FRESH = {"Cache-Control": "no-store"}


class Sent(msgspec.Struct):
    """`me`: who asks, from a page whose browser keeps no cookie."""

    me: str = ""
    room: str = ""
    code: str = ""
    nickname: str = ""
    vote: light.Vote | None = None
    moves: tuple[str, ...] = ()


class Answer(msgspec.Struct):
    """The next page, and why the last act was refused, if it was."""

    page: light.Page
    why: str = ""  # why it was not done


# ---- modules, by the hash of their content


@cache
def modules() -> dict[str, tuple[bytes, str]]:
    """Name -> compressed content and its address, below the lab's own."""
    chart = asset("chart.css") + asset("frontier.css")
    drawn, talks = asset("light.css") + chart + TALLY, asset("line.js")
    every = {
        "class.js": talks + asset("live.js") + asset("class.js"),
        "wall.js": talks + asset("live.js") + asset("wall.js"),
        "number.js": source("number"),
        "curve.js": source("curve"),
        "kitchen.js": SCENE,
        "class.css": drawn + asset("class.css"),
        "wall.css": drawn + asset("wall.css"),
        "play.js": talks + asset("play.js"),
        "play.css": asset("light.css") + chart + asset("play.css"),
    }
    return {name: (packed(text.encode()), kept_at(name, text)) for name, text in every.items()}


def address(name: str) -> str:
    """A module's address; it changes with the content."""
    return modules()[name][1]


async def module(request: Request) -> Response:
    """Every browser takes gzip; what does not is no browser."""
    name = request.path_params["name"]
    body = {at: body for body, at in modules().values()}.get(f"lab/static/{name}")
    if body is None:
        return Response(status_code=404)
    kind = "text/css" if name.endswith("css") else "text/javascript"
    return Response(body, media_type=kind, headers={**FOR_EVER, "Content-Encoding": "gzip"})


@lru_cache(16)  # a question's has one, and a whole class asks for it at once
def _packed(text: str) -> bytes:
    return packed(text.encode())


async def stills(request: Request) -> Response:
    """The run that the stills of a shown answer are drawn from."""
    asked = request.path_params
    run = await asyncio.to_thread(light.stills_of, running().classroom, asked["room"], asked["name"])
    if run is None:
        return Response(status_code=404)
    return Response(_packed(run), media_type="application/json", headers={**FOR_EVER, "Content-Encoding": "gzip"})


# ---- the pages


async def learners_page(request: Request) -> Response:
    """The page that every learner of every class opens."""
    me, fresh = name_of(request, await introduced(request))
    coming = request.query_params.get("room", "").upper()[:CODE_CHARS]
    page = await running().together.call(lambda: light.page_of(running().classroom, me, coming))
    return _page("class", page, me=me if fresh else "", room=coming, sees="page")


async def wall(request: Request) -> Response:
    """The page that the projector shows."""
    classroom, code = running().classroom, request.query_params.get("room", "").upper()[:CODE_CHARS]
    page = await asyncio.to_thread(wall_of, classroom, code)
    return _page("wall", page, me="", url=f"{classroom.url}/" if classroom.url else "", sees="wall")


def _page(name: str, page: light.Page, **more: str) -> Response:
    told = {file.partition(".")[0]: address(file) for file in modules() if file.endswith("js")}
    data = {"page": msgspec.to_builtins(page), "modules": told, **more}
    body = shell(name).substitute(data=inert(data), css=address(f"{name}.css"), js=address(f"{name}.js"))
    return HTMLResponse(body, headers=FRESH)


@cache
def shell(name: str) -> Template:
    """A page without its data."""
    return Template(asset(f"{name}.html"))


async def way_in(request: Request) -> Response:
    """An address of the lab's own as a QR code: the browser that asks knows it, and the lab does not. Black on white,
    on dark pages too."""
    address = request.query_params.get("at", "")
    if len(address) > MOST_ADDRESS or not _own(address, request):
        return Response(status_code=400)
    picture = await asyncio.to_thread(_drawn, address)
    return Response(picture, media_type="image/svg+xml", headers={"Cache-Control": "private, max-age=3600"})


def _own(address: str, request: Request) -> bool:
    if (url := running().classroom.url) and address.startswith(f"{url}/"):
        return True
    origin = "/".join(address.split("/")[:3])
    asks = Headers({"origin": origin, "host": request.headers.get("host", "")})
    return origin.startswith(("http://", "https://")) and from_here(asks)


def _drawn(address: str) -> bytes:
    picture = BytesIO()
    segno.make(address, error="m").save(picture, "svg", scale=8, border=4, light="#fff", dark="#000", omitsize=True)
    return picture.getvalue()


# ---- what it sends


async def introduced(request: Request) -> str:
    """Who comes, if another page has sent them with a form because no cookie says so (assets/line.js); "" otherwise."""
    said = await bounded(request, MOST_FORM) if request.method == "POST" else b""
    return parse_qs((said or b"").decode("ascii", "replace")).get("me", [""])[0]


async def bounded(request: Request, most: int) -> bytes | None:
    """What the page sends; None if that is more than `most` bytes, and no more of it is read."""
    said = b""
    async for piece in request.stream():
        said += piece
        if len(said) > most:
            return None
    return said


def _act(do: Callable[[str, Sent, Book], object]) -> Callable[[Request], object]:
    async def answer(request: Request) -> Response:
        said = await bounded(request, MOST_BYTES)
        if said is None:
            return Response(status_code=413)
        try:
            sent = msgspec.json.decode(said, type=Sent)
        except msgspec.DecodeError:
            return Response(status_code=400)
        me, _ = name_of(request, sent.me)
        return await running().together.call(lambda: _done(do, me, sent))

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


def _finish(me: str, sent: Sent, _: Book) -> None:
    cook_page.finish(running().classroom, me, sent.moves)


def _sign(me: str, _: Sent, __: Book) -> None:
    cook_page.sign(running().classroom, me, named=True)


def _unsign(me: str, _: Sent, __: Book) -> None:
    cook_page.sign(running().classroom, me, named=False)


def _look(me: str, _: Sent, book: Book) -> None:
    light.settle(running().classroom, book, me)


CLASS_ROUTES = [
    Route("/join", learners_page, methods=["GET", "POST"]),
    Route("/projector", wall),
    Route("/lab/class/qr", way_in),
    Route("/lab/static/{name}", module),
    Route("/lab/class/stills/{room}/{name}", stills),
    *(
        Route(f"/lab/class/{name}", _act(do), methods=["POST"])
        for name, do in {
            "join": _join,
            "leave": _leave,
            "vote": _vote,
            "look": _look,
            "take_back": _take_back,
            "finish": _finish,
            "sign": _sign,
            "unsign": _unsign,
        }.items()
    ),
]

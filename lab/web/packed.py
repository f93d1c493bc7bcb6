"""Files that browsers keep for ever, compressed once: Streamlit sends its own as they are, three times as much.

The name of each has its content's hash in it, Streamlit's as well as ours (`lab/web/class_routes.py`).
"""

import asyncio
import gzip
import hashlib
import mimetypes
from functools import cache

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from lab.web.icons import FONT, STATIC, icon_font

FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
GZIP = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
BELOW = "/static/"
TEXTS = (".js", ".css", ".json", ".svg", ".wasm", ".ttf")  # other fonts and pictures are compressed as they are


def takes_gzip(request: Request) -> bool:
    """Every browser does."""
    return "gzip" in request.headers.get("accept-encoding", "")


def packed(text: bytes) -> bytes:
    """The smallest that gzip makes of it, the same each time."""
    return gzip.compress(text, 9, mtime=0)


class StreamlitsFiles:
    """Middleware that gives out Streamlit's files; Streamlit allows no route of ours for them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = scope.get("path", "") if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") else ""
        if asked.startswith(BELOW):
            answer = await _streamlits_file(Request(scope), asked.removeprefix(BELOW))
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def _streamlits_file(request: Request, name: str) -> Response:
    """What is not there is not found: Streamlit would answer with its page."""
    if name not in _files():
        return Response(status_code=404)
    path, kind = STATIC / name, mimetypes.guess_type(name)[0] or "application/octet-stream"
    if path == FONT and (font := await asyncio.to_thread(icon_font)) is not None:
        return _unless_known(request, font, kind)
    if path.suffix not in TEXTS or not takes_gzip(request):
        return FileResponse(path, media_type=kind, headers=FOR_EVER)
    body = await asyncio.to_thread(_packed, name)
    return Response(body, media_type=kind, headers=FOR_EVER | GZIP)


def _unless_known(request: Request, body: bytes, kind: str) -> Response:
    """What can change under a name that stays: browsers ask each time whether theirs is still the same."""
    said = {"Cache-Control": "no-cache", "ETag": f'"{hashlib.sha256(body).hexdigest()[:16]}"'}
    if request.headers.get("if-none-match") == said["ETag"]:
        return Response(status_code=304, headers=said)
    return Response(body, media_type=kind, headers=said)


@cache
def _files() -> frozenset[str]:
    return frozenset(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())


@cache
def _packed(name: str) -> bytes:
    return packed((STATIC / name).read_bytes())

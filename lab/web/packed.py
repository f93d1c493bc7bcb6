"""Files that browsers keep for ever, compressed once: Streamlit sends its own as they are, three times as much.

The name of each has its content's hash in it, Streamlit's as well as ours (`lab/web/class_routes.py`).
"""

import asyncio
import gzip
import mimetypes
from functools import cache
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import FileResponse, Response

FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
GZIP = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
STATIC = Path(st.__file__).parent / "static" / "static"
TEXTS = (".js", ".css", ".json", ".svg", ".wasm", ".ttf")  # other fonts and pictures are compressed as they are


def takes_gzip(request: Request) -> bool:
    """Every browser does."""
    return "gzip" in request.headers.get("accept-encoding", "")


def packed(text: bytes) -> bytes:
    """The smallest that gzip makes of it, the same each time."""
    return gzip.compress(text, 9, mtime=0)


async def streamlits_file(request: Request) -> Response:
    """One of Streamlit's files. What is not there is not found: Streamlit would answer with its page."""
    name = request.path_params["path"]
    if name not in _files():
        return Response(status_code=404)
    path, kind = STATIC / name, mimetypes.guess_type(name)[0] or "application/octet-stream"
    if path.suffix not in TEXTS or not takes_gzip(request):
        return FileResponse(path, media_type=kind, headers=FOR_EVER)
    body = await asyncio.to_thread(_packed, name)
    return Response(body, media_type=kind, headers=FOR_EVER | GZIP)


@cache
def _files() -> frozenset[str]:
    return frozenset(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())


@cache
def _packed(name: str) -> bytes:
    return packed((STATIC / name).read_bytes())

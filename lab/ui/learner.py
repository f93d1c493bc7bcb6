"""Who is learning: a random name in a cookie that scripts can't read, and the book of guesses kept under it.

The name is never shown and never part of an address; whoever has the cookie is the learner.
"""

import os
import re
import secrets
from functools import cache
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lessons.book import Book, in_use

COOKIE = "split_kitchen_learner"
KEPT_S = 400 * 24 * 3600  # browsers keep none for longer
NAME = re.compile(r"[A-Za-z0-9_-]{22}")
DATA = Path(os.environ.get("SPLIT_KITCHEN_DATA", "~/.local/share/split-kitchen")).expanduser()
BOOKS = DATA / "guesses.sqlite"


class NameLearners:
    """Middleware: whoever opens a page and has no name yet is given one. HTTP only: sockets bring the cookie along."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _nameless_page(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                secure = "; Secure" if scope["scheme"] == "https" else ""
                cookie = f"{COOKIE}={secrets.token_urlsafe(16)}; Max-Age={KEPT_S}; Path=/; HttpOnly; SameSite=Lax"
                MutableHeaders(scope=message).append("set-cookie", cookie + secure)
            await send(message)

        await self._app(scope, receive, named)


def _nameless_page(headers: Headers) -> bool:
    """Whether a browser asks for a page (not for a script or a picture) without a name that we gave."""
    if "text/html" not in headers.get("accept", ""):
        return False
    try:
        said = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        said = None
    return said is None or not NAME.fullmatch(said.value)


def learner() -> str:
    """This session's learner. Where cookies are refused, a name for as long as the page is open."""
    said = st.context.cookies.get(COOKIE, "")
    name: str = said if NAME.fullmatch(said) else st.session_state.setdefault("learner", secrets.token_urlsafe(16))
    return name


def remembered() -> bool:
    """Whether the book will be found again after the page is closed."""
    return bool(NAME.fullmatch(st.context.cookies.get(COOKIE, "")))


def book() -> Book:
    return Book(BOOKS, learner())


@cache
def open_books() -> object:
    """Before anybody writes: to make the file is to wait for the disk."""
    Book(BOOKS, "")
    return in_use(BOOKS)

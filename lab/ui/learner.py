"""Who is learning: a random name in a cookie that scripts can't read, and the book of guesses kept under that name.

The name is never shown and is in no address; whoever has the cookie is the learner.
"""

import re
import secrets
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lessons.book import Book, HeldOpen

COOKIE = "split_kitchen_learner"
GIVEN = "learner"  # in the scope of a request that has just been given a name
KEPT_S = 400 * 24 * 3600  # browsers keep no cookie for longer
NAME = re.compile(r"[A-Za-z0-9_-]{22}")


class NameLearners:
    """Middleware that names each visitor without a cookie. Over HTTP only: sockets then send the cookie along."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _nameless_page(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return

        scope[GIVEN] = secrets.token_urlsafe(16)

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                secure = "; Secure" if scope["scheme"] == "https" else ""
                cookie = f"{COOKIE}={scope[GIVEN]}; Max-Age={KEPT_S}; Path=/; HttpOnly; SameSite=Lax"
                MutableHeaders(scope=message).append("set-cookie", cookie + secure)
            await send(message)

        await self._app(scope, receive, named)


def _nameless_page(headers: Headers) -> bool:
    """Whether a browser asks for a page (not for a script or a picture) without a name that the lab has given."""
    return "text/html" in headers.get("accept", "") and not name_in_cookie(headers)


def name_in_cookie(headers: Headers) -> str:
    """The name that a browser has been given; "" for none, or what is no such name."""
    try:
        said = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return said.value if said and NAME.fullmatch(said.value) else ""


def name_of(asks: HTTPConnection, said: str = "") -> tuple[str, bool]:
    """Who asks, and whether only this page knows it: without a cookie, whom the page itself says (`said`), or who was
    just named."""
    if name := name_in_cookie(asks.headers):
        return name, False
    return (said if NAME.fullmatch(said) else asks.scope.get(GIVEN) or secrets.token_urlsafe(16)), True


def learner() -> str:
    """This session's learner. Without cookies, a name that lasts as long as the page is open."""
    said = st.context.cookies.get(COOKIE, "")
    name: str = said if NAME.fullmatch(said) else st.session_state.setdefault("learner", secrets.token_urlsafe(16))
    return name


def remembered() -> bool:
    """Whether this learner's book will be found again after the page is closed."""
    return bool(NAME.fullmatch(st.context.cookies.get(COOKIE, "")))


class Books:
    """Every learner's book, in one SQLite file, which is made and held open at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._any = Book(path, "", HeldOpen(path).transaction)

    def mine(self) -> Book:
        """The book of this session's learner."""
        return self.of(learner())

    def of(self, name: str) -> Book:
        return self._any.of(name)

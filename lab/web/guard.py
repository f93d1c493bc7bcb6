"""Checks every request and socket first, Streamlit's and ours: who may ask, how much, and with which headers.

Streamlit checks the Origin of its own socket only, admits any page of this host, and looks up its public address to
judge other origins. This guard is stricter: it admits the lab's own pages only.
"""

import base64
import hashlib
import re
import time
from collections.abc import Container
from typing import NamedTuple

import click
import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.web.allowed_hosts import same_place
from lab.web.landing import OPENING, SHELL

POLICY_VIOLATION, TOO_BIG = 1008, 1009
MISDIRECTED = 421
MOST_LOGGED = 20
UNKNOWN = (
    "This lab does not answer to the name in your address bar. Open it by its address in digits, "
    "or have its name put into SPLIT_KITCHEN_HOSTS where it runs."
)
READING = ("GET", "HEAD", "OPTIONS")


class Limits(NamedTuple):
    """What one client may send on a socket."""

    message_bytes: int
    messages_per_s: int


OURS = Limits(512, 25)  # dragging the slider sends ten messages a second
STREAMLITS = Limits(1_000_000, 100)  # room for text that people paste; a click is one message


def _inline_scripts() -> str:
    """The hashes of the inline scripts of Streamlit and of the lab: no other inline script may run."""
    scripts = [*re.findall(r"<script>(.*?)</script>", SHELL, re.DOTALL), OPENING]
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


POLICY = "; ".join(
    [
        "default-src 'self'",
        f"script-src 'self' blob: {_inline_scripts()}",  # blob: Streamlit imports components from there
        "style-src 'self' 'unsafe-inline'",  # emotion, Plotly and the kitchen write style elements
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    ]
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, hosts: Container[str]) -> None:
        self._app = app
        self._hosts = hosts
        self._refused: set[str] = set()  # names that the log knows about

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not self._known(Headers(scope=scope).get("host")):
            if scope["type"] == "http":
                await PlainTextResponse(UNKNOWN, MISDIRECTED)(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        match scope["type"]:
            case "http":
                await self._page(scope, receive, send)
            case "websocket" if not from_here(Headers(scope=scope)):
                await send({"type": "websocket.close", "code": POLICY_VIOLATION})  # before it is accepted: 403
            case "websocket":
                limits = OURS if scope["path"].startswith("/lab/") else STREAMLITS
                line = LimitedSocket(receive, send, limits)
                await self._app(scope, line.receive, line.send)
            case _:
                await self._app(scope, receive, send)

    def _known(self, host: str | None) -> bool:
        """Browsers always name the host that they ask."""
        if host is None or host in self._hosts:
            return True
        if host not in self._refused and len(self._refused) < MOST_LOGGED:
            self._refused.add(host)
            click.echo(
                f"  Refused: a page of {host[:100]!r}. If that is this lab, name it in SPLIT_KITCHEN_HOSTS.", err=True
            )
        return False

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["method"] in READING or from_here(Headers(scope=scope)):
            await self._app(scope, receive, dressed)
        else:
            await PlainTextResponse("This page belongs to another site.", 403)(scope, receive, dressed)


def from_here(headers: Headers) -> bool:
    """Whether the page that asks is the lab's own, or is allowed by server.corsAllowedOrigins. Browsers always send an
    Origin; programs need not."""
    origin = headers.get("origin")
    if origin is None or same_place(origin, headers.get("host", "")):
        return True
    return origin.rstrip("/") in [allowed.rstrip("/") for allowed in st.get_option("server.corsAllowedOrigins")]


class LimitedSocket:
    """A socket that closes when its limits are exceeded; the app behind it then sees a disconnect."""

    def __init__(self, receive: Receive, send: Send, limits: Limits) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        self._closed = False
        self._second, self._count = 0.0, 0

    async def receive(self) -> Message:
        """The next message; one beyond the limits closes the socket."""
        message = await self._receive()
        if message["type"] != "websocket.receive" or not (code := self._objection(message)):
            return message
        await self.send({"type": "websocket.close", "code": code})
        return {"type": "websocket.disconnect", "code": code}

    async def send(self, message: Message) -> None:
        if not self._closed:
            self._closed = message["type"] == "websocket.close"
            await self._send(message)

    def _objection(self, message: Message) -> int:
        """The code to close with, or 0."""
        now_s = time.monotonic()
        if now_s - self._second >= 1:
            self._second, self._count = now_s, 0
        self._count += 1
        if self._count > self._limits.messages_per_s:
            return POLICY_VIOLATION
        said = message.get("bytes") or (message.get("text") or "").encode()
        return TOO_BIG if len(said) > self._limits.message_bytes else 0

"""Checks every request and socket first, Streamlit's and ours: who may ask, how much, and with which headers.

Streamlit checks the Origin of its own socket only, admits any page of this host, and looks up its public address to
judge other origins. This guard is stricter: it admits the lab's own pages only.
"""

import base64
import hashlib
import re
from collections.abc import Container

import click
import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.web.allowed_hosts import same_origin, same_place
from lab.web.callers import Callers, MostSockets
from lab.web.landing import OPENING, SHELL
from lab.web.limited_socket import OURS, POLICY_VIOLATION, STREAMLITS, LimitedSocket

MISDIRECTED = 421
DOOR = "/lab/door"  # asked by a page whose socket was refused (assets/address.js): why, in a sentence
MOST_LOGGED = 20
UNKNOWN = (
    "This lab does not answer to the name in your address bar. Open it by its address in digits, "
    "or have its name put into SPLIT_KITCHEN_HOSTS where it runs."
)
FOREIGN = (
    "The lab refuses this page: your browser has it from {origin}, and the lab was asked as {host}. If both are the "
    "lab, the proxy before it must pass the browser's Host header on, with its port (nginx: proxy_set_header Host "
    "$http_host), or the lab must know the page's address by STREAMLIT_SERVER_CORS_ALLOWED_ORIGINS."
)
CROWDED = "This browser or network has as many connections to the lab open as it may. Close some tabs, then reload."
READING = ("GET", "HEAD", "OPTIONS")


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
    """The outermost middleware but for the base path."""

    def __init__(self, app: ASGIApp, hosts: Container[str], most: MostSockets | None = None) -> None:
        self._app = app
        self._hosts = hosts
        self._callers = Callers(most)
        self._told: set[str] = set()  # what the log has heard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if scope["type"] == "websocket":
            if refused:
                await send({"type": "websocket.close", "code": POLICY_VIOLATION})  # before it is accepted: 403
                return
            limits = OURS if scope["path"].startswith("/lab/") else STREAMLITS
            line = LimitedSocket(receive, send, limits)
            with self._callers.one_more(scope):
                await self._app(_judged(scope), line.receive, line.send)
        elif scope["path"] == DOOR and scope["method"] == "POST" and not refused:
            await self._dressed(Response(status_code=204), scope, receive, send)
        else:
            await self._dressed(refused or self._app, scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host"), headers.get("origin")
        asks_only = scope["type"] == "http" and scope["method"] in READING
        if not self._known(host):
            return PlainTextResponse(UNKNOWN, MISDIRECTED)
        if not asks_only and not from_here(headers):
            sentence = FOREIGN.format(origin=_short(origin), host=_short(host))
            self._tell(f"Refused: {sentence}")
            return PlainTextResponse(sentence, 403)
        opens = scope["type"] == "websocket" or scope["path"] == DOOR
        if opens and self._callers.too_many(scope):
            self._tell(f"Refused: more sockets than one client may have, from {(scope.get('client') or ('?',))[0]}.")
            return PlainTextResponse(CROWDED, 429)
        return None

    def _known(self, host: str | None) -> bool:
        """Browsers always name the host that they ask."""
        if host is None or host in self._hosts:
            return True
        self._tell(f"Refused: a page of {_short(host)}. If that is this lab, name it in SPLIT_KITCHEN_HOSTS.")
        return False

    def _tell(self, sentence: str) -> None:
        """The log, once."""
        if sentence not in self._told and len(self._told) < MOST_LOGGED:
            self._told.add(sentence)
            click.echo(f"  {sentence}", err=True)

    @staticmethod
    async def _dressed(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await app(scope, receive, dressed)


def _short(said: str | None) -> str:
    return repr((said or "")[:100])


def _judged(scope: Scope) -> Scope:
    """Without the Origin, which Streamlit would judge once more, by other rules."""
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"origin"]}


def from_here(headers: Headers) -> bool:
    """Whether the page that asks is the lab's own, or is allowed by server.corsAllowedOrigins. Browsers always send an
    Origin; programs need not."""
    origin = headers.get("origin")
    if origin is None or same_place(origin, headers.get("host", "")):
        return True
    said = ",".join(st.get_option("server.corsAllowedOrigins"))  # of a variable, Streamlit takes commas for its text
    return any(same_origin(origin, allowed) for allowed in said.split(","))

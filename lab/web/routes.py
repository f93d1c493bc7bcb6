"""The lab's own routes: the pages' shells, sockets on runs and classes, and health. `guard.py` checks them first."""

import asyncio
import hmac
import json
import math
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine.errors import BadInput
from engine.link import LinkSpec
from lab.course import gathering_feed
from lab.course.evidence_runs import Gathering
from lab.runs.engine_client import EngineClient
from lab.runs.run_feed import AWAY_S, FRAME_S, SPARING_S
from lab.ui.learner import name_of
from lab.web.class_routes import CLASS_ROUTES
from lab.web.landing import any_page, front_page
from lab.web.limited_socket import POLICY_VIOLATION
from lab.web.play_routes import PLAY_ROUTES
from lab.web.services import running

UNKNOWN, NOT_YOURS = 4404, 4403


async def health(_: Request) -> Response:
    """200 while the lab can serve, with the engine's state in the body; 503 if the engine is broken."""
    engine = running().engine
    broken = engine.state == "broken"
    body = {"status": "broken" if broken else "ok", "engine": engine.state, "why": engine.why}
    return JSONResponse(body, 503 if broken else 200)


async def follow_class(socket: WebSocket) -> None:
    """The socket of a class's page: how the class stands, and what to show."""
    learner, unknown = name_of(socket)
    await running().live_updates.follow(socket, "" if unknown else learner)


async def follow_gathering(socket: WebSocket) -> None:
    """The socket of a lesson's page while its runs are made. The gathering's id lets anybody follow it."""
    await gathering_feed.follow(socket, _gathering(socket))


async def watch_gathering(socket: WebSocket) -> None:
    """Sends the motions of its runs, one run after another. To a page that comes when they are over, only that."""
    await socket.accept()
    messages = gathering_feed.runs(_gathering(socket), here=_sparing(socket))
    await _both(_send(socket, messages), _obey(running().engine, socket, ""))
    with suppress(WebSocketDisconnect, RuntimeError):
        await socket.close()


async def watch(socket: WebSocket) -> None:
    """Sends a run's motions and takes commands. The run's id lets anybody watch; commands need its key, which the
    owner's page has."""
    engine = running().engine
    run = engine.run(socket.query_params.get("run", ""))
    key = socket.query_params.get("key")
    await socket.accept()
    if run is None:
        await socket.close(UNKNOWN, "no such run")
        return
    if key is not None and not hmac.compare_digest(key.encode(), run.key.encode()):
        await socket.close(NOT_YOURS, "not your run")
        return
    owned = key is not None
    if owned:
        run.owner_came()
    since = re.fullmatch(r"[0-9]{1,9}", socket.query_params.get("since", ""))
    every_s = SPARING_S if _sparing(socket) else FRAME_S
    try:
        await _both(
            _send(socket, run.watch(int(since[0]) if since else 0, every_s)),
            _obey(engine, socket, run.id if owned else ""),
        )
    finally:
        if owned:
            run.owner_went()
            asyncio.get_running_loop().call_later(AWAY_S, engine.make_room)
    with suppress(WebSocketDisconnect, RuntimeError):  # the browser may have closed it already
        await socket.close()


def _sparing(socket: WebSocket) -> bool:
    """Whether the page says that its browser would take the workers' cores if it drew as often as it can."""
    return "sparing" in socket.query_params


def _gathering(socket: WebSocket) -> Gathering | None:
    return running().evidence.under_way(socket.query_params.get("id", ""))


async def _both(send: Coroutine[Any, Any, None], hear: Coroutine[Any, Any, None]) -> None:
    """Until one of them is over."""
    tasks = {asyncio.create_task(send), asyncio.create_task(hear)}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send(socket: WebSocket, messages: AsyncIterator[str]) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        async for message in messages:
            await socket.send_text(message)


async def _obey(engine: EngineClient, socket: WebSocket, run: str) -> None:
    """Carry out the commands of the `run`'s owner; "" for somebody who only watches, and may give none."""
    with suppress(WebSocketDisconnect):
        while True:
            text = await socket.receive_text()
            if not run:
                await socket.close(NOT_YOURS, "not your run")
                return
            if not command(engine, run, text):
                await socket.close(POLICY_VIOLATION)
                return


def command(engine: EngineClient, run: str, text: str) -> bool:
    """Carry out a command of a run's owner. Returns False if it is no valid command."""
    try:
        asked = json.loads(text)
        match asked:
            case {"do": "link", "bandwidth_bytes_per_s": bandwidth, "latency_s": latency}:
                engine.change_link(run, _link(bandwidth, latency))
            case {"do": "cancel", "request": str(request)}:
                engine.cancel(run, request)
            case {"do": "kill", "worker": str(worker)}:
                engine.kill(run, worker)
            case _:
                return False
    except (BadInput, ValueError, TypeError, OverflowError, RecursionError):
        return False
    return True


def _link(bandwidth: object, latency: object) -> LinkSpec:
    rate = None if bandwidth is None else float(bandwidth)  # type: ignore[arg-type]
    wait = float(latency)  # type: ignore[arg-type]
    if (rate is not None and not (math.isfinite(rate) and rate > 0)) or not 0 <= wait <= 10:
        raise ValueError("no such link")
    return LinkSpec(rate, wait)


class PageName(StringConvertor):
    """A lesson or another page: files have a dot in their names, and everything else is in folders."""

    regex = "[a-z][a-z0-9-]*"


register_url_convertor("page", PageName())

ROUTES: list[Route | WebSocketRoute] = [
    *CLASS_ROUTES,
    *PLAY_ROUTES,
    Route("/", front_page),
    Route("/{name:page}", any_page),
    Route("/lab/healthz", health),
    WebSocketRoute("/lab/ws", watch),
    WebSocketRoute("/lab/class", follow_class),
    WebSocketRoute("/lab/gathering", follow_gathering),
    WebSocketRoute("/lab/gathering/runs", watch_gathering),
]

"""The lab's own routes: the pages' shells, watching a run, and health. `lab/web/guard.py` checks requests first."""

import asyncio
import hmac
import json
import math
import re
from contextlib import suppress

from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine.errors import BadInput
from engine.link import LinkSpec
from lab.classroom.live_updates import follow
from lab.runs.engine_client import ENGINE_ROOM
from lab.runs.run_feed import Run
from lab.web.guard import POLICY_VIOLATION
from lab.web.landing import any_page, front_page

UNKNOWN_RUN, NOT_YOURS = 4404, 4403


async def health(_: Request) -> Response:
    """200 while the lab can serve; what the engine is doing is in the body. 503 if the engine can't go on."""
    body = {"status": "broken" if ENGINE_ROOM.state == "broken" else "ok", "engine": ENGINE_ROOM.state}
    return JSONResponse(body | {"why": ENGINE_ROOM.why}, 503 if ENGINE_ROOM.state == "broken" else 200)


async def watch(socket: WebSocket) -> None:
    """A run's motions out, commands in. Its id lets one watch; to command takes its key, which its owner's page has."""
    run = ENGINE_ROOM.hub.runs.get(socket.query_params.get("run", ""))
    key = socket.query_params.get("key")
    await socket.accept()
    if run is None:
        await socket.close(UNKNOWN_RUN, "no such run")
        return
    if key is not None and not hmac.compare_digest(key.encode(), run.key.encode()):
        await socket.close(NOT_YOURS, "not your run")
        return
    since = re.fullmatch(r"[0-9]{1,9}", socket.query_params.get("since", ""))
    out = asyncio.create_task(_send(socket, run, int(since[0]) if since else 0))
    commands = asyncio.create_task(_obey(socket, run, owner=key is not None))
    await asyncio.wait({out, commands}, return_when=asyncio.FIRST_COMPLETED)
    out.cancel()
    commands.cancel()
    await asyncio.gather(out, commands, return_exceptions=True)
    with suppress(WebSocketDisconnect, RuntimeError):  # the browser may have closed it already
        await socket.close()


async def _send(socket: WebSocket, run: Run, since: int) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        async for message in run.watch(since):
            await socket.send_text(message)


async def _obey(socket: WebSocket, run: Run, *, owner: bool) -> None:
    with suppress(WebSocketDisconnect):
        while True:
            text = await socket.receive_text()
            if not owner:
                await socket.close(NOT_YOURS, "not your run")
                return
            if not command(run.id, text):
                await socket.close(POLICY_VIOLATION)
                return


def command(run: str, text: str) -> bool:
    """Carry out what a run's owner asks for; False if it is nothing that can be asked for."""
    try:
        asked = json.loads(text)
        match asked:
            case {"do": "link", "bandwidth_bytes_per_s": bandwidth, "latency_s": latency}:
                ENGINE_ROOM.change_link(run, _link(bandwidth, latency))
            case {"do": "cancel", "request": str(request)}:
                ENGINE_ROOM.cancel(run, request)
            case {"do": "kill", "worker": str(worker)}:
                ENGINE_ROOM.kill(run, worker)
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
    """A lesson's or another page's; files have a dot in their names, and what else there is lies in folders."""

    regex = "[a-z][a-z0-9-]*"


register_url_convertor("page", PageName())

ROUTES: list[Route | WebSocketRoute] = [
    Route("/", front_page),
    Route("/{name:page}", any_page),
    Route("/lab/healthz", health),
    WebSocketRoute("/lab/ws", watch),
    WebSocketRoute("/lab/class", follow),
]

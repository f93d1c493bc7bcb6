"""A page while its runs are made. A lesson's hears over one socket how they stand, and over another its kitchen hears
the runs, one after another; a class's pages hear both over their own (lab/classroom/live_updates.py). No Streamlit.

Streamlit could rerun a part of the page each second instead, and the page for each run. Where a machine has a core for
each worker and none beside, that alone disturbs the runs that the page tells of.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from math import inf
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from lab.course.evidence_runs import Gathering, says
from lab.runs.live_scene import live
from lab.runs.run_feed import FRAME_S, SPARING_S

LOOK_S = 0.5  # between two looks at the engine
AGAIN_S = 5.0  # a page that was told and has not rerun is told again
UNKNOWN_GATHERING = 4404
RESTS = "The picture rests on this run: drawing the others would take the cores that the workers need."


class Drawn(msgspec.Struct):
    """A page says what it showed when it was drawn."""

    at: str


def kitchen(gathering: Gathering) -> dict[str, Any] | None:
    """What the scene needs to watch its runs, one after another. None before the first."""
    spec = live(gathering.engine.run(gathering.on.watched))
    return spec and spec | {"id": "runs", "stream": f"/lab/gathering/runs?id={gathering.id}"}


def shown(gathering: Gathering) -> str:
    """What Streamlit draws of it: pages that show the same have the same word."""
    return f"{kitchen(gathering) is not None} {gathering.complete} {gathering.stopped}"


async def runs(gathering: Gathering | None, *, here: bool) -> AsyncIterator[str]:
    """JSON messages for its kitchen: what it watches now, and that run's motions. None for one that is over.

    `here`: the browser is on the engine's own machine. Where no core is left for it, messages come less often; and once
    a run was disturbed it hears of no further ones, so that at least those have their cores.
    """
    seen = ""
    while gathering is not None and not gathering.complete:
        spec = kitchen(gathering)
        sparing = here and spec is not None and spec["crowded"]
        if sparing and seen and gathering.on.disturbed:
            yield json.dumps({"over": True, "note": RESTS})
            return
        run = spec and gathering.engine.run(spec["run"])
        if not run or run.id == seen:
            await asyncio.sleep(LOOK_S)
            continue
        seen = run.id
        yield json.dumps({"kitchen": spec})
        async for message in run.motions(0, SPARING_S if sparing else FRAME_S):
            yield message
        yield json.dumps({"over": True, "more": True})
    yield json.dumps({"over": True})


async def follow(socket: WebSocket, gathering: Gathering | None, look_s: float = LOOK_S) -> None:
    """Advance it for as long as its page is open, and tell the page. None for one that there isn't."""
    await socket.accept()
    if gathering is None:  # it is over, in another tab perhaps: the page finds out how
        await socket.send_json({"anew": "over"})
        await socket.close(UNKNOWN_GATHERING, "no such runs")
        return
    hearing = asyncio.create_task(socket.receive_text())
    try:
        with suppress(WebSocketDisconnect, RuntimeError, msgspec.DecodeError, KeyError):  # gone, or none of our pages
            at = msgspec.json.decode(await hearing, type=Drawn).at
            said, told, told_s = "", at, -inf
            while True:
                hearing = asyncio.create_task(socket.receive_text())
                while not hearing.done():
                    await asyncio.to_thread(gathering.advance)
                    line, now = says(gathering), shown(gathering)
                    if line != said:
                        said = line
                        await socket.send_json({"says": line, "done": gathering.on.done / gathering.on.total})
                    if now != at and (now != told or time.monotonic() > told_s + AGAIN_S):
                        told, told_s = now, time.monotonic()
                        await socket.send_json({"anew": now})
                    await asyncio.wait({hearing}, timeout=look_s)
                at = msgspec.json.decode(hearing.result(), type=Drawn).at
    finally:
        hearing.cancel()

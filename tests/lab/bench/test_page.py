"""How frames are counted in Chromium's trace; what they cost here stands in no test."""

from typing import Any

import pytest

from engine.events import TokenMade
from engine.link import LinkSpec
from engine.scenario import Deployment, Workload
from lab.bench.page import Frames, run


def event(name: str, begin_ms: float, ms: float, thread: int = 1) -> dict[str, Any]:
    return {"name": name, "pid": 1, "tid": thread, "ts": begin_ms * 1e3, "dur": ms * 1e3}


def test_work_is_counted_by_the_frame_it_began_in_and_once() -> None:
    frames = Frames(
        [
            event("FireAnimationFrame", 0, 3),
            event("FunctionCall", 1, 2),  # inside the first
            event("Layout", 4, 1),
            event("Paint", 5, 2),
            event("FireAnimationFrame", 16, 4),
            event("Layout", 17, 2),  # forced by the script: inside it
            event("Layout", 25, 1, thread=2),  # another page's
            event("FireAnimationFrame", 33, 9),  # the last frame's end is not seen
        ]
    )
    assert frames.gaps_s == pytest.approx([0.016, 0.017])
    assert frames.script_s == pytest.approx([0.003, 0.004])
    assert frames.work_s == pytest.approx([0.004, 0.004])
    assert frames.paint_s == pytest.approx([0.002, 0])


def test_every_order_of_the_scene_is_in_flight_at_once() -> None:
    log = run(Deployment("disaggregated"), Workload(requests=5, prompt_tokens=64, output_tokens=400), LinkSpec(100e6))
    tokens = [event for event in log.events if isinstance(event, TokenMade)]
    begun = {token.request: token.t for token in tokens if token.index == 0}
    ended = {token.request: token.t for token in tokens}
    assert len(begun) == 5
    assert max(begun.values()) < min(ended.values())
    assert all(token.text for token in tokens)

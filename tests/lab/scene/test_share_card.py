"""The card is an SVG that tells a run's heaviest stall, drawn to one measure of time, and where it was made."""

import re
import xml.etree.ElementTree as ET

import pytest

from engine.causes import causes
from engine.link import LinkSpec
from engine.log import Log
from engine.scenario import KINDS
from engine.sim.run import simulate
from engine.stall import by_cause, in_seconds
from lab.scene.recordings import recorded
from lab.scene.share_card import WIDTH, share_card
from tests.engine.sim.kitchenette import WORKER, scenario
from tests.engine.test_causes import ORDERS

SVG = "{http://www.w3.org/2000/svg}"


def texts(card: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(card).iter(f"{SVG}text")]


@pytest.mark.parametrize("kind", KINDS)
def test_it_tells_the_heaviest_stall_and_where_the_run_was_made(kind: str) -> None:
    log = recorded(kind)
    said = texts(share_card([log]))
    worst = max(by_cause(causes(log.events))[0], key=lambda stall: stall.seconds)
    assert any(in_seconds(worst.seconds) in text for text in said[:2])
    assert log.machine in said[-1]
    assert log.scenario.model.path in said[-1]
    assert "29 November 2026" in said[-1]


def test_two_runs_stand_on_one_measure_of_time() -> None:
    card = share_card([recorded("colocated"), recorded("disaggregated")])
    stalls = [
        float(node.get("width", 0)) for node in ET.fromstring(card).iter(f"{SVG}rect") if node.get("class") == "still"
    ]
    shown = [stall for kind in ("colocated", "disaggregated") for stall in by_cause(causes(recorded(kind).events))[0]]
    seconds = sorted(stall.seconds for stall in shown for _ in stall.requests)
    ratios = [width / s for width, s in zip(sorted(stalls), seconds, strict=True)]
    assert max(ratios) / min(ratios) < 1.02


def test_nothing_leaves_the_card() -> None:
    card = share_card([recorded("chunked"), recorded("colocated")])
    for node in ET.fromstring(card).iter(f"{SVG}rect"):
        assert 0 <= float(node.get("x", 0)) <= float(node.get("x", 0)) + float(node.get("width", 0)) <= WIDTH
    assert re.search(r"<script|href|url\((?!#)", card) is None


def test_a_run_without_a_stall_says_so() -> None:
    log = simulate(scenario("disaggregated", LinkSpec(10e9), **ORDERS), WORKER)
    said = texts(share_card([log]))
    assert said[1].startswith("No answer stood still: no gap was longer than ")
    assert "real run" not in said[-1]


def test_an_empty_log_is_a_card_too() -> None:
    assert "No answer stood still" in share_card([Log(scenario())])

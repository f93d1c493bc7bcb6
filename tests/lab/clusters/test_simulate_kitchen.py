"""A simulated kitchen of many stations: the little that is sent draws what everything would have drawn."""

from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Page

from engine.errors import BadInput
from engine.fleet.advisor.candidates import Candidate
from engine.fleet.advisor.plan import WHOLE, Pool
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.simulation import recorded
from engine.log import in_order
from engine.scenario import KINDS, Kind
from engine.sim.leap import Leapt, unfold
from lab.clusters.simulate_kitchen import PlansKitchen, condensed, simulated
from lab.scene.export_html import export_kitchens, kitchen
from lab.scene.motions import motions
from lab.scene.spans import Motion
from tests.lab.looks import SEEK, SIGHT, faults

LOAD = Question(8, isl_tokens=2048, osl_tokens=32)
PLANS: dict[Kind, Candidate] = {
    "colocated": Candidate(both=Pool("h100-sxm", 8), chunk_tokens=WHOLE),
    "chunked": Candidate(both=Pool("h100-sxm", 8)),
    "disaggregated": Candidate(prefill=Pool("h100-sxm", 5), decode=Pool("h100-sxm", 3)),
}


def watch(kind: Kind) -> PlansKitchen:
    return PlansKitchen(LOAD, PLANS[kind], 20.0)


def tokens(drawn: list[Motion]) -> set[tuple[str, float]]:
    """Every token's request and moment."""
    single = {(motion["request"], motion["t"]) for motion in drawn if motion["kind"] == "token"}
    leaps = [motion for motion in drawn if motion["kind"] == "leap"]
    return single | {(request, t) for leap in leaps for request in leap["requests"] for t in leap["ends"]}


def steps(drawn: list[Motion]) -> set[tuple[str, float, float]]:
    whole = {(motion["worker"], motion["t0"], motion["t1"]) for motion in drawn if motion["kind"] == "step"}
    for leap in drawn:
        if leap["kind"] == "leap":
            whole |= {
                (leap["worker"], begun, ended) for begun, ended in zip(leap["ends"], leap["ends"][1:], strict=False)
            }
    return whole


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_by_saying_it_in_fewer_words(kind: Kind) -> None:
    asked = watch(kind)
    record = recorded(asked.question, asked.candidate, asked.rate_per_s, 40)
    assert any(isinstance(event, Leapt) for event in record)
    short, long = condensed(motions(record)), motions(in_order(list(unfold(record))))
    assert len(short) < len(long) / 3
    assert tokens(short) == tokens(long)
    assert steps(short) == steps(long)
    others = ("order", "ticket", "prep", "plate", "tray", "deployed", "link")

    def plain(drawn: list[Motion]) -> list[list[object]]:
        """Without names of spans, which count all spans."""
        kept = [motion for motion in drawn if motion["kind"] in others]
        return sorted([[*map(str, (m | {"id": 0, "tray": 0}).items())] for m in kept])

    assert plain(short) == plain(long)


def test_an_advised_plan_can_be_watched() -> None:
    question = Question(3, isl_tokens=2048, osl_tokens=32)
    plan = Candidate(prefill=Pool("h100-sxm", 2), decode=Pool("h100-sxm", 1))
    asked = PlansKitchen(question, plan, 6.0)
    run = simulated(msgspec.json.decode(msgspec.json.encode(asked), type=PlansKitchen))
    drawn = msgspec.json.decode(run.motions)
    (deployed,) = [motion for motion in drawn if motion["kind"] == "deployed"]
    assert [role for _, role in deployed["roles"]] == ["prefill_only", "prefill_only", "decode_only"]
    assert len([motion for motion in drawn if motion["kind"] == "order"]) == asked.requests == 90
    with pytest.raises(BadInput, match="rate is 0"):
        simulated(PlansKitchen(question, plan, 0.0))


def test_it_is_as_large_as_can_be_watched() -> None:
    few, many = (msgspec.structs.replace(watch("chunked"), rate_per_s=rate) for rate in (0.01, 1e4))
    assert (few.requests, many.requests) == (24, 30 * 8)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"rate_per_s": -1.0}, "rate is -1"),
        ({"question": msgspec.structs.replace(LOAD, osl_tokens=10**6)}, "osl is 1000000"),
    ],
)
def test_bad_input_is_one_sentence(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        simulated(msgspec.structs.replace(watch("chunked"), **wrong))


# ---- in a browser


def open_both(browser: Browser, path: Path, kind: Kind, width: int) -> Page:
    """The same run twice, as it is sent and spelled out."""
    asked = watch(kind)
    record = recorded(asked.question, asked.candidate, asked.rate_per_s, 40)
    both = condensed(motions(record)), motions(in_order(list(unfold(record))))
    runs = [kitchen(drawn, f"Kitchen {name}", id=name, deployment=kind) for name, drawn in zip("ab", both, strict=True)]
    path.write_text(export_kitchens(runs, "Twice"), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    page.goto(path.as_uri())
    page.get_by_role("button", name="Pause (space)").click()
    return page


@pytest.mark.browser
@pytest.mark.parametrize(("kind", "width"), [("colocated", 1280), ("disaggregated", 390)])
def test_many_stations_are_tiles_and_leaps_are_steps(browser: Browser, tmp_path: Path, kind: Kind, width: int) -> None:
    page = open_both(browser, tmp_path / "both.html", kind, width)
    try:
        assert page.locator(".sk-tile").count() == 2 * 8
        busy = set()
        for t in (100, 300, 500, 800):
            page.evaluate(SEEK, t)
            first, second = (
                page.locator(f".sk-kitchen >> nth={n}").locator(".sk-floor, .sk-numbers").all_inner_texts()
                for n in (0, 1)
            )
            assert first == second
            busy |= set(page.locator(".sk-tile").evaluate_all("all => all.map((one) => one.dataset.mode)"))
        assert {"prefill", "decode"} <= busy
        assert faults(page, "best-practice") == []
        assert page.evaluate(SIGHT) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        page.close()

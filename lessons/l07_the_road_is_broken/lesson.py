"""A link that is down: nothing fails, all is slow. How to see it, and how much depends on what is left."""

from collections.abc import Mapping
from pathlib import Path

from engine.fleet.catalog.hardware import gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.estimate.ruler import Pace, scale_ruler
from engine.scenario import Scenario
from engine.units import amount, percent
from lessons.evidence import Evidence
from lessons.keys import Key, agreed, greatest
from lessons.lesson import Claim, FreeKnob, Knob, Lesson, Round
from lessons.question import Bars, Choice
from lessons.runs import (
    BROKEN,
    FALLBACK,
    SOUND,
    e2e_s,
    failures,
    handoff_bytes,
    handoff_s,
    ms,
    prefill_s,
    second_gap_s,
    shipped,
    ttft_s,
    usual_gap_s,
)

PROMPT = 256
ROADS = {"NVLink": SOUND, "PCIe": FALLBACK, "TCP": BROKEN}
FOLDS = {"ttft": ttft_s, "gap": second_gap_s, "usual": usual_gap_s}
WORDS = ("nvlink", "pcie", "tcp")  # the same, as the text names them
SLOWER = 1.5  # times as long: beyond that a user notices


def roads(setting: float) -> Mapping[str, Scenario]:
    return {road: shipped(PROMPT, mb_per_s) for road, mb_per_s in ROADS.items()}


def grown(one: Evidence, road: str, name: str) -> float:
    """How many times a number is what it was over NVLink."""
    return FOLDS[name](one.log(road)) / FOLDS[name](one.log("NVLink"))


def grown_all(one: Evidence) -> dict[str, float]:
    return {name: grown(one, "TCP", name) for name in FOLDS}


def grown_bars(evidence: Evidence, told: int | None) -> Bars:
    every = [grown_all(one) for one in evidence.repeats]
    labels = {"ttft": "first token", "gap": "second token", "usual": "later tokens"}
    values = {label: tuple(one[name] for one in every) for name, label in labels.items()}
    return Bars("× NVLink's", values, told, log=True)


def users_meet(evidence: Evidence) -> Key:
    """What a user meets over TCP."""
    if sum(evidence.of("TCP", failures)):
        return agreed(evidence.each(lambda one: "fail" if failures(one.log("TCP")) else "slow"))
    whole = evidence.each(lambda one: {"slow": e2e_s(one.log("TCP")), "before": e2e_s(one.log("NVLink"))})
    return greatest(whole, SLOWER)


def broken_words(one: Evidence) -> Mapping[str, str]:
    log = one.log("NVLink")
    live = Pace(handoff_bytes(log) / PROMPT, prefill_s(log) / PROMPT)
    marks = scale_ruler(live, model("llama-3.1-8b"), gpu("h100-sxm")).marks
    says = {mark.fabric: f"{amount(mark.bytes_per_s / 1e6)} MB/s" for mark in marks}
    return {
        "failed": f"{failures(one.log('TCP'))}",
        "sound": ms(e2e_s(log)),
        "broken": ms(e2e_s(one.log("TCP"))),
        **{name: amount(grown(one, "TCP", name)) for name in FOLDS},
        **{f"{name}_gap": ms(second_gap_s(one.log(road))) for name, road in zip(WORDS, ROADS, strict=True)},
        **{f"{name}_handoff": ms(handoff_s(one.log(road))) for name, road in zip(WORDS, ROADS, strict=True)},
        "share": percent(handoff_s(one.log("PCIe")) / prefill_s(one.log("PCIe"))),
        "tcp_times": amount(handoff_s(one.log("TCP")) / prefill_s(one.log("TCP"))),
        "set": ", ".join(f"{road} {mb_per_s:g}" for road, mb_per_s in ROADS.items()),
        "ruler": f"NVLink {says['nvlink4']}, PCIe {says['pcie5']}, TCP {says['tcp']}",
    }


def on_road(setting: float) -> Mapping[str, Scenario]:
    return {"PCIe": shipped(PROMPT, setting)}


def road_numbers(one: Evidence) -> Mapping[str, float]:
    log = one.log("PCIe")
    return {
        "token 1 after, ms": 1e3 * ttft_s(log),
        "gap before token 2, ms": 1e3 * second_gap_s(log),
        "later gaps, ms": 1e3 * usual_gap_s(log),
    }


LESSON = Lesson(
    Path(__file__).parent,
    title="NVLink is down. What do users notice?",
    minutes=4,
    rounds=(
        Round(
            "broken",
            "NVLink goes down, and TCP is all that is left. What do users notice?",
            Choice(
                {
                    "fail": "requests fail with errors",
                    "slow": "all is served, later",
                    "same": "about the same as before",
                }
            ),
            key=users_meet,
            reasons=("A link that is down is an error", "The library finds another way", "Trays are small"),
            runs=roads,
            repeats=2,
            numbers=broken_words,
            view=grown_bars,
            free=FreeKnob(
                Knob("road", (2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 800.0), "{:g} MB/s".format),
                at=FALLBACK,
                says="Let the road go from TCP to NVLink, and see which of the three numbers gives it away.",
                runs=on_road,
                numbers=road_numbers,
            ),
        ),
    ),
    claims=(
        Claim(
            "Over TCP nothing fails.",
            "broken",
            lambda one: failures(one.log("TCP")) == 0,
            otherwise="On your runs requests failed over TCP.",
            name="served",
        ),
        Claim(
            "But the whole answer takes far longer.",
            "broken",
            lambda one: e2e_s(one.log("TCP")) > 2 * e2e_s(one.log("NVLink")),
            otherwise="On your runs the answer takes less than twice as long.",
            name="late",
        ),
        Claim(
            "It shows in the gap before the second token, far less in TTFT or in later gaps.",
            "broken",
            lambda one: grown(one, "TCP", "gap") > 3 * max(grown(one, "TCP", "ttft"), grown(one, "TCP", "usual")),
            otherwise="On your runs TTFT or later gaps grew as well: something besides the road was slow.",
            name="between",
        ),
        Claim(
            "Over PCIe the tray takes less than half of the prefill's time, over TCP more than twice as long.",
            "broken",
            lambda one: (
                handoff_s(one.log("PCIe")) < 0.5 * prefill_s(one.log("PCIe"))
                and handoff_s(one.log("TCP")) > 2 * prefill_s(one.log("TCP"))
            ),
            otherwise="On this machine the settings for PCIe and TCP are not far enough from its pace of prefill.",
            name="apart",
        ),
    ),
)

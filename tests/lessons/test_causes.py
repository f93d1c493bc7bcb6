"""Every claim fails once its cause is taken away, and its sentence gives way to the other one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import ModuleType

import msgspec
import pytest

from engine.events import Arrived, Finished
from engine.log import Log
from lessons import all_lessons
from lessons.evidence import Evidence
from lessons.keys import Key
from lessons.l02_prep_and_plating import lesson as prep_and_plating
from lessons.l09_at_scale import rack
from lessons.l11_four_gpus import lesson as four_gpus
from lessons.lesson import ONLY_IF, Claim, Lesson
from tests.lessons.simulated import MACHINE, gathered, log_of

CLAIMS = [(lesson, claim) for lesson in all_lessons() for claim in lesson.claims]
Mutation = Callable[[Evidence], Evidence]


def swap(one: str, other: str) -> Mutation:
    """What one run is said to have shown, the other one did."""
    return lambda e: replace(e, logs={**e.logs, one: e.logs[other], other: e.logs[one]})


def instead(run: str, other: str) -> Mutation:
    """The cause is not there: its run went as the other one."""
    return lambda e: replace(e, logs={**e.logs, run: e.logs[other]})


def slower(run: str, factor: float) -> Mutation:
    """All steps of one run take so many times as long."""
    return lambda e: replace(e, logs={**e.logs, run: tuple(log_of(log.scenario, factor) for log in e.logs[run])})


def machine(**fields: float) -> Mutation:
    return lambda e: replace(e, machine=msgspec.structs.replace(MACHINE, **fields))


def each_log(change: Callable[[Log], Log]) -> Mutation:
    return lambda e: replace(e, logs={run: tuple(map(change, logs)) for run, logs in e.logs.items()})


def workload(**fields: float) -> Mutation:
    """The same kitchens with other orders."""

    def other(log: Log) -> Log:
        load = msgspec.structs.replace(log.scenario.workload, **fields)
        return log_of(msgspec.structs.replace(log.scenario, workload=load))

    return each_log(other)


def told_at(run: str, mb_per_s: float) -> Mutation:
    """The link was another than the log says."""

    def lied(log: Log) -> Log:
        link = msgspec.structs.replace(log.scenario.link, bandwidth_bytes_per_s=mb_per_s * 1e6)
        return msgspec.structs.replace(log, scenario=msgspec.structs.replace(log.scenario, link=link))

    return lambda e: replace(e, logs={**e.logs, run: tuple(map(lied, e.logs[run]))})


def wordy(log: Log) -> Log:
    """A prompt with as many bytes as its tray."""
    events = [msgspec.structs.replace(e, prompt=e.prompt * 10_000) if isinstance(e, Arrived) else e for e in log.events]
    return msgspec.structs.replace(log, events=tuple(events))


def failing(log: Log) -> Log:
    events = [msgspec.structs.replace(e, reason="failed") if isinstance(e, Finished) else e for e in log.events]
    return msgspec.structs.replace(log, events=tuple(events))


SMALL = {"long_prompt_tokens": 32}  # the giant is taken out
CAUSES: Mapping[str, Mutation] = {
    "the-kitchen weighs": workload(output_tokens=2),
    "the-kitchen heavy": each_log(wordy),
    "prep-and-plating dear": slower("prefill", 10.0),
    "prep-and-plating starved": machine(peak_flops_per_s=2e9),
    "prep-and-plating Prefill": slower("prefill", 20.0),
    "prep-and-plating cheap": slower("16", 4.0),
    "prep-and-plating predicted": slower("2", 2.0),
    "one-station freezes": workload(**SMALL),
    "one-station giant": swap("with the giant", "without it"),
    "one-station apart": swap("one station", "two stations"),
    "cut-it-small shorter": swap("16", "256"),
    "cut-it-small spared": swap("small", "whole"),
    "cut-it-small pays": swap("small", "whole"),
    "two-stations exact": machine(bytes_per_parameter=4),
    "two-stations alike": lambda e: replace(
        e, logs={**e.logs, "long answer": workload(prompt_tokens=256)(e).logs["long answer"]}
    ),
    "ship-the-tray slower": instead("5", "150"),
    "ship-the-tray formula": told_at("5", 6.0),
    "ship-the-tray even": lambda e: replace(e, logs={**e.logs, "15": e.logs["5"], "50": e.logs["5"]}),
    "ship-the-tray hides": instead("layers", "whole"),
    "ship-the-tray moves": swap("decode samples", "prefill samples"),
    "the-road-is-broken served": each_log(failing),
    "the-road-is-broken late": instead("TCP", "NVLink"),
    "the-road-is-broken between": instead("TCP", "NVLink"),
    "the-road-is-broken apart": swap("PCIe", "TCP"),
    "two-node-pools prompts": workload(prompt_tokens=32, output_tokens=64),
    "two-node-pools even": workload(rate_per_s=0.3),
    "when-not-to more": swap("chunked", "disaggregated"),
    "four-gpus sooner": swap("chunked", "split, TCP"),
    "four-gpus shorter": swap("chunked", "split, NVLink"),
    "four-gpus road": instead("split, TCP", "split, NVLink"),
}
COMPUTED = {f"at-scale {name}" for name in ("inside", "little", "wide", "planner", "routing")} | {"four-gpus link"}


def called(lesson: Lesson, claim: Claim) -> str:
    return f"{lesson.slug} {claim.name or claim.says.split()[0]}"


MEASURED = [(lesson, claim) for lesson, claim in CLAIMS if called(lesson, claim) not in COMPUTED]


def test_every_claim_has_its_cause() -> None:
    assert {called(lesson, claim) for lesson, claim in CLAIMS} == set(CAUSES) | COMPUTED


@pytest.mark.parametrize(("lesson", "claim"), MEASURED, ids=[called(*pair) for pair in MEASURED])
def test_without_its_cause_a_claim_fails(lesson: Lesson, claim: Claim) -> None:
    asked = lesson.round(claim.about)
    sound = gathered(lesson, asked)
    assert claim.holds(sound) is True
    broken = CAUSES[called(lesson, claim)](sound)
    assert claim.holds(broken) is False
    assert claim.otherwise


@pytest.mark.parametrize(
    ("name", "module", "patch"),
    [
        ("at-scale inside", rack, {"tray_s": lambda road: 1.0}),
        ("at-scale little", rack, {"tray_s": lambda road: 1.0}),
        ("at-scale wide", rack, {"nodes": rack.rack}),
        ("at-scale planner", rack, {"planned": lambda planner: rack.Kept(0.5, 5, 18)}),
        ("at-scale routing", rack, {"first_token_s": lambda routing: 1.0}),
        ("four-gpus link", four_gpus, {"ASKED": msgspec.structs.replace(four_gpus.ASKED, links_down=0)}),
    ],
)
def test_a_computed_claim_fails_too(
    name: str, module: ModuleType, patch: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = next(claim for lesson, claim in CLAIMS if called(lesson, claim) == name)
    assert claim.holds(Evidence()) is True
    for field, other in patch.items():
        monkeypatch.setattr(module, field, other)
    four_gpus.advice.cache_clear()
    assert claim.holds(Evidence()) is False
    four_gpus.advice.cache_clear()


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.slug)
def test_a_sentence_that_depends_on_a_claim_has_its_counterpart(lesson: Lesson) -> None:
    for asked in lesson.rounds:
        names = {claim.name for claim in lesson.claims if claim.about == asked.name and claim.name}
        found = [ONLY_IF.match(part) for part in lesson.text(f"{asked.name} answer").split("\n\n")]
        conditions = [(match[2], bool(match[1])) for match in found if match]
        assert sorted(conditions) == sorted((name, negated) for name in names for negated in (False, True))


def test_where_a_claim_fails_its_sentence_does_not_stand() -> None:
    lesson = all_lessons()[2]
    asked = lesson.round("freeze")
    said = {"guess": "", "measured": "", "times": ""}
    sound = gathered(lesson, asked)
    key = asked.finding(sound)
    assert isinstance(key, Key)
    assert "The pause is the giant's prefill" in lesson.answer(asked, sound, key, said)
    broken = CAUSES["one-station freezes"](sound)
    told = lesson.answer(asked, broken, key, said)
    assert "The pause is the giant's prefill" not in told
    assert "either is not as long as the giant's own step" in told
    assert "[" not in told


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.slug)
def test_where_repeats_disagree_neither_sentence_stands(lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one would say too much, and the other the contrary of what some of the runs show."""
    monkeypatch.setattr(Claim, "holds", lambda claim, evidence, told: None)
    for asked in lesson.rounds:
        evidence = gathered(lesson, asked)
        key = asked.finding(evidence)
        assert isinstance(key, Key)
        told = lesson.answer(asked, evidence, key, {"guess": "", "measured": "", "times": ""}).split("\n\n")
        always = [part for part in lesson.text(f"{asked.name} answer").split("\n\n") if not ONLY_IF.match(part)]
        assert len(told) == len(always)


@pytest.mark.parametrize("measured_ms", [(26.7, 30.4, 34.3, 52.7, 93.1), (19.0, 21.0, 29.0, 34.0, 68.0)])
def test_what_the_roofline_predicts_does_not_hang_on_some_percent_of_the_knee(
    monkeypatch: pytest.MonkeyPatch, measured_ms: tuple[float, ...]
) -> None:
    """Steps of a Xeon, and knees as they were measured there, quiet and busy."""
    steps_ms = dict(zip(prep_and_plating.BATCHES, measured_ms, strict=True))
    monkeypatch.setattr(prep_and_plating, "step_s", lambda one, batch: steps_ms[batch] / 1e3)
    for measured in range(58, 70):
        monkeypatch.setattr(prep_and_plating, "knee", lambda one, at=measured: at)
        assert prep_and_plating.as_predicted(Evidence())

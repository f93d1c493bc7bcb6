"""For any evidence a round has an answer or says why not: no exception, and no answer from noise."""

import math
import re
from functools import cache

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from engine.disturbed import MOST
from engine.events import Arrived, Event, HandoffEnded, StepEnded, StepStarted, TokenMade
from engine.log import Log
from engine.scenario import Scenario
from lessons import all_lessons
from lessons.evidence import CannotTell, Evidence, Sample
from lessons.keys import SAME, WIDEST, Key, Unclear, agreed, curve, exact, greatest, judged, number
from lessons.lesson import Claim, Lesson, Round
from lessons.question import Bars, Lines, Number
from lessons.runs import e2e_s
from tests.lessons.simulated import MACHINE, disturbed, gathered, log_of, with_logs

ROUNDS = [(lesson, asked) for lesson in all_lessons() for asked in lesson.rounds]
each_round = pytest.mark.parametrize(
    ("lesson", "asked"), ROUNDS, ids=[f"{lesson.slug}-{asked.name}" for lesson, asked in ROUNDS]
)
SAID = {"guess": "", "measured": "", "times": ""}


@cache
def sound(slug: str, name: str) -> Evidence:
    (lesson, asked) = next(pair for pair in ROUNDS if (pair[0].slug, pair[1].name) == (slug, name))
    return gathered(lesson, asked)


def walk(lesson: Lesson, asked: Round, evidence: Evidence) -> None:
    """All that a page asks of a round."""
    found = asked.finding(evidence)
    assert found.why if isinstance(found, Unclear) else found.value
    if isinstance(found, Key):
        assert not re.search(r"\de[+-]\d", lesson.answer(asked, evidence, found, SAID))
        if not isinstance(found.value, str):
            assert all(map(math.isfinite, (*found.value, *found.low, *found.high)))
    for claim in lesson.claims:
        if claim.about == asked.name:
            assert claim.holds(evidence) in (True, False, None)
    asked.shown(evidence)


@each_round
def test_sound_evidence_answers(lesson: Lesson, asked: Round) -> None:
    evidence = sound(lesson.slug, asked.name)
    assert isinstance(asked.finding(evidence), Key)
    assert asked.view is None or asked.shown(evidence)
    walk(lesson, asked, evidence)


@each_round
def test_no_run_is_called_by_a_number_alone(lesson: Lesson, asked: Round) -> None:
    """A page and a notebook say which run is on, and of which the stills are."""
    setting = asked.knob.values[0] if asked.knob else 0.0
    called = [asked.run_says.format(name) for name in asked.runs(setting)]
    assert [name for name in called if name.replace(".", "").isdecimal()] == []


@each_round
def test_a_chart_shows_the_repeat_that_the_answer_is_taken_from(lesson: Lesson, asked: Round) -> None:
    """The slower half of a duration's repeats does not count, so that the median of all is none of its numbers."""
    evidence = gathered(lesson, asked, slower=(1.5, 1.0, 1.4))
    found = asked.finding(evidence)
    told = found.repeat if isinstance(found, Key) else 0
    shown, alone = asked.shown(evidence, told), asked.shown(evidence.repeats[told])
    if isinstance(shown, Bars):
        assert isinstance(alone, Bars)
        assert shown.shown() == alone.shown()
        if isinstance(found, Key) and isinstance(asked.answer, Number):
            assert found.value[0] in shown.shown().values()
    elif isinstance(shown, Lines):
        assert isinstance(alone, Lines)
        assert all(set(line) <= set(shown.points[name]) for name, line in alone.points.items())


@each_round
def test_no_evidence_and_empty_logs_are_no_answer_where_something_is_run(lesson: Lesson, asked: Round) -> None:
    names = [name for one in lesson.sources(asked) for name in one.runs(one.knob.values[0] if one.knob else 0.0)]
    empty = Evidence({name: (Log(Scenario()),) for name in names}, machine=MACHINE)
    for evidence in (Evidence(), empty):
        walk(lesson, asked, evidence)
        if asked.has_runs:
            assert isinstance(asked.finding(evidence), Unclear)


KINDS = (TokenMade, StepStarted, StepEnded, HandoffEnded)


@st.composite
def odd(draw: st.DrawFn, evidence: Evidence) -> Evidence:
    """Cut short, with events missing, clocks standing still, runs lacking, cores taken."""

    def change(log: Log) -> Log:
        events: list[Event] = list(log.events)
        match draw(st.sampled_from(["as it was", "cut", "kind", "thinned", "still", "disturbed"])):
            case "cut":
                events = events[: draw(st.integers(0, len(events)))]
            case "kind":
                kind = draw(st.sampled_from(KINDS))
                events = [event for event in events if not isinstance(event, kind)]
            case "thinned":
                every = draw(st.integers(2, 5))
                events = [e for n, e in enumerate(events) if n % every or isinstance(e, Arrived)]
            case "still":
                events = [msgspec.structs.replace(event, t=0.0) for event in events]
            case "disturbed":
                return disturbed(log, draw(st.floats(0, 1)))
        return msgspec.structs.replace(log, events=tuple(events))

    logs = {}
    for run, repeats in evidence.logs.items():
        kept = draw(st.integers(0, len(repeats)))
        logs[run] = tuple(map(change, repeats[:kept]))
    return Evidence(logs, evidence.setting, draw(st.sampled_from([None, MACHINE])))


@each_round
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_odd_evidence_never_raises(lesson: Lesson, asked: Round, data: st.DataObject) -> None:
    walk(lesson, asked, data.draw(odd(sound(lesson.slug, asked.name))))


@each_round
def test_a_machine_that_is_twice_as_slow_now_and_then_gets_no_other_verdict(lesson: Lesson, asked: Round) -> None:
    """Noise may cost the verdict; it never makes a choice the opposite, nor "about the same"."""
    quiet = asked.finding(sound(lesson.slug, asked.name))
    assert isinstance(quiet, Key)
    for slower in ((1.0, 2.0, 1.0), (2.0, 1.0, 2.0)):
        noisy = asked.finding(gathered(lesson, asked, slower=slower))
        if isinstance(quiet.value, str) and isinstance(noisy, Key):
            assert noisy.value == quiet.value


@each_round
def test_taken_cores_do_not_narrow_what_is_known(lesson: Lesson, asked: Round) -> None:
    quiet = sound(lesson.slug, asked.name)
    key, noisy = asked.finding(quiet), asked.finding(with_logs(quiet, lambda log: disturbed(log, 0.3)))
    assert isinstance(key, Key)
    if isinstance(noisy, Unclear):
        assert asked.timed
        assert "too wide" in noisy.why
        return
    assert noisy.value == key.value
    assert all(low <= before for low, before in zip(noisy.low, key.low, strict=True))


# ---- the judges themselves


def samples(*values: float, lost: float = 0.0) -> list[Sample[float]]:
    return [Sample(value, n, lost, value * (1 - lost) if lost else None) for n, value in enumerate(values)]


def pairs(*ratios: float, lost: float = 0.0) -> list[Sample[dict[str, float]]]:
    """`lost`: of the first of the two."""
    calm = [{"a": ratio * (1 - lost), "b": 1.0} if lost else None for ratio in ratios]
    return [Sample({"a": ratio, "b": 1.0}, n, lost, calm[n]) for n, ratio in enumerate(ratios)]


def test_a_number_is_the_median_repeat_and_says_which() -> None:
    assert number(samples(10.0, 12.0, 11.0)) == Key((11.0,), (10.0,), (12.0,), 2)


def test_repeats_as_wide_as_what_counts_as_right_carry_no_verdict() -> None:
    assert number(samples(1.0, 0.99 * WIDEST))
    with pytest.raises(CannotTell, match=r"a factor of 1\.5"):
        number(samples(1.0, 1.01 * WIDEST))


def test_the_slower_half_of_a_duration_s_repeats_does_not_count() -> None:
    """A neighbour on the same host slows one run in three, and no CPU time shows it."""
    key = number(samples(380.0, 650.0, 400.0), duration=True)
    assert (key.value, key.low, key.high, key.slowest) == ((380.0,), (380.0,), (400.0,), 1)
    key = number(samples(650.0, 400.0, 660.0, 390.0, 700.0, 380.0), duration=True)
    assert (key.value, key.low, key.high, key.slowest, key.cut) == ((390.0,), (380.0,), (400.0,), 3, 0)
    assert number([*samples(380.0, 650.0, 400.0), Sample(100.0, 3, 0.5, 50.0)], duration=True).low == (380.0,)
    with pytest.raises(CannotTell):
        number(samples(380.0, 650.0, 400.0))
    with pytest.raises(CannotTell):
        number(samples(380.0, 650.0, 660.0), duration=True)
    assert not number(samples(380.0, 400.0), duration=True).slowest


def test_of_a_curve_the_slower_half_does_not_count_at_each_x() -> None:
    """Each of the others was slowed once, at another size: that says nothing against what they say elsewhere."""
    curves = [Sample((10.0, 20.0, 70.0), 0), Sample((16.0, 20.0, 40.0), 1), Sample((10.0, 21.0, 41.0), 2)]
    key = curve(curves, duration=True)
    assert key == Key((10.0, 21.0, 41.0), (10.0, 20.0, 40.0), (10.0, 21.0, 41.0), 2, 1)
    with pytest.raises(CannotTell):
        curve(curves)


def test_a_curve_that_is_told_is_one_repeat_s_and_within_its_range() -> None:
    """Where each has a point that does not count, the one that is the least above the others is told, and widens the
    range, or carries no verdict."""
    curves = [Sample((13.0, 20.0, 30.0), 0), Sample((10.0, 28.0, 30.0), 1), Sample((10.0, 20.0, 45.0), 2)]
    key = curve(curves, duration=True)
    assert (key.value, key.low, key.high) == ((13.0, 20.0, 30.0), (10.0, 20.0, 30.0), (13.0, 20.0, 30.0))
    curves[0] = Sample((15.5, 20.0, 30.0), 0)
    curves[1] = Sample((10.0, 31.0, 30.0), 1)
    with pytest.raises(CannotTell, match=r"a factor of 1\.5"):
        curve(curves, duration=True)


@pytest.mark.parametrize(("repeats", "cut"), [(2, 0), (3, 0), (5, 0), (6, 1), (8, 1), (9, 2)])
def test_of_many_repeats_those_at_either_end_do_not_count(repeats: int, cut: int) -> None:
    """Each third run or so of a host that is not one's own is an outlier; three repeats that agree are luck there."""
    steady, odd = [10.0] * (repeats - 2 * cut), [5.0, 30.0, 4.0, 40.0][: 2 * cut]
    key = number(samples(*odd, *steady))
    assert (key.value, key.low, key.high, key.cut) == ((10.0,), (10.0,), (10.0,), cut)
    with pytest.raises(CannotTell):  # one more than may be odd
        number(samples(*odd, *steady[:-1], 15.1))
    assert greatest(pairs(*(ratio / 10 for ratio in [*odd, *(2 * one for one in steady)]))).value == "a"


@given(st.integers(1, 40))
def test_the_median_lies_between_the_repeats_that_count_as_surely_as_among_three(repeats: int) -> None:
    cut = number([1.0] * repeats).cut
    outside = 2 * sum(math.comb(repeats, n) for n in range(cut + 1)) / 2**repeats
    assert repeats < 3 or outside <= 0.25


def test_disturbed_repeats_are_left_out_if_two_are_sound() -> None:
    assert number([*samples(10.0, 11.0), Sample(40.0, 2, 0.5)]).high == (11.0,)


def test_what_disturbed_another_run_says_nothing_against_this_one() -> None:
    evidence = sound("one-station", "freeze")
    calm, *_ = evidence.logs
    only = Evidence(
        {
            run: logs if run == calm else tuple(disturbed(log, 0.5) for log in logs)
            for run, logs in evidence.logs.items()
        }
    )
    assert only.lost > MOST
    assert only.only(calm).lost == evidence.only(calm).lost <= MOST
    with pytest.raises(CannotTell):
        evidence.only("no such run")


def test_where_all_are_disturbed_what_was_taken_widens_the_range() -> None:
    assert number(samples(10.0, 10.0, lost=0.15)).low == pytest.approx((8.5,))
    with pytest.raises(CannotTell, match="took up to 40 %"):
        number(samples(10.0, 10.0, lost=0.4))


def test_a_curve_is_one_repeat_s_and_never_made_up_of_several() -> None:
    drawn = [Sample([1.0, 10.0], 0), Sample([1.2, 12.0], 1), Sample([1.1, 11.0], 2)]
    assert curve(drawn) == Key((1.1, 11.0), (1.0, 10.0), (1.2, 12.0), 2)


@pytest.mark.parametrize(
    ("ratios", "answer"),
    [((4.0, 3.0, 5.0), "a"), ((0.3, 0.2, 0.25), "b"), ((1.05, 0.98, 1.0), SAME), ((1.16, 1.2), "a")],
)
def test_the_greatest_is_so_in_every_repeat(ratios: tuple[float, ...], answer: str) -> None:
    assert greatest(pairs(*ratios)).value == answer


@pytest.mark.parametrize("ratios", [(4.0, 0.9, 4.0), (1.3, 1.05, 1.0), (0.7, 1.4), (1.14, 1.16)])
def test_noise_that_hides_a_difference_is_not_the_same(ratios: tuple[float, ...]) -> None:
    with pytest.raises(CannotTell, match="ratio"):
        greatest(pairs(*ratios))


def test_a_large_difference_stands_though_cores_were_taken_a_small_one_does_not() -> None:
    assert greatest(pairs(4.0, 3.0, lost=0.4)).value == "a"
    with pytest.raises(CannotTell):
        greatest(pairs(1.5, 1.4, lost=0.4))
    with pytest.raises(CannotTell):
        greatest(pairs(1.0, 1.0, lost=0.4))


def test_where_about_the_same_is_no_answer_it_is_none() -> None:
    with pytest.raises(CannotTell):
        greatest(pairs(1.0, 1.0), same=None)


def test_what_must_be_exact_has_one_value() -> None:
    assert exact(samples(5.0, 5.0, lost=0.9)).value == (5.0,)
    with pytest.raises(CannotTell):
        exact(samples(5.0, 6.0))


def test_repeats_that_name_different_options_agree_on_none() -> None:
    assert agreed([Sample("a"), Sample("a", 1)]).value == "a"
    with pytest.raises(CannotTell):
        agreed([Sample("a"), Sample("b", 1)])


def test_a_guess_within_the_range_is_right() -> None:
    key = number(samples(10.0, 12.0, 14.0))
    assert [judged((guess,), key).word for guess in (13.9, 23.9, 24.1)] == ["right", "close", "off"]


@pytest.mark.parametrize(("slug", "name"), [("the-road-is-broken", "broken"), ("four-gpus", "verdict")])
def test_what_waits_for_a_road_stays_known_though_half_of_a_core_was_taken(slug: str, name: str) -> None:
    asked = next(asked for lesson, asked in ROUNDS if (lesson.slug, asked.name) == (slug, name))
    evidence = with_logs(sound(slug, name), lambda log: disturbed(log, 0.5))
    assert evidence.lost == pytest.approx(0.5)
    assert isinstance(asked.finding(evidence), Key)


def test_what_waits_for_a_held_up_step_does_not() -> None:
    asked = next(asked for lesson, asked in ROUNDS if (lesson.slug, asked.name) == ("one-station", "freeze"))
    found = asked.finding(with_logs(sound("one-station", "freeze"), lambda log: disturbed(log, 0.5)))
    assert isinstance(found, Unclear)


def test_a_claim_that_may_have_failed_because_all_repeats_were_disturbed_is_left_open() -> None:
    """Neither its sentence nor the other one is shown: what was seen says no, and what may have been says yes."""
    quiet = sound("one-station", "freeze")
    least_s = 0.8 * min(e2e_s(repeat.log("with the giant")) for repeat in quiet.repeats)
    claim = Claim("It takes less.", "freeze", lambda one: e2e_s(one.log("with the giant")) < least_s)
    assert claim.holds(quiet) is False
    assert claim.holds(with_logs(quiet, lambda log: disturbed(log, 0.5))) is None


def test_a_claim_counts_as_many_repeats_as_a_key_does() -> None:
    quick = sound("one-station", "freeze").log("with the giant")
    slow = log_of(quick.scenario, 3.0)
    claim = Claim("It takes less.", "freeze", lambda one: e2e_s(one.log("run")) < 1.5 * e2e_s(quick))

    def holds(*logs: Log, told: int | None = None) -> bool | None:
        return claim.holds(Evidence({"run": logs}), told)

    assert holds(quick, quick, slow) is None
    five = [quick] * 5
    assert holds(*five, slow) is True
    assert holds(*five, slow, told=0) is True
    assert holds(*five, slow, told=5) is None, "the numbers beside it say otherwise"
    assert holds(*[slow] * 5, quick) is False
    assert holds(*five[:4], slow, slow) is None

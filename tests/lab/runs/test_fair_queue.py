"""Turns at the one engine: no learner waits for more than one run of any other."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st

from engine.live.process.host import Broken, EngineReady, Over, StartRun, StopRun
from engine.scenario import Scenario
from lab.runs import engine_client
from lab.runs.engine_client import EngineClient
from lab.runs.engine_settings import EngineSettings
from lab.runs.fair_queue import FairQueue
from lab.runs.run_feed import AWAY_S, RunFeed
from tests.lab.conftest import LONG, Lab, Visitor

ASKS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 50)), min_size=1, max_size=8)


def drained(queue: FairQueue[str]) -> Iterator[str]:
    while (one := queue.take()) is not None:
        yield one


def job(learner: str, runs: int, name: str = "") -> list[str]:
    return [f"{learner}{name} {n}" for n in range(runs)]


@given(st.integers(0, 49))
def test_fifty_runs_of_one_delay_another_by_one_run_at_most(already: int) -> None:
    queue: FairQueue[str] = FairQueue()
    queue.put("greedy", job("greedy", 50))
    for _ in range(already + 1):  # the last of these is on
        queue.take()
    queue.put("patient", job("patient", 1))
    assert queue.take() == "patient 0"


@given(ASKS)
def test_in_any_order_of_asking_turns_go_round(asks: list[tuple[str, int]]) -> None:
    queue: FairQueue[str] = FairQueue()
    left: dict[str, int] = {}
    for learner, runs in asks:
        assert len(queue.put(learner, job(learner, runs))) == left.get(learner, 0)
        left[learner] = runs
    foretold, ran = queue.in_turn(), list(drained(queue))
    assert ran == foretold
    assert len(ran) == sum(left.values())
    for n in range(len(ran) - 1):
        if ran[n][0] == ran[n + 1][0]:  # twice running only when nobody else waits
            assert {run[0] for run in ran[n:]} == {ran[n][0]}


def test_a_newer_job_takes_the_place_of_the_one_that_waits() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.put("a", job("a", 2, "old"))
    queue.put("b", job("b", 1))
    assert queue.put("a", job("a", 1, "new")) == ("aold 0", "aold 1")
    assert list(drained(queue)) == ["anew 0", "b 0"]


def test_the_instructor_comes_first_and_takes_nobody_s_turn() -> None:
    queue: FairQueue[str] = FairQueue()
    for learner in "abc":
        queue.put(learner, job(learner, 2))
    assert queue.take() == "a 0"
    queue.put_first("class")
    assert list(drained(queue)) == ["class", "b 0", "c 0", "a 1", "b 1", "c 1"]


def test_what_is_taken_out_is_not_run() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.put("a", job("a", 2))
    assert queue.remove("a 0")
    assert not queue.remove("a 0")
    assert queue.clear() == ["a 1"]
    assert queue.take() is None


# ---- in the engine's client


class Heard:
    """Stands in for the line to the engine."""

    def __init__(self) -> None:
        self.runs: list[str | StopRun] = []

    def send(self, said: StartRun | StopRun) -> None:
        self.runs.append(said.run if isinstance(said, StartRun) else said)


@pytest.fixture
def engine() -> EngineClient:
    client = EngineClient(EngineSettings(), RunFeed(lambda act: act()))
    client.state, client._process = "ready", Heard()  # type: ignore[assignment]
    return client


def sent(engine: EngineClient) -> list[str | StopRun]:
    return engine._process.runs  # type: ignore[union-attr,no-any-return]


def refused(engine: EngineClient, run: str) -> str:
    known = engine.run(run)
    assert known is not None
    return known.refused


def test_the_engine_is_asked_in_turn_and_places_are_told(engine: EngineClient) -> None:
    greedy = engine.start_all([Scenario()] * 50, by="greedy")
    patient = engine.start(Scenario(), by="patient")
    assert sent(engine) == greedy[:1]
    assert (engine.place(patient), engine.place(greedy[1]), engine.place(greedy[0])) == (1, 2, 0)
    assert engine.queue_words(patient) == "place 1 in the queue for the engine."
    engine._hear(Over(greedy[0]))
    assert sent(engine) == [greedy[0], patient]
    assert engine.wait_s(greedy[2]) >= engine.wait_s(greedy[1]) >= 0  # type: ignore[operator]


def test_who_asks_again_is_told_what_became_of_the_first(engine: EngineClient) -> None:
    engine.start(Scenario(), by="somebody else")
    old = engine.start(Scenario(), by="me")
    new = engine.start(Scenario(), by="me")
    assert "something newer" in refused(engine, old)
    assert (engine.place(old), engine.place(new)) == (0, 1)


def test_the_instructor_s_run_is_next(engine: EngineClient) -> None:
    on, *_ = engine.start_all([Scenario()] * 3, by="a")
    engine.start(Scenario(), by="b")
    shown = engine.start(Scenario(), by="class", first=True)
    assert engine.place(shown) == 1
    engine._hear(Over(on))
    assert sent(engine)[-1] == shown


def test_a_run_taken_out_of_the_queue_never_starts(engine: EngineClient) -> None:
    on = engine.start(Scenario(), by="a")
    waiting = engine.start(Scenario(), by="b")
    engine.stop(waiting)
    engine._hear(Over(on))
    assert sent(engine) == [on]
    assert refused(engine, waiting)


def test_a_run_whose_owner_has_left_makes_room_for_who_waits(engine: EngineClient) -> None:
    on, later = engine.start_all([Scenario()] * 2, by="gone")
    leave(engine, on, later)
    engine.make_room()
    assert sent(engine) == [on], "nobody else waits, so it may go on"
    waiting = engine.start(Scenario(), by="b")
    assert sent(engine) == [on, StopRun(on)]
    assert engine.place(waiting) == 1
    assert refused(engine, later)


def test_a_run_whose_page_is_loaded_again_and_one_that_nobody_ever_watched_go_on(engine: EngineClient) -> None:
    on = engine.start(Scenario(), by="a")
    engine.start(Scenario(), by="b")
    known = engine.run(on)
    assert known is not None
    engine.make_room()
    known.owner_came()
    known.owner_came()
    known.owner_went()
    known.owner_went()
    engine.make_room()  # gone for a moment
    known.owner_came()
    known.left_s = None
    engine.make_room()
    assert sent(engine) == [on]


def leave(engine: EngineClient, *runs: str) -> None:
    """Their owner's page was closed a while ago."""
    for run in runs:
        known = engine.run(run)
        assert known is not None
        known.owner_came()
        known.owner_went()
        assert known.left_s is not None
        known.left_s -= AWAY_S


def test_a_broken_engine_tells_all_that_waited(engine: EngineClient) -> None:
    runs = [engine.start(Scenario(), by=learner) for learner in "abc"]
    engine._broke("It burnt down.")
    assert [refused(engine, run) for run in runs] == ["It burnt down."] * 3
    assert refused(engine, engine.start(Scenario(), by="d")) == "It burnt down."


@pytest.fixture
def starts(engine: EngineClient, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The arguments of each start; none is made."""
    made: list[list[str]] = []

    def start(arguments: list[str], *_: object) -> Heard:
        made.append(arguments)
        return Heard()

    monkeypatch.setattr(engine_client, "EngineProcess", start)
    return made


def test_an_engine_that_dies_is_started_again_and_who_waited_still_waits(
    engine: EngineClient, starts: list[list[str]]
) -> None:
    on, waiting = engine.start(Scenario(), by="a"), engine.start(Scenario(), by="b")
    engine._ended("was killed by signal 9")
    assert (engine.state, len(starts)) == ("starting", 1)
    lost = "The engine's process was killed by signal 9 in the middle of this. It starts again: ask once more."
    assert refused(engine, on) == lost
    assert engine.place(waiting) == 1
    engine._hear(EngineReady("made up", ("shm",), "fp32"))
    assert sent(engine) == [waiting]


def test_an_engine_that_dies_again_and_again_is_given_up_in_words(
    engine: EngineClient, starts: list[list[str]]
) -> None:
    for _ in range(3):
        engine._ended("ended with exit code 1")
    assert (engine.state, len(starts)) == ("broken", 2)
    assert engine.why.startswith("The engine's process ended with exit code 1, 3 times within 10 minutes")
    assert refused(engine, engine.start(Scenario(), by="late")) == engine.why


def test_an_engine_that_ends_with_the_lab_or_says_why_it_can_t_go_on_is_left_alone(
    engine: EngineClient, starts: list[list[str]]
) -> None:
    engine._hear(Broken("It burnt down."))
    engine._ended("ended with exit code 0")
    assert (engine.state, engine.why) == ("broken", "It burnt down.")
    engine.state = "off"
    engine._ended("ended with exit code 0")
    assert (engine.state, starts) == ("off", [])


def test_the_engine_ready_late_takes_the_first(engine: EngineClient) -> None:
    engine.state = "starting"
    run = engine.start(Scenario(), by="a")
    assert sent(engine) == []
    engine._hear(EngineReady("made up", ("shm",), "fp32"))
    assert sent(engine) == [run]


# ---- on the real page

SHORT = "kitchen=Two+stations+and+a+pass&rate=all+at+once&answer=8&prompt=16&long=as+the+others&orders=1"


@pytest.mark.live
def test_who_waits_sees_the_place_comes_after_one_run_and_may_leave_the_line(lab: Lab) -> None:
    """Who asks 25 times has one run in progress and one waiting; the next learner's run comes first."""
    with (
        Visitor(lab, LONG, cookie="G" * 22) as greedy,
        Visitor(lab, SHORT, cookie="P" * 22) as patient,
    ):
        running = greedy.open()
        others = [
            Visitor(lab, SHORT, cookie="G" * 22) for _ in range(24)
        ]  # of the 32 sockets that one browser may have
        waiting = [again.__enter__().open() for again in others]
        line = patient.open()
        assert "place 1 in the queue" in said(patient)
        others[-1].run()
        assert "place 2 in the queue" in said(others[-1])
        greedy.press("Stop")
        for stream in (running, line, waiting[-1]):
            with lab.watch(stream) as watched:
                assert json.loads(list(watched)[-1]) == {"over": True, "refused": ""}
        for stream in waiting[-5:-1]:
            with lab.watch(stream) as watched:
                assert "something newer" in json.loads(list(watched)[-1])["refused"]

        for visitor in (greedy, patient):
            visitor.run()
        greedy.open()
        gone = patient.open()
        patient.press("Stop")
        with lab.watch(gone) as watched:
            assert "out of the queue" in json.loads(list(watched)[-1])["refused"]
        greedy.stop()
        for again in others:
            again.__exit__()


def said(visitor: Visitor) -> str:
    return "\n".join(caption.body for caption in visitor.all("markdown"))

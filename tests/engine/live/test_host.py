"""The engine as the lab has it: a child process that runs scenarios one after the other, changed while they run."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Pipe

import msgspec
import pytest

from engine.events import Deployed, Event, LinkChanged, TokenMade, WorkerDown
from engine.grammar import check
from engine.link import LinkSpec
from engine.live.process.host import (
    AddRequest,
    Asked,
    ChangeDeployment,
    ChangeLink,
    Declined,
    EngineReady,
    Examine,
    Examined,
    Happened,
    KillWorker,
    Over,
    Quit,
    RunRefused,
    StartRun,
    StopRun,
    Told,
)
from engine.log import in_order
from engine.metrics import summarize
from engine.scenario import Deployment, ModelSpec, Scenario, Workload
from tests.disturbed import children
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.live

TINY = ModelSpec("tiny-llama", "fp32")
SCENARIO = Scenario(Deployment(), LinkSpec(5e6), Workload(6, None, 200, 30, ignore_eos=True), TINY)


class Lab:
    """The other end of the host's channel."""

    def __init__(self) -> None:
        self.channel, theirs = Pipe()
        fd = theirs.fileno()
        arguments = [str(fd), msgspec.json.encode(Scenario(model=TINY)).decode(), "shm,tcp"]
        self.process = subprocess.Popen([sys.executable, "-m", "engine.live.process.host", *arguments], pass_fds=[fd])
        theirs.close()
        self._decoder = msgspec.msgpack.Decoder(Told)

    def ask(self, message: Asked) -> None:
        self.channel.send_bytes(msgspec.msgpack.encode(message))

    def hear(self) -> Told:
        assert self.channel.poll(PATIENCE_S), "the host says nothing"
        told: Told = self._decoder.decode(self.channel.recv_bytes())
        return told

    def run(
        self, ask: StartRun, react: Callable[[Event], Asked | None] = lambda event: None
    ) -> tuple[list[Event], list[Told]]:
        """Events of a run in order, and whatever else was said; `react` may answer each event with one message."""
        self.ask(ask)
        events: list[Event] = []
        rest: list[Told] = []
        while not isinstance(told := self.hear(), Over | RunRefused):
            if not isinstance(told, Happened):
                rest.append(told)
                continue
            events += told.events
            for event in told.events:
                if answer := react(event):
                    self.ask(answer)
        return list(in_order(events)), [*rest, told]


def once(moment: Callable[[Event], bool], answer: Asked) -> Callable[[Event], Asked | None]:
    waiting = [answer]
    return lambda event: waiting.pop() if waiting and moment(event) else None


def third_token(event: Event) -> bool:
    return isinstance(event, TokenMade) and event.index == 2


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    running = Lab()
    assert isinstance(running.hear(), EngineReady)
    yield running
    running.ask(Quit())
    assert running.process.wait(PATIENCE_S) == 0


@pytest.fixture(scope="module")
def expected(lab: Lab) -> dict[str, tuple[int, ...]]:
    events, _ = lab.run(StartRun("calm", SCENARIO))
    check(events)
    return answers(events)


def answers(events: list[Event]) -> dict[str, tuple[int, ...]]:
    return {request.id: request.output_ids for request in summarize(events).requests}


@pytest.mark.parametrize("kind", ["colocated", "chunked"])
def test_deployment_changes_in_mid_run_without_a_worker_starting_anew(
    lab: Lab, expected: dict[str, tuple[int, ...]], kind: str
) -> None:
    change = ChangeDeployment("r", Deployment(kind))  # type: ignore[arg-type]
    events, _ = lab.run(StartRun("r", SCENARIO), once(third_token, change))
    check(events)
    assert [event.deployment for event in events if isinstance(event, Deployed)] == ["disaggregated", kind]
    assert not any(isinstance(event, WorkerDown) for event in events)
    assert answers(events) == expected


def test_request_is_added_and_the_others_answer_as_before(lab: Lab, expected: dict[str, tuple[int, ...]]) -> None:
    events, _ = lab.run(StartRun("r", SCENARIO), once(third_token, AddRequest("r", "Why is the sky blue?")))
    check(events)
    results = answers(events)
    assert results.keys() - expected.keys() == {"own1"}
    assert {name: results[name] for name in expected} == expected


def test_what_cannot_be_done_is_declined_in_one_sentence_and_the_run_goes_on(
    lab: Lab, expected: dict[str, tuple[int, ...]]
) -> None:
    for ask in (
        AddRequest("r", "word " * 5000),
        KillWorker("r", "worker-9"),
        ChangeDeployment("r", Deployment(workers=3)),
        ChangeLink("r", LinkSpec(-1.0)),
    ):
        events, rest = lab.run(StartRun("r", SCENARIO), once(third_token, ask))
        declined, over = rest
        assert isinstance(declined, Declined)
        assert isinstance(over, Over)
        assert declined.why.endswith(".")
        assert answers(events) == expected


def test_link_changes_and_stop_cancels_what_is_open(lab: Lab) -> None:
    events, _ = lab.run(StartRun("r", SCENARIO), once(third_token, ChangeLink("r", LinkSpec(9e6))))
    assert LinkChanged in [type(event) for event in events[5:]]
    events, _ = lab.run(StartRun("s", SCENARIO), once(third_token, StopRun("s")))
    check(events)
    assert "cancelled" in [request.finished for request in summarize(events).requests]


def test_a_run_that_can_never_be_served_is_refused(lab: Lab) -> None:
    too_long = msgspec.structs.replace(SCENARIO, workload=Workload(1, None, 3000, 8))
    _, (refused,) = lab.run(StartRun("r", too_long))
    assert isinstance(refused, RunRefused)
    assert "prompt tokens" in refused.why


def test_host_ends_with_its_workers_when_the_lab_is_gone() -> None:
    lonely = Lab()
    assert isinstance(lonely.hear(), EngineReady)
    workers = children(lonely.process.pid)
    assert len(workers) == 2
    lonely.channel.close()
    lonely.process.wait(PATIENCE_S)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)


def test_the_machine_is_measured_in_a_turn_of_its_own(lab: Lab) -> None:
    lab.ask(Examine("m", TINY))
    examined, over = lab.hear(), lab.hear()
    assert isinstance(examined, Examined)
    assert over == Over("m")
    assert examined.machine.peak_flops_per_s > 0
    lab.ask(Examine("m", ModelSpec("no-such-model")))
    assert isinstance(lab.hear(), RunRefused)

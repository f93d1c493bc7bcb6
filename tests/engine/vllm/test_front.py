"""A front with vLLM behind it, here a stand-in: runs, links, other deployments, and servers that end."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from engine.errors import BadInput, WorkerFailed
from engine.events import Arrived, Event, Failed, Finished, HandoffEnded, LinkChanged, TokenMade, Watched
from engine.grammar import check
from engine.link import LinkSpec
from engine.live.process.run import make_requests, run_on
from engine.log import Log
from engine.scenario import Deployment, Kind, ModelSpec, Scenario, Workload
from engine.vllm import road
from engine.vllm.front import VllmFront
from engine.vllm.possible import possible_scenario
from tests.disturbed import children
from tests.engine.vllm.stand_in import BREAKS, FAKE, python_with
from tests.patience import comes

pytestmark = pytest.mark.live
MODEL = ModelSpec("tiny-llama", "fp32")
UNPACED = LinkSpec()
Kept = TypeVar("Kept")
LOAD = Workload(requests=3, prompt_tokens=40, output_tokens=5, ignore_eos=True)


@pytest.fixture
def python(tmp_path: Path) -> str:
    return python_with(FAKE, tmp_path)


def scenario(kind: Kind, link: LinkSpec = UNPACED, load: Workload = LOAD) -> Scenario:
    return possible_scenario(Scenario(Deployment(kind), link, load, MODEL))


@pytest.fixture
def front(python: str) -> Iterator[VllmFront]:
    before = children(os.getpid())
    with VllmFront(Deployment(), LinkSpec(), MODEL, python=python, paced=False) as made:
        made.start()
        assert comes(lambda: made.ready)
        yield made
    assert comes(lambda: children(os.getpid()) == before)


def heard(front: VllmFront, events: list[Event]) -> bool:
    """Whether no request is open any more; what was said until then is added to `events`."""
    events += front.poll(0.1)
    return front.idle


def run(front: VllmFront, asked: Scenario) -> Log:
    front.deploy(asked.deployment)
    assert comes(lambda: front.ready)
    log = run_on(front, asked, make_requests(asked))
    check(log.events)
    return log


def found(log: Log, kind: type[Kept]) -> list[Kept]:
    return [event for event in log.events if isinstance(event, kind)]


def test_runs_follow_each_other_on_the_same_servers(front: VllmFront) -> None:
    first, second = (run(front, scenario("disaggregated")) for _ in range(2))
    for log in (first, second):
        assert sorted(event.request for event in found(log, Finished)) == ["r1", "r2", "r3"]
        assert len(found(log, TokenMade)) == 15
        assert len(found(log, HandoffEnded)) == 3
        assert len(found(log, Watched)) == 1
        assert "".join(event.text for event in found(log, TokenMade) if event.request == "r1")
        assert {event.worker for event in found(log, TokenMade)} == {"decode-1"}
        assert all(event.t >= 0 for event in found(log, Arrived))


def test_another_deployment_means_other_servers(front: VllmFront) -> None:
    before = children(os.getpid())
    log = run(front, scenario("colocated"))
    assert children(os.getpid()) != before
    assert {event.worker for event in found(log, TokenMade)} == {"worker-0", "worker-1"}
    assert not found(log, HandoffEnded)


def test_a_server_that_dies_fails_its_requests_and_the_next_run_starts_others(front: VllmFront) -> None:
    fatal = Workload(requests=1, prompt_tokens=BREAKS, output_tokens=5, ignore_eos=True)
    log = run(front, scenario("disaggregated", load=fatal))
    assert [event.reason for event in found(log, Finished)] == ["failed"]
    assert len(found(log, Failed)) == 1
    assert len(found(run(front, scenario("disaggregated")), HandoffEnded)) == 3


def test_nothing_outlives_a_keeper_that_is_killed(front: VllmFront) -> None:
    assert front._running is not None
    keeper = front._running._keeper
    servers = children(keeper.pid)
    assert servers
    os.kill(keeper.pid, signal.SIGKILL)
    asked = scenario("disaggregated")
    (request, *_) = make_requests(asked)
    assert comes(lambda: heard(front, []) and front._running is None)
    assert comes(lambda: not any(Path(f"/proc/{pid}").exists() for pid in servers))
    front.submit(request)
    events: list[Event] = []
    assert comes(lambda: heard(front, events))
    assert [event.reason for event in events if isinstance(event, Finished)] == ["failed"]


def test_a_cancelled_request_ends(front: VllmFront) -> None:
    asked = scenario("disaggregated", load=Workload(requests=1, prompt_tokens=40, output_tokens=1500, ignore_eos=True))
    (request,) = make_requests(asked)
    front.submit(request)
    front.cancel(request.id)
    events: list[Event] = []
    assert comes(lambda: heard(front, events))
    assert [event.reason for event in events if isinstance(event, Finished)] == ["cancelled"]


def test_what_vllm_cannot_do_is_declined_in_a_sentence(front: VllmFront) -> None:
    with pytest.raises(BadInput, match="left alive with vLLM"):
        front.kill("decode-0")
    with pytest.raises(BadInput, match="whole with vLLM"):
        front.deploy(Deployment(ship="layers"))
    with pytest.raises(BadInput, match="none with vLLM here"):
        front.set_link(LinkSpec(1e6))
    with pytest.raises(BadInput, match="only the bandwidth"):
        front.set_link(LinkSpec(None, 0.01))
    (request, *_) = make_requests(scenario("disaggregated"))
    front.submit(request)
    with pytest.raises(BadInput, match="kept while requests are open"):
        front.deploy(Deployment("colocated"))


def test_a_vllm_that_does_not_start_says_why(tmp_path: Path) -> None:
    package = tmp_path / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    (package / "api_server.py").write_text("raise ValueError('no such model')")
    (tmp_path / "nixl.py").touch()
    python = python_with(tmp_path, tmp_path)
    before = children(os.getpid())
    with VllmFront(Deployment(), LinkSpec(), MODEL, python=python, paced=False) as front:
        front.start()
        with pytest.raises(WorkerFailed, match=r"ended: ValueError: no such model"):
            comes(lambda: front.ready)
    assert comes(lambda: children(os.getpid()) == before)


@pytest.mark.skipif(bool(road.refused()), reason=f"no link can be paced here: {road.refused()}")
def test_the_link_changes_in_the_middle_of_a_run(python: str) -> None:
    link = LinkSpec(20e6)
    with VllmFront(Deployment(), link, MODEL, python=python, paced=True) as front:
        front.start()
        assert comes(lambda: front.ready)
        changed = False

        def watch(events: list[Event]) -> None:
            nonlocal changed
            if not changed and any(isinstance(event, HandoffEnded) for event in events):
                changed = True
                front.set_link(LinkSpec(5e6))

        load = Workload(requests=4, rate_per_s=2.0, prompt_tokens=40, output_tokens=5, ignore_eos=True)
        asked = scenario("disaggregated", link, load)
        front.deploy(asked.deployment)
        log = run_on(front, asked, make_requests(asked), watch)
    check(log.events)
    assert [event.bandwidth_bytes_per_s for event in found(log, LinkChanged)] == [20e6, 5e6]
    paces = [event.configured_bytes_per_s for event in found(log, HandoffEnded)]
    assert (paces[0], paces[-1]) == (20e6, 5e6)

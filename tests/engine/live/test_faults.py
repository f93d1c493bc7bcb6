"""kill -9, a hung worker, a corrupt tray, a cut link, too little memory: every request ends, with the same tokens."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from engine.errors import BadInput
from engine.events import Event, HandoffEnded, HandoffMoved, Recalled, TokenMade, WorkerDown, WorkerUp
from engine.link import LinkSpec
from engine.live.process import seat as seats
from engine.live.process.front import Front
from engine.live.process.run import make_requests, run_live
from engine.log import in_order
from engine.metrics import summarize
from engine.scenario import Deployment, ModelSpec, Scenario, Workload
from tests.disturbed import answers, children, is_prefill, names, recalled, run_on_front
from tests.patience import comes

pytestmark = pytest.mark.live

TINY = ModelSpec("tiny-llama", "fp32")
SPLIT = Deployment("disaggregated")
SCENARIO = Scenario(
    SPLIT, LinkSpec(2e6, 0.001), Workload(requests=4, prompt_tokens=300, output_tokens=40, ignore_eos=True), TINY
)


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    before, others = names(), set(children())
    with Front(SPLIT, LinkSpec(), TINY, transports=("shm", "tcp")) as running:
        running.start()
        yield running
    assert set(children()) <= others, "a process was left behind"
    assert comes(lambda: names() <= before), "shared memory was left behind"  # what others have may come and go


@pytest.fixture(scope="module")
def undisturbed(front: Front) -> dict[str, tuple[int, ...]]:
    return answers(run_on_front(front, SCENARIO))


def kill_when(worker: str, moment: Callable[[Event], bool]) -> Callable[[Front, Event], bool]:
    def fault(front: Front, event: Event) -> bool:
        if not moment(event):
            return False
        front.kill(worker)
        return True

    return fault


MOMENTS = {
    "prefill worker in mid-prefill": ("worker-0", is_prefill),
    "prefill worker in mid-shipment": ("worker-0", lambda event: isinstance(event, HandoffMoved)),
    "decode worker in mid-shipment": ("worker-1", lambda event: isinstance(event, HandoffMoved)),
    "decode worker in mid-decode": ("worker-1", lambda event: isinstance(event, TokenMade) and event.index == 10),
}


WAYS = [("whole", "shm"), ("layers", "tcp"), ("whole", "tcp"), ("layers", "shm")]
# Each two of moment, ship and transport come together somewhere: a worker that starts takes seconds.
KILLS = [(moment, *way) for number, moment in enumerate(MOMENTS) for way in (WAYS[:2], WAYS[2:])[number % 2]]


@pytest.mark.parametrize(("moment", "ship", "transport"), KILLS)
def test_killed_worker(
    front: Front, undisturbed: dict[str, tuple[int, ...]], moment: str, ship: str, transport: str
) -> None:
    deployment = msgspec.structs.replace(SPLIT, ship=ship, transport=transport)
    scenario = msgspec.structs.replace(SCENARIO, deployment=deployment)
    log = run_on_front(front, scenario, kill_when(*MOMENTS[moment]))
    assert any(isinstance(event, WorkerDown) for event in log.events)
    assert recalled(log), "nobody was disturbed"
    assert answers(log) == undisturbed


def signals(front: Front, worker: str, *numbers: signal.Signals) -> None:
    (process,) = [seat.process for seat in front.seats if seat.name == worker]
    assert process is not None
    for number in numbers:
        process.send_signal(number)


@pytest.mark.parametrize(
    ("moment", "transport"),
    [
        ("prefill worker in mid-prefill", "shm"),
        ("decode worker in mid-shipment", "tcp"),
        ("decode worker in mid-decode", "shm"),
    ],
)
def test_stopped_worker_is_replaced_like_a_dead_one(
    front: Front,
    undisturbed: dict[str, tuple[int, ...]],
    moment: str,
    transport: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seats, "LOOKS", 3)
    worker, when = MOMENTS[moment]

    def fault(front: Front, event: Event) -> bool:
        if when(event):
            signals(front, worker, signal.SIGSTOP)
        return when(event)

    scenario = msgspec.structs.replace(SCENARIO, deployment=msgspec.structs.replace(SPLIT, transport=transport))
    log = run_on_front(front, scenario, fault)
    assert {event.why for event in log.events if isinstance(event, WorkerDown)} == {"it had not answered for 3 s"}
    assert any(isinstance(event, Recalled) and "had not answered" in event.why for event in log.events)
    assert answers(log) == undisturbed


def test_a_worker_that_stood_still_for_a_moment_stays(front: Front, undisturbed: dict[str, tuple[int, ...]]) -> None:
    def fault(front: Front, event: Event) -> bool:
        if is_prefill(event):
            signals(front, "worker-0", signal.SIGSTOP)
            time.sleep(1.0)  # the fault itself
            signals(front, "worker-0", signal.SIGCONT)
        return is_prefill(event)

    log = run_on_front(front, SCENARIO, fault)
    assert not any(isinstance(event, WorkerDown) for event in log.events)
    assert answers(log) == undisturbed


def test_time_in_which_the_front_itself_stood_still_does_not_count(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seats, "LOOKS", 1)
    front.poll(1.0)
    time.sleep(4.0)  # a laptop sleeps
    assert not any(isinstance(event, WorkerDown) for event in front.poll(0.0))


def test_a_worker_that_reads_no_more_does_not_hold_up_the_front(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats, "LOOKS", 3)
    kill_idle(front, "worker-0")  # its channel gets the new limit
    signals(front, "worker-0", signal.SIGSTOP)
    many = msgspec.structs.replace(SCENARIO, workload=Workload(150, None, 1500, 2))
    for request in make_requests(many):  # more than the channel holds
        front.submit(request)
    events = front.poll(0.0)
    while not any(isinstance(event, WorkerDown) for event in events):
        events += front.poll(1.0)
    for name in front.router.open_requests():
        front.cancel(name)
    while not front.idle:
        front.poll(1.0)


@pytest.mark.parametrize("transport", ["shm", "tcp"])
def test_memory_of_a_dead_worker_is_let_go(front: Front, transport: str) -> None:
    """Killed between runs: nobody writes to it, so only the front can tell the prefill worker."""
    scenario = msgspec.structs.replace(SCENARIO, deployment=msgspec.structs.replace(SPLIT, transport=transport))
    front.deploy(scenario.deployment)  # on a device, workers meet over its transport when they start
    kill_idle(front, "worker-1")
    run_on_front(front, scenario)
    before = held(front, "worker-0")
    kill_idle(front, "worker-1")
    run_on_front(front, scenario)
    assert comes(lambda: held(front, "worker-0") == before), f"{before} became {held(front, 'worker-0')}"


def kill_idle(front: Front, worker: str) -> None:
    """Kill it and wait for the one that takes its place."""
    front.kill(worker)
    events: list[Event] = []
    while not any(isinstance(event, WorkerUp) for event in events):
        events += front.poll(1.0)


def held(front: Front, worker: str) -> tuple[int, int]:
    """How many KV pools its process has mapped, and how many descriptors it has open."""
    (process,) = [seat.process for seat in front.seats if seat.name == worker]
    assert process is not None
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    return maps.count("memfd:kv-pool"), len(os.listdir(f"/proc/{process.pid}/fd"))


def test_corrupt_tray_is_noticed_and_made_again(front: Front, undisturbed: dict[str, tuple[int, ...]]) -> None:
    def fault(front: Front, event: Event) -> bool:
        front.corrupt("worker-1")
        return True

    log = run_on_front(front, SCENARIO, fault)
    assert [handoff.verified for handoff in summarize(log.events).handoffs].count(False) == 1
    assert answers(log) == undisturbed


def test_cut_link_makes_trays_wait_until_it_is_mended(front: Front, undisturbed: dict[str, tuple[int, ...]]) -> None:
    requests = make_requests(SCENARIO)
    front.set_link(SCENARIO.link)
    front.deploy(SPLIT)
    events = front.poll(0.0)
    for request in requests:
        front.submit(request)
    while not any(isinstance(event, HandoffMoved) for event in events):
        events += front.poll(1.0)
    front.set_link(LinkSpec(0.0))
    cut: list[Event] = []
    for _ in range(100):  # until nothing more is heard: the other requests are prefilled, and wait
        cut += (fresh := front.poll(0.5))
        if not fresh:
            break
    assert not front.idle
    assert not any(isinstance(event, HandoffEnded) for event in cut)
    front.set_link(LinkSpec(200e6))
    mended: list[Event] = []
    while not front.idle:
        mended += front.poll(1.0)
    everything = in_order([*events, *cut, *mended])
    assert {r.id: r.output_ids for r in summarize(everything).requests} == undisturbed


def test_link_raised_in_mid_shipment_speeds_up_the_tray_in_flight(front: Front) -> None:
    slow = msgspec.structs.replace(SCENARIO, link=LinkSpec(50e3), workload=Workload(1, None, 300, 4, ignore_eos=True))

    def fault(front: Front, event: Event) -> bool:
        if isinstance(event, HandoffMoved):
            front.set_link(LinkSpec(200e6))
            return True
        return False

    log = run_on_front(front, slow, fault)
    (ended,) = [event for event in log.events if isinstance(event, HandoffEnded)]
    assert ended.verified
    assert ended.seconds < LinkSpec(50e3).seconds(ended.nbytes) / 2


def test_too_small_a_pool_makes_requests_wait_and_never_fail(front: Front) -> None:
    plenty = msgspec.structs.replace(SCENARIO, link=LinkSpec(), workload=Workload(10, None, 100, 40, ignore_eos=True))
    little = msgspec.structs.replace(plenty, model=ModelSpec("tiny-llama", "fp32", kv_blocks=12))
    assert answers(run_live(little)) == answers(run_on_front(front, plenty))


def test_request_that_can_never_fit_is_refused_in_one_sentence(front: Front) -> None:
    with pytest.raises(BadInput, match=r"prompt tokens is .* at most 2,048 together, the model's context\.$"):
        run_live(msgspec.structs.replace(SCENARIO, workload=Workload(1, None, 2040, 40)))


def test_cancelled_request_ends_and_the_others_do_not_notice(
    front: Front, undisturbed: dict[str, tuple[int, ...]]
) -> None:
    def fault(front: Front, event: Event) -> bool:
        if isinstance(event, TokenMade) and event.request == "r2" and event.index == 3:
            front.cancel("r2")
            return True
        return False

    log = run_on_front(front, SCENARIO, fault)
    results = {request.id: request for request in summarize(log.events).requests}
    assert results["r2"].finished == "cancelled"
    assert results["r2"].output_ids == undisturbed["r2"][: results["r2"].output_tokens]
    assert {name: ids for name, ids in answers(log).items() if name != "r2"} == {
        name: ids for name, ids in undisturbed.items() if name != "r2"
    }

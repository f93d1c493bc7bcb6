"""Leaping over steps changes nothing: every event is the same as when steps are taken one by one."""

from collections.abc import Iterable

import msgspec
from hypothesis import given, settings, strategies as st

from engine.events import StepEnded
from engine.grammar import check
from engine.link import LinkSpec
from engine.log import in_order
from engine.scenario import Deployment
from engine.sim.clock import Alarm
from engine.sim.cluster import Cluster
from engine.sim.cost import GpuCost, Line, LinearCost, StepCost
from engine.sim.leap import Happening, Leapt, unfold
from engine.sim.network import NetworkSpec
from engine.sim.prefixes import PrefixCaches
from engine.sim.run import ROUTINGS, _request, route
from engine.sim.station import WorkerSpec
from engine.workload import Draft

COST = LinearCost(step=0.01, prefill_step=0.003, prefill_token=1e-4, attention_pair=1e-9, row=1e-4, context_token=1e-6)


class Bent(LinearCost, frozen=True):
    """No line that anybody knows of."""

    def line(self, rows: int) -> Line | None:  # type: ignore[override]
        return None


COSTS: list[StepCost] = [
    COST,
    Bent(**msgspec.structs.asdict(COST)),
    GpuCost(  # half of the layers with a window, which fills while a request decodes; and experts
        token_s=1e-4,
        sampled_s=1e-6,
        weights_s=0.008,
        pair_s=1e-9,
        kv_token_s=1.3e-6,
        every_s=0.001,
        prefill_s=0.002,
        row_s=1e-4,
        window=128,
        window_pair_s=1e-9,
        window_token_s=2e-6,
        experts=8,
        experts_per_token=2,
        expert_token_s=1e-6,
        expert_s=3e-4,
    ),
]
deployments = st.one_of(
    st.builds(Deployment, kind=st.just("colocated"), workers=st.integers(1, 3)),
    st.builds(Deployment, kind=st.just("chunked"), workers=st.integers(1, 3), chunk=st.sampled_from([16, 64, 256])),
    st.builds(
        Deployment,
        kind=st.just("disaggregated"),
        workers=st.integers(3, 4),
        prefill_workers=st.integers(1, 2),
        chunk=st.sampled_from([64, 256]),
        ship=st.sampled_from(["whole", "layers"]),
        first_token=st.sampled_from(["prefill", "decode"]),
        local_prefill_tokens=st.sampled_from([0, 0, 200]),
    ),
)
drafts = st.lists(st.tuples(st.floats(0, 3), st.integers(1, 700), st.integers(1, 40)), min_size=1, max_size=12).map(
    lambda rows: [Draft(n, t, p, o, (n % 2,)) for n, (t, p, o) in enumerate(sorted(rows))]
)
fabrics = st.builds(NetworkSpec, sharing=st.sampled_from(["fifo", "fair"]), handshake_s=st.sampled_from([0.0, 0.3]))
scatters = st.sampled_from([(), (0.9, 1.0, 1.2)])
failures = st.lists(st.tuples(st.floats(0.01, 3), st.integers(0, 3), st.floats(0.01, 1)), max_size=3)
links = st.lists(st.tuples(st.floats(0.01, 3), st.sampled_from([1e5, 5e5, 2e7])), max_size=3)


class Scene(msgspec.Struct, frozen=True):
    """`failures`: at which second which worker fails, and for how long it is away. `links`: at which second all links
    get which bandwidth. `users`: of a closed loop, 0 for none."""

    deployment: Deployment
    wanted: list[Draft]
    blocks: int = 100
    fabric: NetworkSpec = NetworkSpec()
    cost: StepCost = COST
    scatter: tuple[float, ...] = ()
    routing: str = "least-loaded"
    cached: bool = False
    users: int = 0
    failures: list[tuple[float, int, float]] = []
    links: list[tuple[float, float]] = []


scenes = st.builds(
    Scene,
    deployment=deployments,
    wanted=drafts,
    blocks=st.integers(50, 200),
    fabric=fabrics,
    cost=st.sampled_from(COSTS),
    scatter=scatters,
    routing=st.sampled_from(ROUTINGS),
    cached=st.booleans(),
    users=st.integers(0, 5),
    failures=failures,
    links=links,
)


def run(scene: Scene, *, leaping: bool, watched: bool = False) -> list[Happening]:
    worker = WorkerSpec(
        scene.cost,
        kv_blocks=scene.blocks,
        kv_bytes_per_token=1000,
        scatter=scene.scatter,
        prefill_scatter=scene.scatter,
    )
    names = [f"worker-{n}" for n in range(scene.deployment.workers)]
    requests = [_request(draft) for draft in scene.wanted]
    blocks = {request.id: draft.prefix_blocks for request, draft in zip(requests, scene.wanted, strict=True)}
    caches = PrefixCaches(blocks, 16, 500)
    cluster = Cluster(
        scene.deployment,
        LinkSpec(5e6, 0.001),
        dict.fromkeys(names, worker),
        network=scene.fabric,
        route=route(scene.routing, caches.peek),
        prefixes=caches if scene.cached else None,
        leaping=leaping,
        watched=watched,
    )
    for at_s, bandwidth in scene.links:
        _set_link(cluster, at_s, LinkSpec(bandwidth, 0.001))
    for at_s, which, away_s in scene.failures:
        _fail(cluster, at_s, names[which % len(names)], away_s, worker)
    cluster.run(requests, scene.users)
    assert cluster.router.idle
    return cluster.record


def _set_link(cluster: Cluster, at_s: float, link: LinkSpec) -> None:
    clock = cluster.clock
    clock.alarm(clock.at(at_s), lambda _: cluster.apply(cluster.router.set_link(link, clock.s)))


def _fail(cluster: Cluster, at_s: float, name: str, away_s: float, worker: WorkerSpec) -> None:
    clock, policy = cluster.clock, cluster.router.roster.roles[name]

    def fails(_: Alarm) -> None:
        if name in cluster.stations:
            cluster.leave(name)
            clock.alarm(clock.at(away_s), lambda _: cluster.join(name, worker, policy))

    clock.alarm(clock.at(at_s), fails)


def as_a_set(events: Iterable[Happening]) -> list[str]:
    """By time; what is said at one and the same moment has no order."""
    return [f"{event.t:.12f} {event}" for event in sorted(events, key=lambda event: (event.t, repr(event)))]


def tossed(leapt: Iterable[Happening], stepped: Iterable[Happening]) -> bool:
    """Whether they part in a moment in which steps of several workers end: which of them counts first for where the
    next request goes is a coin toss, and a leap, whose ends have all been counted, may toss another way."""
    stepped = list(stepped)
    parts = next((one for one, other in zip(as_a_set(leapt), as_a_set(stepped), strict=False) if one != other), "")
    at = parts.partition(" ")[0]
    ends = {event.worker for event in stepped if isinstance(event, StepEnded) and f"{event.t:.12f}" == at}
    return "Dispatched" in parts and len(ends) > 1


@settings(max_examples=120)
@given(scenes)
def test_leaps_spell_out_to_the_very_events_of_single_steps(scene: Scene) -> None:
    leapt, stepped = (run(scene, leaping=leaping) for leaping in (True, False))
    assert not any(isinstance(event, Leapt) for event in stepped)
    spelled_out = list(unfold(leapt))
    assert as_a_set(spelled_out) == as_a_set(stepped) or tossed(spelled_out, stepped)
    check(in_order(spelled_out))


@settings(max_examples=30)
@given(scenes)
def test_who_watches_sees_the_same(scene: Scene) -> None:
    watched, stepped = (run(scene, leaping=leaping, watched=True) for leaping in (True, False))
    assert as_a_set(unfold(watched)) == as_a_set(stepped) or tossed(unfold(watched), stepped)


def test_leaps_are_taken() -> None:
    record = run(Scene(Deployment("colocated", workers=1), [Draft(0, 0.0, 100, 50)]), leaping=True)
    leaps = [event for event in record if isinstance(event, Leapt)]
    assert [len(leap.ends_s) for leap in leaps] == [1, 49]  # its prompt, its answer


def test_what_a_leap_writes_down_does_not_grow_with_its_steps_or_rows() -> None:
    few, many = (
        run(
            Scene(Deployment("chunked", workers=1), [Draft(n, 0.0, 2, made) for n in range(12)], blocks=1000),
            leaping=True,
        )
        for made in (4, 400)
    )
    assert len(few) == len(many)

"""Leaping over decode steps changes nothing: every event is the same as when steps are taken one by one."""

from collections.abc import Iterable

from hypothesis import given, settings, strategies as st

from engine.grammar import check
from engine.link import LinkSpec
from engine.log import in_order
from engine.scenario import Deployment
from engine.sim.cluster import Cluster
from engine.sim.cost import LinearCost
from engine.sim.leap import Happening, Leapt, unfold
from engine.sim.network import NetworkSpec
from engine.sim.run import _request
from engine.sim.station import WorkerSpec
from engine.workload import Draft

COST = LinearCost(step=0.01, prefill_step=0.003, prefill_token=1e-4, attention_pair=1e-9, row=1e-4, context_token=1e-6)
deployments = st.one_of(
    st.builds(Deployment, kind=st.just("colocated"), workers=st.integers(1, 3)),
    st.builds(Deployment, kind=st.just("chunked"), workers=st.integers(1, 3), chunk=st.sampled_from([16, 64, 256])),
    st.builds(
        Deployment,
        kind=st.just("disaggregated"),
        workers=st.integers(3, 4),
        prefill_workers=st.integers(1, 2),
        ship=st.sampled_from(["whole", "layers"]),
        first_token=st.sampled_from(["prefill", "decode"]),
    ),
)
drafts = st.lists(st.tuples(st.floats(0, 3), st.integers(1, 700), st.integers(1, 40)), min_size=1, max_size=12).map(
    lambda rows: [Draft(n, t, p, o) for n, (t, p, o) in enumerate(sorted(rows))]
)
fabrics = st.builds(NetworkSpec, sharing=st.sampled_from(["fifo", "fair"]), handshake_s=st.sampled_from([0.0, 0.3]))


def run(
    deployment: Deployment, wanted: list[Draft], blocks: int, fabric: NetworkSpec, *, leaping: bool
) -> list[Happening]:
    worker = WorkerSpec(COST, kv_blocks=blocks, kv_bytes_per_token=1000)
    names = [f"worker-{n}" for n in range(deployment.workers)]
    link = LinkSpec(5e6, 0.001)
    cluster = Cluster(deployment, link, dict.fromkeys(names, worker), network=fabric, leaping=leaping)
    cluster.run([_request(draft) for draft in wanted])
    assert cluster.router.idle
    return cluster.record


def as_a_set(events: Iterable[Happening]) -> list[str]:
    """By time; what is said in one and the same nanosecond has no order."""
    return [f"{event.t:.9f} {event}" for event in sorted(events, key=lambda event: (event.t, repr(event)))]


@settings(max_examples=150)
@given(deployments, drafts, st.integers(50, 200), fabrics)
def test_leaps_spell_out_to_the_very_events_of_single_steps(
    deployment: Deployment, wanted: list[Draft], blocks: int, fabric: NetworkSpec
) -> None:
    leapt = run(deployment, wanted, blocks, fabric, leaping=True)
    stepped = run(deployment, wanted, blocks, fabric, leaping=False)
    assert not any(isinstance(event, Leapt) for event in stepped)
    spelled_out = list(unfold(leapt))
    assert as_a_set(spelled_out) == as_a_set(stepped)
    check(in_order(spelled_out))


def test_leaps_are_taken() -> None:
    wanted = [Draft(0, 0.0, 100, 50)]
    record = run(Deployment("colocated", workers=1), wanted, 100, NetworkSpec(), leaping=True)
    leaps = [event for event in record if isinstance(event, Leapt)]
    assert [len(leap.ends_s) for leap in leaps] == [1, 49]  # its prompt, its answer

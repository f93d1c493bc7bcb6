"""The router and its workers under every disturbance: nothing is lost, nothing is doubled, answers never change."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from engine.events import Recalled, WorkerDown
from engine.grammar import check
from engine.link import LinkSpec
from engine.log import in_order
from engine.messages import Ship, ShipFailed
from engine.metrics import summarize
from engine.plan import Plan
from engine.request import Request
from engine.router import EXHAUSTED_WORKERS, HANDOFF_TRIES, Output
from engine.scenario import Deployment
from tests.engine.virtual_cluster import Station, VirtualCluster, answer

Drawn = list[tuple[int, int, float, bool]]  # prompt, output, arrival, stops early
Kills = list[tuple[float, int]]  # when, and which

deployments = st.one_of(
    st.builds(Deployment, kind=st.just("colocated"), workers=st.integers(1, 3)),
    st.builds(Deployment, kind=st.just("chunked"), workers=st.integers(1, 3), chunk=st.integers(16, 80)),
    st.builds(
        Deployment,
        kind=st.just("disaggregated"),
        workers=st.integers(3, 4),
        prefill_workers=st.integers(1, 2),
        ship=st.sampled_from(["whole", "layers"]),
        first_token=st.sampled_from(["prefill", "decode"]),
    ),
)
request_lists = st.lists(
    st.tuples(st.integers(1, 200), st.integers(1, 12), st.floats(0, 2), st.booleans()), min_size=1, max_size=10
)
kills = st.lists(st.tuples(st.floats(0, 4), st.integers(0, 3)), max_size=6)
cancels = st.lists(st.tuples(st.floats(0, 4), st.integers(0, 9)), max_size=3)


def build(drawn: Drawn) -> list[Request]:
    requests = []
    for number, (prompt, output, arrival_s, stops) in enumerate(drawn):
        ids = tuple((number * 37 + i) % 251 for i in range(prompt))
        plain = Request(f"r{number}", ids, output, arrival_s)
        stop = (answer(plain)[output // 2],) if stops else ()
        requests.append(Request(f"r{number}", ids, output, arrival_s, stop_ids=stop))
    return requests


def cancel(cluster: VirtualCluster, request: str) -> Iterable[Output]:
    return cluster.router.cancel(request, cluster.t)


def deploy(cluster: VirtualCluster, deployment: Deployment) -> Iterable[Output]:
    return cluster.router.deploy(deployment, cluster.t)


@settings(max_examples=150)
@given(deployments, request_lists, kills, cancels, st.integers(16, 40), st.integers(0, 99))
def test_every_request_ends_with_the_same_tokens(
    deployment: Deployment, drawn: Drawn, kills: Kills, cancels: Kills, blocks: int, seed: int
) -> None:
    cluster = VirtualCluster(deployment, LinkSpec(1e5, 0.01), blocks, seed)
    requests = build(drawn)
    for request in requests:
        cluster.submit(request)
    for t, number in kills:
        name = f"worker-{number % deployment.workers}"
        cluster.at(t, partial(cluster.kill, name))
    for t, number in cancels:
        cluster.at(t, partial(cancel, cluster, f"r{number}"))
    cluster.run()
    events = in_order(cluster.log)
    check(events)
    by_id = {result.id: result for result in summarize(events).requests}
    for request in requests:
        result = by_id[request.id]
        expected = answer(request)
        if result.finished == "cancelled":
            assert list(result.output_ids) == expected[: result.output_tokens]
        else:
            assert list(result.output_ids) == expected
    assert cluster.router.idle
    assert all(station.mind.pool.used == 0 for station in cluster.stations.values()), "blocks were leaked"


@settings(max_examples=60)
@given(
    request_lists, st.lists(st.tuples(st.floats(0, 3), deployments), min_size=1, max_size=3), kills, st.integers(0, 99)
)
def test_deployments_change_while_requests_run(
    drawn: Drawn, changes: list[tuple[float, Deployment]], kills: Kills, seed: int
) -> None:
    cluster = VirtualCluster(Deployment(workers=4), LinkSpec(1e5), 40, seed)
    requests = build(drawn)
    for request in requests:
        cluster.submit(request)
    for t, deployment in changes:
        prefill = min(deployment.prefill_workers, 2)
        four = Deployment(deployment.kind, 4, prefill, deployment.chunk, "shm", deployment.ship, deployment.first_token)
        cluster.at(t, partial(deploy, cluster, four))
    for t, number in kills:
        cluster.at(t, partial(cluster.kill, f"worker-{number}"))
    cluster.run()
    check(in_order(cluster.log))
    by_id = {result.id: result for result in summarize(in_order(cluster.log)).requests}
    assert all(list(by_id[request.id].output_ids) == answer(request) for request in requests)
    assert all(station.mind.pool.used == 0 for station in cluster.stations.values()), "blocks were leaked"


def test_a_link_that_never_delivers_fails_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(station: Station, ship: Ship) -> None:
        station.report([ShipFailed(ship.request, "nobody there")])

    monkeypatch.setattr(Station, "ship", refuse)
    cluster = VirtualCluster(Deployment(), LinkSpec())
    for request in build([(30, 50, 0.0, False), (40, 1, 0.0, False)]):
        cluster.submit(request)
    cluster.run()
    check(in_order(cluster.log))
    reasons = [result.finished for result in summarize(in_order(cluster.log)).requests]
    assert reasons == ["failed", "length"]  # the second ends with its first token and needs no handoff
    assert sum(isinstance(event, Recalled) for event in cluster.log) == HANDOFF_TRIES


@pytest.mark.parametrize("kind", ["colocated", "disaggregated"])
def test_a_request_too_large_for_every_worker_s_memory_ends_as_failed(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would end one worker after the other for ever. Those beside it are answered."""
    stepped = Station.stepped

    def runs_out(station: Station, plan: Plan) -> None:
        if any(piece.request == "r1" for piece in plan):
            station.cluster.apply(station.cluster.kill(station.name, exhausted=True))
        stepped(station, plan)

    monkeypatch.setattr(Station, "stepped", runs_out)
    cluster = VirtualCluster(Deployment(kind), LinkSpec())
    requests = build([(30, 8, 0.0, False), (190, 8, 0.0, False), (40, 8, 1.0, False)])
    for request in requests:
        cluster.submit(request)
    cluster.run()
    check(in_order(cluster.log))
    results = {result.id: result for result in summarize(in_order(cluster.log)).requests}
    assert [results[request.id].finished for request in requests] == ["length", "failed", "length"]
    assert sum(isinstance(event, WorkerDown) for event in cluster.log) == EXHAUSTED_WORKERS


@settings(max_examples=50)
@given(deployments, request_lists, kills, st.integers(16, 40), st.integers(0, 99))
def test_loads_are_kept_as_if_they_were_counted_again(
    deployment: Deployment, drawn: Drawn, kills: Kills, blocks: int, seed: int
) -> None:
    cluster = VirtualCluster(deployment, LinkSpec(1e5, 0.01), blocks, seed)
    for request in build(drawn):
        cluster.submit(request)
    for t, number in kills:
        cluster.at(t, partial(cluster.kill, f"worker-{number % deployment.workers}"))
    router = cluster.router

    def counted(worker: str) -> int:
        load = 0
        for order in router.orders.values():
            if order.stage == "done" or worker not in order.holders:
                continue
            if order.source == worker and order.stage in ("prefilling", "reserving"):
                load += order.tokens
            if order.target == worker or router.roster.roles[worker] != "prefill_only":
                load += order.request.max_output_tokens - len(order.output_ids)
        return load

    def compare() -> list[Output]:
        assert {w: load.tokens for w, load in router.loads.items()} == {w: counted(w) for w in router.roster.roles}
        return []

    for tenth in range(60):
        cluster.at(tenth / 10, compare)
    cluster.run()
    assert all((load.tokens, load.kv_tokens) == (0, 0) for load in router.loads.values())

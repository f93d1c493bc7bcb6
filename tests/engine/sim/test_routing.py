"""Which worker gets a request: by load, in turn, by cached prefix; and which prompts the decode worker prefills."""

import pytest

from engine import simulate
from engine.errors import BadInput
from engine.events import Dispatched, HandoffEnded, StepStarted
from engine.grammar import check
from engine.link import LinkSpec
from engine.loads import Load
from engine.order import Order
from engine.request import Request
from engine.routing import KvAware, LeastLoaded, RoundRobin
from engine.sim.prefixes import PrefixCaches
from engine.sim.run import ClusterSpec, count, run, simulate as run_simulated
from engine.workload import Draft
from tests.engine.sim.kitchenette import WORKER, scenario

LOADS = {"a": Load(160, 0, 320), "b": Load(0, 400, 160), "c": Load(16, 16, 640)}


def order(tokens: int = 160) -> Order:
    return Order(0, Request("r", (0,) * tokens, 8))


def test_least_loaded_counts_tokens_to_compute() -> None:
    assert LeastLoaded().choose(order(), list(LOADS), LOADS) == "c"


def test_round_robin_takes_turns_in_each_group() -> None:
    route = RoundRobin()
    chosen = [route.choose(order(), group, LOADS) for group in (["a", "b"], ["c"], ["a", "b"], ["a", "b"], ["c"])]
    assert chosen == ["a", "c", "b", "a", "c"]


def test_the_kv_aware_cost_is_dynamo_s() -> None:
    """Blocks to prefill, this order's uncached ones included, plus blocks in decode."""
    cached = {"a": 0, "b": 0, "c": 144}
    route = KvAware(lambda request, worker: cached[worker])
    assert [route.cost(order(), name, LOADS[name]) for name in LOADS] == [20 + 20, 10 + 10, 2 + 40]
    assert route.choose(order(), list(LOADS), LOADS) == "b"
    assert KvAware(lambda request, worker: cached[worker], prefill_scale=10).choose(order(), list(LOADS), LOADS) == "c"


def test_prefix_caches_keep_what_was_used_last_and_never_the_last_token() -> None:
    caches = PrefixCaches({"1": [1, 2, 3], "2": [1, 2, 9], "3": [7, 8, 9]}, block_tokens=10, capacity_tokens=40)
    request = {name: Request(name, (0,) * 30, 1) for name in "123"}
    assert [caches.take(request["1"], "w"), caches.take(request["2"], "w"), caches.peek("1", "v")] == [0, 20, 0]
    assert caches.take(request["2"], "w") == 29  # all three blocks are there, but the last token's logits are wanted
    assert caches.take(request["3"], "w") == 0
    assert caches.peek("1", "w") == 0  # its first block had to go
    assert (caches.hit_tokens, caches.asked_tokens) == (49, 120)


SHARED = [Draft(n, n * 0.2, 1100, 8, (n % 3, 100 + n % 3)) for n in range(30)]


def test_cached_prefixes_are_not_prefilled_again() -> None:
    spec = ClusterSpec(WORKER, prefix_cache_tokens=10_000)
    log = run_simulated(scenario("colocated", workers=1), spec, SHARED)
    check(log.events)
    first: dict[str, int] = {}
    for event in log.events:
        for piece in event.plan if isinstance(event, StepStarted) else ():
            first.setdefault(piece.request, piece.start)
    assert [first[f"r{n + 1}"] for n in range(30)] == [0] * 3 + [1024] * 27
    without = count(scenario("colocated", workers=1), WORKER, SHARED).metrics.ttft_s.mean
    assert count(scenario("colocated", workers=1), spec, SHARED).metrics.ttft_s.mean < 0.5 * without


def test_kv_aware_routing_finds_more_in_small_caches_than_round_robin() -> None:
    """Four prefixes in turn, three workers, and room for two prefixes on each."""
    wanted = [Draft(n, n * 0.12, 1100, 8, (n % 4, 100 + n % 4)) for n in range(60)]
    hits = {}
    for routing in ("round-robin", "kv-aware"):
        spec = ClusterSpec(WORKER, routing=routing, prefix_cache_tokens=2048)
        cluster = run(scenario("colocated", workers=3), spec, lambda event: None, wanted)
        assert cluster.prefixes is not None
        hits[routing] = cluster.prefixes.hit_tokens / cluster.prefixes.asked_tokens
    assert hits["round-robin"] < 0.1
    assert hits["kv-aware"] > 0.8


def test_an_unknown_routing_is_refused() -> None:
    with pytest.raises(BadInput, match="routing is 'best'"):
        count(scenario(), ClusterSpec(WORKER, routing="best"))  # type: ignore[arg-type]


def test_short_prompts_stay_where_they_decode() -> None:
    wanted = scenario(
        link=LinkSpec(1e6), workers=3, local_prefill_tokens=300, requests=20, rate_per_s=3.0,
        prompt_tokens=200, long_prompt_tokens=600, long_every=4,
    )  # fmt: skip
    log = simulate(wanted, WORKER)
    check(log.events)
    long = {f"r{n}" for n in range(4, 21, 4)}
    assert {event.request for event in log.events if isinstance(event, HandoffEnded)} == long
    sources = {event.request: event.worker for event in log.events if isinstance(event, Dispatched)}
    assert all((sources[request] == "worker-0") == (request in long) for request in sources)


def test_what_a_decode_worker_has_cached_counts_as_prefilled() -> None:
    """Dynamo's and llm-d's threshold is on uncached tokens: only the first prompt of each kind is shipped."""
    wanted = scenario(link=LinkSpec(1e7), workers=2, local_prefill_tokens=300)
    log = run_simulated(wanted, ClusterSpec(WORKER, prefix_cache_tokens=100_000), SHARED)
    check(log.events)
    shipped = [event.request for event in log.events if isinstance(event, HandoffEnded)]
    assert shipped[:3] == ["r1", "r2", "r3"]
    assert len(shipped) < 10

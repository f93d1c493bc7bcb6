"""What published systems and queueing theory say must hold, whatever the numbers: see docs/decisions/0023."""

from itertools import pairwise
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from engine import simulate
from engine.fleet.catalog.hardware import gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.estimate.step_cost import step_cost
from engine.goodput import Slo, attainment
from engine.link import LinkSpec
from engine.scenario import Deployment, Kind, Scenario, Workload
from engine.sim.cost import LinearCost
from engine.sim.run import count
from engine.sim.search import attained, highest_rate
from engine.sim.station import WorkerSpec
from tests.engine.sim.published import published
from tests.engine.stages import stages

WORKER = WorkerSpec(
    step_cost(model("llama-3.1-8b"), gpu("h100-sxm")),
    kv_blocks=25_000,
    kv_bytes_per_token=131_072,
    context_tokens=131_072,
    layers=32,
    max_running=256,
)
NVLINK = LinkSpec(337e9, 1e-5)


def scene(kind: str, workers: int, prefill: int = 1, link: LinkSpec = NVLINK, **load: Any) -> Scenario:
    deployment = Deployment(cast(Kind, kind), workers, prefill, chunk=load.pop("chunk", 512))
    return Scenario(deployment, link, Workload(**{"requests": 300, "ignore_eos": True, **load}))


@pytest.mark.parametrize(("rate", "requests"), [(5.6, 60_000), (8.0, 60_000), (10.0, 100_000)])
def test_one_prefill_worker_is_an_m_d_1_queue(rate: float, requests: int) -> None:
    """DistServe, section 3.1: mean TTFT = D + R·D²/(2(1 - R·D)), here with its D of 72.1 ms. Within 1 %."""
    service_s = 0.0721
    worker = WorkerSpec(LinearCost(step=service_s))
    load = Workload(requests=requests, rate_per_s=rate, prompt_tokens=512, output_tokens=1, seed=1)
    mean = count(Scenario(Deployment("colocated", 1), workload=load), worker).metrics.ttft_s.mean
    assert mean == pytest.approx(service_s + rate * service_s**2 / (2 * (1 - rate * service_s)), rel=0.01)


def test_colocated_falls_off_a_cliff_where_disaggregated_still_holds() -> None:
    """DistServe, table 2: past its knee the co-located curve falls faster."""
    worker = msgspec.structs.replace(WORKER, cost=published("opt-13b-tp1"), kv_bytes_per_token=819_200, kv_blocks=4100)
    slo = Slo(ttft_s=0.25, tpot_s=0.03)
    load: dict[str, Any] = {"prompt_tokens": 512, "output_tokens": 64}
    rates = (2.0, 4.0, 6.0, 8.0, 10.0)
    together = [attained(scene("colocated", 2, **load), worker, slo, rate) for rate in rates]
    apart = [attained(scene("disaggregated", 2, **load), worker, slo, rate) for rate in rates]
    assert together[0] > 0.9
    assert apart[3] > 0.9
    assert together[3] < 0.5
    falls = [before - after for before, after in pairwise(together)]
    assert max(falls) > max(before - after for before, after in pairwise(apart))


def test_the_gain_shrinks_as_the_tpot_slo_is_relaxed() -> None:
    """Mooncake, FAST'25: +498 %, +157 %, +59 % at 100, 200, 300 ms."""
    load: dict[str, Any] = {"prompt_tokens": 4000, "output_tokens": 200}
    gains = []
    for tpot_s in (0.015, 0.025, 0.1):
        slo = Slo(ttft_s=2.0, tpot_s=tpot_s)
        together, apart = (
            highest_rate(scene(kind, 4, 2, **load), WORKER, slo) for kind in ("colocated", "disaggregated")
        )
        gains.append(apart / together)
    assert gains[0] > 1.2 * gains[1]
    assert gains[1] > 1.05 * gains[2]


def best_prefill_workers(prompt_tokens: int, output_tokens: int) -> tuple[int, list[float]]:
    slo = Slo(ttft_s=0.8, tpot_s=0.02)
    load: dict[str, Any] = {"prompt_tokens": prompt_tokens, "output_tokens": output_tokens}
    shares = (1, 2, 6, 7)
    rates = [
        highest_rate(scene("disaggregated", 8, p, **load), WORKER, slo, precision=0.1, span_s=10.0) for p in shares
    ]
    return shares[int(np.argmax(rates))], rates


def test_the_best_ratio_lies_inside_and_moves_with_the_lengths() -> None:
    """Mooncake about 1:1 at 12k/343; Splitwise 25P:15T for conversation, 35P:5T for code."""
    many_prompts, rates = best_prefill_workers(8000, 100)
    many_outputs, _ = best_prefill_workers(1000, 500)
    assert rates[0] < max(rates) > rates[-1]
    assert 1 < many_prompts < 8
    assert many_outputs < many_prompts


def test_the_wrong_ratio_loses_to_colocation() -> None:
    """Mooncake's 2P+2D on TTFT: an imbalance can lose."""
    slo = Slo(ttft_s=2.0, tpot_s=0.05)
    load: dict[str, Any] = {"prompt_tokens": 8000, "output_tokens": 100}
    together = highest_rate(scene("chunked", 4, **load), WORKER, slo)
    assert highest_rate(scene("disaggregated", 4, 1, **load), WORKER, slo) < together


def test_layers_leave_one_layer_s_transfer_and_whole_trays_grow_with_the_prompt() -> None:
    """Splitwise, figure 14."""
    link = LinkSpec(25e9)
    exposed: dict[str, list[float]] = {}
    for ship in ("whole", "layers"):
        for tokens in (1024, 2048, 4096):
            wanted = scene("disaggregated", 2, link=link, requests=1, prompt_tokens=tokens, output_tokens=2)
            wanted = msgspec.structs.replace(wanted, deployment=msgspec.structs.replace(wanted.deployment, ship=ship))
            exposed.setdefault(ship, []).append(stages(simulate(wanted, WORKER).events)["r1"].shipping_s)
    tray_s = [tokens * 131_072 / 25e9 for tokens in (1024, 2048, 4096)]
    assert exposed["whole"] == pytest.approx(tray_s, rel=1e-3)
    assert exposed["layers"] == pytest.approx([t / 32 for t in tray_s], rel=1e-3)


def test_ttft_is_flat_above_the_bandwidth_that_the_load_needs_and_steep_below() -> None:
    """Mooncake, FAST'25, figure 13. The need: rate × prompt × KV bytes a token."""
    rate, tokens = 4.0, 4096
    need = rate * tokens * 131_072
    ttft_s = []
    for share in (0.8, 1.5, 6.0, 24.0):
        wanted = scene(
            "disaggregated", 4, 2, LinkSpec(share * need / 2), rate_per_s=rate, prompt_tokens=tokens, output_tokens=32
        )
        deployment = msgspec.structs.replace(wanted.deployment, first_token="decode")  # so that TTFT includes shipping
        ttft_s.append(count(msgspec.structs.replace(wanted, deployment=deployment), WORKER).metrics.ttft_s.mean)
    assert ttft_s[0] > 4 * ttft_s[1]
    assert ttft_s[2] < 1.6 * ttft_s[3]


def test_at_low_load_on_two_gpus_with_short_prompts_colocation_wins() -> None:
    load: dict[str, Any] = {"prompt_tokens": 200, "output_tokens": 50, "rate_per_s": 0.5, "requests": 100}
    together, apart = (
        count(scene(kind, 2, link=LinkSpec(3e9, 1e-4), **load), WORKER).metrics
        for kind in ("colocated", "disaggregated")
    )
    assert together.e2e_s.mean < apart.e2e_s.mean
    assert together.ttft_s.mean <= apart.ttft_s.mean


def test_for_throughput_alone_chunked_colocation_is_no_worse() -> None:
    """vLLM's documentation: disaggregated prefill does not improve throughput. At the best ratio, by at most 5 %."""
    load: dict[str, Any] = {"prompt_tokens": 2000, "output_tokens": 200, "requests": 600}
    together = count(
        scene("chunked", 4, chunk=2048, **load), WORKER
    ).metrics.output_tokens_per_s  # tuned for throughput
    apart = max(count(scene("disaggregated", 4, p, **load), WORKER).metrics.output_tokens_per_s for p in (1, 2, 3))
    assert apart <= 1.05 * together


def test_infinitely_fast_links_make_two_pools_two_queues() -> None:
    """Prefill workers then see what co-located ones with nothing to decode see."""
    load: dict[str, Any] = {"prompt_tokens": 2000, "rate_per_s": 8.0, "requests": 500}
    alone = count(scene("colocated", 1, output_tokens=1, **load), WORKER).metrics.ttft_s
    apart = count(scene("disaggregated", 2, link=LinkSpec(), output_tokens=20, **load), WORKER).metrics.ttft_s
    assert apart.mean == pytest.approx(alone.mean, rel=1e-6)


def test_little_s_law_holds_for_requests_in_service() -> None:
    """Requests in the system on average = rate × time in the system."""
    load = Workload(requests=20_000, rate_per_s=6.0, prompt_tokens=1000, output_tokens=64)
    counted = count(Scenario(Deployment("colocated", 2), workload=load), WORKER)
    changes = sorted([(r.arrived_s, 1) for r in counted.requests] + [(r.last_s, -1) for r in counted.requests])
    inside = area = before_s = 0.0
    for t, change in changes:
        area += inside * (t - before_s)
        inside, before_s = inside + change, t
    rate = len(counted.requests) / before_s
    assert area / before_s == pytest.approx(rate * counted.metrics.e2e_s.mean, rel=1e-6)


def test_nobody_is_left_out_of_attainment() -> None:
    counted = count(scene("disaggregated", 2, rate_per_s=50.0, prompt_tokens=2000), WORKER)
    assert len(counted.requests) == 300
    assert attainment(counted.requests, Slo(ttft_s=1e-3)) == 0.0
    assert attainment(counted.requests, Slo()) == 1.0

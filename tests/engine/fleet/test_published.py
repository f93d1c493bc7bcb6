"""Questions with published answers, put to the advisor; each one names its source.

Few sources give every field of a question. The fields that we chose are in `OURS`, case by case: a verdict that agrees
shows that the published one holds at our values, not that these were measured. For more than two GPUs only the formulas
answer, which takes milliseconds where `advise` takes seconds.
"""

import msgspec
import pytest

from engine.fleet.advisor.advice import Advice
from engine.fleet.advisor.advisor import advise
from engine.fleet.advisor.candidates import CHUNKS, Candidate, colocated
from engine.fleet.advisor.capacity import best, ranking, sustained_per_s
from engine.fleet.advisor.plan import Pool
from engine.fleet.advisor.question import Question
from engine.fleet.estimate.roofline import prefill_s, smallest_tp

MANY = 2  # GPUs

TWO_NODES = Question(
    *(16, "h100-sxm", "llama-3.3-70b"), isl_tokens=3000, osl_tokens=150, rate_per_s=5, ttft_slo_s=1, itl_slo_s=0.04
)
CONVERSATION = Question(  # Mooncake, FAST'25: 16 nodes of 8 A800s, Table 2's means, 40 % cacheable
    *(128, "a100-sxm4-80g", "llama-3.3-70b"),
    isl_tokens=12_035,
    osl_tokens=343,
    rate_per_s=14,
    ttft_slo_s=30,
    prefix_reuse=0.4,
)


def on(question: Question, **changes: object) -> Question:
    return msgspec.structs.replace(question, **changes)


STAY = {
    "vllm issue 23144: Qwen3-8B, 1024 in and 6 out, has nothing to protect": Question(
        2, "h100-sxm", "qwen3-8b", isl_tokens=1024, osl_tokens=6, rate_per_s=4
    ),
    "sglang issue 6411: 4096 in and 1 out, TTFT rose with PD": Question(
        2, "h100-sxm", "qwen3-8b", "sglang", isl_tokens=4096, osl_tokens=1, rate_per_s=4
    ),
    "vllm PR 6170: 2 GPUs, 2048 in and 150 out, 1P1D has no benefit over both GPUs together at 6 requests/s": Question(
        2, "h100-sxm", "llama-3.1-8b", isl_tokens=2048, osl_tokens=150, rate_per_s=6
    ),
    "dynamo issue 3774: on 8 H200s aggregated TP8 beats TP4+TP4": Question(
        8, "h200-sxm", "llama-3.3-70b", "dynamo", isl_tokens=3000, osl_tokens=150, rate_per_s=2
    ),
    "dynamo PR 13899: with 90 % KV reuse aggregated does three times as much (another model here)": Question(
        *(8, "h200-sxm", "gpt-oss-120b", "dynamo"), isl_tokens=20_000, osl_tokens=300, prefix_reuse=0.9, itl_slo_s=0.03
    ),
    "vllm docs/features/disagg_prefill: does not improve throughput; DistServe section 7: offline work": Question(
        8, "a100-sxm4-80g", isl_tokens=4000, osl_tokens=200, rate_per_s=9, ttft_slo_s=600, itl_slo_s=10
    ),
    "DistServe section 7: with one GPU there is nothing to split": Question(
        1, "a100-sxm4-80g", "opt-13b", rate_per_s=0.2
    ),
    "DistServe section 7: resource-constrained, a 66B model on 2 GPUs fits once": Question(
        2, "a100-sxm4-80g", "opt-66b", isl_tokens=512, osl_tokens=64, rate_per_s=0.2, itl_slo_s=0.2
    ),
    "llm-d's guide: not for 200 in and 200 out": Question(8, "h100-sxm", isl_tokens=200, osl_tokens=200, rate_per_s=20),
    "Dynamo's disaggregation guide: not for small models at low concurrency": Question(
        4, "h100-sxm", "qwen3-0.6b", "dynamo", isl_tokens=500, osl_tokens=100, rate_per_s=2
    ),
    "vllm PR 44558: a better prefill cadence alone brought ITL from 275 to 32 ms": Question(
        2, "h100-sxm", isl_tokens=8000, osl_tokens=200, rate_per_s=3, itl_slo_s=0.032
    ),
    "Sarathi-Serve: chunks of 512 keep Mistral-7B's strict 100 ms on sharegpt (1730 in, 415 out)": Question(
        2, "a100-sxm4-80g", "mistral-7b", isl_tokens=1730, osl_tokens=415, rate_per_s=2, itl_slo_s=0.1
    ),
    "Dynamo disagg_perf_tuning: at low load monolithic serving is right": on(TWO_NODES, rate_per_s=0.1),
    "Dynamo disagg-communication: over TCP, TTFT of 98 s instead of 0.2 to 0.5": on(
        TWO_NODES, fabric="tcp", rate_per_s=2
    ),
    "Mooncake FAST'25 section 5.2: gain shrinks as TBT loosens, 300 ms": on(CONVERSATION, itl_slo_s=0.3),
}
SPLIT = {
    "Dynamo architecture page: Llama-70B, 3K in and 150 out on two H100 nodes": TWO_NODES,
    "aiconfigurator README: Qwen3-32B on 32 H200s, 4000 in and 500 out, 300 ms and 10 ms": Question(
        *(32, "h200-sxm", "qwen3-32b"),
        isl_tokens=4000,
        osl_tokens=500,
        rate_per_s=10,
        ttft_slo_s=0.3,
        itl_slo_s=0.01,
        prefix_reuse=0.125,
    ),
    "Mooncake arXiv section 8: 10P10D keep 100 ms where 20 vLLM keep it for 57 % (7955 in, 194 out)": Question(
        *(160, "a100-sxm4-80g", "llama-2-70b"),
        isl_tokens=7955,
        osl_tokens=194,
        rate_per_s=18,
        ttft_slo_s=30,
        itl_slo_s=0.1,
    ),
    "Mooncake FAST'25 section 5.2: conversation at TBT 100 ms": on(CONVERSATION, itl_slo_s=0.1),
}
MEND = {
    "vllm issue 52607: PCIe only where NVLink was meant, pulls fall to TCP": Question(
        4, "rtx-pro-6000", isl_tokens=4096, osl_tokens=256, rate_per_s=1, fabric="nvlink4", links_down=1
    ),
}


TARGETS = "both targets"
OURS = {  # by the beginning of a case's name
    "vllm issue 23144": f"2 GPUs, the rate, {TARGETS}",
    "sglang issue 6411": f"2 GPUs, the model, the rate, {TARGETS}",
    "vllm PR 6170": f"the GPU, the model, {TARGETS}",
    "dynamo issue 3774": f"the model, the lengths, the rate, {TARGETS}",
    "dynamo PR 13899": f"the fleet, the model (theirs was GLM-5.3-Flash on GB200), the lengths, the rate, {TARGETS}",
    "vllm docs/features/disagg_prefill": "every number: the source says it of any fleet without a latency target",
    "DistServe section 7: with one GPU": f"the model, the lengths, the rate, {TARGETS}",
    "DistServe section 7: resource": f"the fleet, the lengths, the rate, {TARGETS}",
    "llm-d's guide": f"the fleet, the model, the rate, {TARGETS}",
    "Dynamo's disaggregation guide": "every number: the source says small and low",
    "vllm PR 44558": "the fleet, the model, the lengths, the rate; the ITL target is what they reached",
    "Sarathi-Serve": "2 GPUs where theirs is 1, the rate, the TTFT target",
    "Dynamo disagg_perf_tuning": "every number: the source says low load",
    "Dynamo disagg-communication": "every number but the fabric",
    "Mooncake FAST'25 section 5.2: gain": "the rate",
    "Dynamo architecture page": f"the rate, {TARGETS}, weights in bf16 where theirs are FP8",
    "aiconfigurator README": "the rate, weights in bf16 where theirs are FP8",
    "Mooncake arXiv section 8": "the rate, the TTFT target",
    "Mooncake FAST'25 section 5.2: conversation": "the rate",
    "vllm issue 52607": f"the model, the lengths, the rate, {TARGETS}, and that an NVLink was meant to be there",
}


def splits_by_verdict(question: Question) -> bool:
    if question.gpus > MANY:
        return best(question.checked()).pays
    advice = advise(question)
    reproduced(advice)
    return advice.verdict in ("disaggregate", "conditional")


def reproduced(advice: Advice) -> None:
    """Recompute every reason's number, from the simulations or from the formula behind it."""
    question, said = advice.question, {reason.name: reason.value for reason in advice.reasons}
    for kind, own in (("together", "both"), ("split", "split")):
        tried = [outcome for outcome in advice.tried if getattr(outcome.candidate, own)]
        assert (f"{kind}_ttft_s" in said) == bool(tried)
        if tried:
            assert said[f"{kind}_sustained_per_s"] in {o.sustained_per_s for o in tried}
            assert (said[f"{kind}_ttft_s"], said[f"{kind}_itl_s"]) in {(o.ttft_s, o.itl_s) for o in tried}
    chunked = max((o for o in advice.tried if o.candidate.both), key=lambda o: o.headroom).candidate.both
    assert chunked is not None
    alone = prefill_s(question.shape, question.card, question.isl_tokens, cached=question.cached_tokens, tp=chunked.tp)
    assert said["prefill_share"] == pytest.approx(question.rate_per_s * alone / chunked.replicas)
    assert said["copies"] == question.gpus // smallest_tp(question.shape, question.card)


@pytest.mark.parametrize("question", STAY.values(), ids=STAY)
def test_stay_together(question: Question) -> None:
    assert not splits_by_verdict(question)


@pytest.mark.parametrize("question", SPLIT.values(), ids=SPLIT)
def test_split(question: Question) -> None:
    assert splits_by_verdict(question)


@pytest.mark.parametrize("question", MEND.values(), ids=MEND)
def test_fix_first(question: Question) -> None:
    advice = advise(question)
    reproduced(advice)
    assert advice.verdict == "fix-first"


def test_they_are_twenty_and_each_says_what_is_ours() -> None:
    cases = [*STAY, *SPLIT, *MEND]
    assert len(cases) == len(OURS) == 20
    assert all(sum(case.startswith(begin) for begin in OURS) == 1 for case in cases)


# ---- measured capacities

SPLIT_70B = Question(
    *(8, "h100-sxm", "llama-3.3-70b", "dynamo", "fp8"),
    isl_tokens=3000,
    osl_tokens=150,
    rate_per_s=6.5,
    ttft_slo_s=2,
    itl_slo_s=0.02,
)
A_OR_B = Question(
    *(16, "h200-sxm", "qwen3-32b", "dynamo", "fp8"),
    isl_tokens=4000,
    osl_tokens=500,
    rate_per_s=8,
    ttft_slo_s=2,
    itl_slo_s=0.02,
)


def apart(gpu: str, prefill: tuple[int, int], decode: tuple[int, int]) -> Candidate:
    return Candidate(prefill=Pool(gpu, *prefill), decode=Pool(gpu, *decode))


def test_4p1d_sustains_what_dynamo_issue_402_measured() -> None:
    """Llama-70B in FP8: 6.8 to 7.2 requests/s at a p99 ITL of 19 to 20 ms, 1.6 times what it sustains aggregated."""
    question = SPLIT_70B.checked()
    sustains = sustained_per_s(question, apart("h100-sxm", (4, 1), (1, 4)))
    assert sustains == pytest.approx(7.0, rel=0.15)
    assert sustains > 1.6 * ranking(question, colocated(question))[0][0]
    assert best(question).pays


def test_6p2d_beats_8_replicas_of_qwen3_32b_as_dynamo_measured() -> None:
    question = A_OR_B.checked()
    together = max(
        sustained_per_s(question, Candidate(both=Pool("h200-sxm", 8, 2), chunk_tokens=chunk)) for chunk in CHUNKS
    )
    assert sustained_per_s(question, apart("h200-sxm", (6, 2), (2, 2))) > 1.3 * together


@pytest.mark.parametrize("name", ["qwen3-0.6b", "llama-3.1-8b", "qwen3-8b"])
def test_one_prefill_and_one_decode_worker_of_a_small_model_do_less_than_two_replicas(name: str) -> None:
    """vllm issues 21037 and 11345, sglang issue 7141: 1P1D was slower."""
    question = Question(2, "a100-sxm4-80g", name, isl_tokens=1024, osl_tokens=128, rate_per_s=2).checked()
    together = ranking(question, colocated(question))[0][0]
    assert together > sustained_per_s(question, apart("a100-sxm4-80g", (1, 1), (1, 1)))
    assert not best(question).pays

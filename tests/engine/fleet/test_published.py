"""Questions that were answered in public, put to the advisor: who said so stands beside each.

Inputs are the source's; what it leaves open (a rate, a target) is ours and marked "ours". A fleet of more than 32 GPUs
is answered by the formulas alone, which takes milliseconds.
"""

import msgspec
import pytest

from engine.fleet.advisor import advise
from engine.fleet.flips import best
from engine.fleet.question import Question

MANY = 32  # GPUs

TWO_NODES = Question(  # rate and targets ours
    *(16, "h100-sxm", "llama-3.3-70b"), isl_tokens=3000, osl_tokens=150, rate_per_s=5, ttft_slo_s=1, itl_slo_s=0.04
)
CONVERSATION = Question(  # Mooncake, FAST'25: 16 nodes of 8 A800s, Table 2's means, 40 % cacheable; rate ours
    *(128, "a100-sxm4-80g", "llama-3.3-70b"),
    isl_tokens=12_035,
    osl_tokens=343,
    rate_per_s=5,
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
    "Dynamo disagg-communication: over TCP, TTFT of 98 s instead of 0.2 to 0.5": on(TWO_NODES, fabric="tcp"),
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
        rate_per_s=10,
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


def splits_by_verdict(question: Question) -> bool:
    if question.gpus > MANY:
        return best(question.checked()).pays
    return advise(question).verdict in ("disaggregate", "conditional")


@pytest.mark.parametrize("question", STAY.values(), ids=STAY)
def test_stay_together(question):
    assert not splits_by_verdict(question)


@pytest.mark.parametrize("question", SPLIT.values(), ids=SPLIT)
def test_split(question):
    assert splits_by_verdict(question)


@pytest.mark.parametrize("question", MEND.values(), ids=MEND)
def test_mend_first(question):
    assert advise(question).verdict == "fix-first"


def test_they_are_twenty():
    assert len(STAY) + len(SPLIT) + len(MEND) == 20

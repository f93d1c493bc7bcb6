"""The deployments that an advice chooses from, all with the same number of GPUs, and what one of their workers is.

Several GPUs under one worker cost something. DistServe's coefficients for OPT-13B and OPT-66B on 1 to 8 A100s (NVLink)
say that each doubling keeps 0.81 of the FLOP/s and 0.9 of the memory bandwidth per GPU (geometric means). Over PCIe the
activations of two all-reduces a layer come on top, at the road's bandwidth.
"""

from collections.abc import Iterator
from math import log2

import msgspec

from engine.fleet.advisor.plan import Pool
from engine.fleet.advisor.question import Question
from engine.fleet.catalog.hardware import FabricSpec
from engine.fleet.estimate.roofline import TYPICAL, Reached, kv_capacity_tokens, smallest_tp
from engine.fleet.estimate.workers import link_of, model_size
from engine.link import LinkSpec
from engine.sim.cost import Hardware, RooflineCost

COMPUTE_KEPT, MEMORY_KEPT = 0.81, 0.9  # per doubling of the GPUs of a worker
CHUNKS = (
    512,
    1024,
    2048,
    4096,
    8192,
)  # token budgets of a step: from Sarathi's strict one to vLLM's default on an H100
STEP_OVERHEAD_S = 0.002
ALL_REDUCE_S = 10e-6  # latency of one, two a layer: aiconfigurator's p2p_latency
MOST_RATIOS = 12  # prefill:decode ratios that are screened per pair of TPs, on many GPUs


class Candidate(msgspec.Struct, frozen=True):
    """Either `both` with a token budget per step, or `prefill` and `decode`.

    `remote_above_tokens`: only prompts with more uncached tokens are prefilled elsewhere.
    """

    both: Pool | None = None
    chunk_tokens: int = 2048
    prefill: Pool | None = None
    decode: Pool | None = None
    remote_above_tokens: int | None = None

    @property
    def split(self) -> tuple[Pool, Pool] | None:
        return (self.prefill, self.decode) if self.prefill and self.decode else None

    @property
    def label(self) -> str:
        if self.both:
            return f"{self.both.replicas} × TP {self.both.tp}, chunks of {self.chunk_tokens:,}"
        assert self.prefill
        assert self.decode
        above = f", prompts above {self.remote_above_tokens:,}" if self.remote_above_tokens is not None else ""
        shape = f"{self.prefill.replicas}P{self.decode.replicas}D"
        return f"{shape} (P of TP {self.prefill.tp}, D of TP {self.decode.tp}){above}"


def colocated(question: Question) -> Iterator[Candidate]:
    """Every TP that leaves no GPU over, with every chunk budget."""
    for tp in tensor_parallel(question):
        if question.gpus % tp == 0:
            for chunk in CHUNKS:
                yield Candidate(both=Pool(question.gpu, question.gpus // tp, tp), chunk_tokens=chunk)


def splits(question: Question, most_ratios: int = MOST_RATIOS) -> Iterator[Candidate]:
    """Every pair of TPs with every ratio that leaves no GPU over; of very many ratios, `most_ratios` spread evenly."""
    gpus = question.gpus
    for tp_prefill in tensor_parallel(question):
        for tp_decode in tensor_parallel(question):
            possible = [p for p in range(1, gpus // tp_prefill + 1) if _fits(gpus - p * tp_prefill, tp_decode)]
            step = max(1, -(-len(possible) // most_ratios))
            for p in possible[(len(possible) - 1) % step // 2 :: step]:
                d = (gpus - p * tp_prefill) // tp_decode
                yield Candidate(prefill=Pool(question.gpu, p, tp_prefill), decode=Pool(question.gpu, d, tp_decode))


def tensor_parallel(question: Question) -> list[int]:
    """Powers of two that hold the model and fit into a node."""
    tp = smallest_tp(question.shape, question.card)
    sizes = []
    while tp <= min(question.gpus, question.card.node_gpus):
        sizes.append(tp)
        tp *= 2
    return sizes


def _fits(left: int, tp: int) -> bool:
    return left > 0 and left % tp == 0


# ---- one worker


def cost(question: Question, tp: int, reached: Reached = TYPICAL) -> RooflineCost:
    """How long its steps take."""
    shape, card = question.shape, question.card
    doublings = log2(tp)
    flops_per_s = card.bf16_flops_per_s * COMPUTE_KEPT**doublings
    road = question.tensor_road(tp)
    overhead_s = STEP_OVERHEAD_S
    if tp > 1:
        overhead_s += 2 * shape.layers * ALL_REDUCE_S * doublings
        if road.kind != "nvlink":
            token_s = 2 * shape.matmul_params / (tp * flops_per_s * reached.compute) + _all_reduce_s(question, tp, road)
            flops_per_s = 2 * shape.matmul_params / (tp * token_s * reached.compute)
    memory_bytes_per_s = card.memory_bytes_per_s * MEMORY_KEPT**doublings
    hardware = Hardware(flops_per_s, memory_bytes_per_s, tp, reached.compute, reached.memory, overhead_s)
    return RooflineCost(hardware, model_size(shape, tp, question.isl_tokens + question.osl_tokens))


def kv_tokens(question: Question, tp: int) -> int:
    """How many tokens' KV a worker holds."""
    context = question.isl_tokens + question.osl_tokens
    return kv_capacity_tokens(question.shape, question.card, tp=tp, context=context)


def link(question: Question, candidate: Candidate) -> LinkSpec:
    """Between a prefill and a decode worker: every GPU sends its share over its own road."""
    assert candidate.prefill
    assert candidate.decode
    prefill, decode = candidate.prefill, candidate.decode
    road = question.handoff_road(prefill.tp + decode.tp, (prefill.replicas, decode.replicas))
    return link_of(question.shape, road, min(prefill.tp, decode.tp))


def handoff_s(question: Question, candidate: Candidate) -> float:
    """One prompt's KV, alone on its road."""
    return link(question, candidate).seconds(question.shape.kv_bytes(question.isl_tokens))


def _all_reduce_s(question: Question, tp: int, road: FabricSpec) -> float:
    """Of one token: a ring sends 2·(tp − 1)/tp of its activations, two bytes each, twice a layer."""
    sent = 2 * question.shape.layers * 2 * (tp - 1) / tp * question.shape.hidden * 2
    return sent / road.achieved_bytes_per_s

"""The deployments that the advisor compares, all with the same number of GPUs, and what one of their workers is."""

from collections.abc import Iterator

import msgspec

from engine.fleet.advisor.plan import WHOLE, Pool, Verdict
from engine.fleet.advisor.question import Question
from engine.fleet.catalog.calibration import Calibration
from engine.fleet.catalog.engines import serving_engine
from engine.fleet.estimate.roofline import CRAMPED, kv_capacity_tokens, smallest_tp
from engine.fleet.estimate.step_cost import step_cost
from engine.fleet.estimate.workers import link_of
from engine.link import LinkSpec
from engine.sim.cost import GpuCost

CHUNKS = (256, 512, 1024, 2048, 4096, 8192, 16_384)  # token budgets of a step, from Sarathi's strict one upwards
ROUND = 256  # a budget for one prompt and the decode rows beside it is a multiple of this, with as many to spare
MOST_RATIOS = 12  # prefill:decode ratios that are screened for each pair of TPs, on many GPUs


class Candidate(msgspec.Struct, frozen=True):
    """Either `both` with a token budget per step, which may be `WHOLE`, or `prefill` and `decode`.

    `remote_above_tokens`: only prompts with more uncached tokens are prefilled elsewhere.
    """

    both: Pool | None = None
    chunk_tokens: int = 2048
    prefill: Pool | None = None
    decode: Pool | None = None
    remote_above_tokens: int | None = None

    @property
    def split(self) -> tuple[Pool, Pool] | None:
        """The prefill and the decode pool, if there are two."""
        return (self.prefill, self.decode) if self.prefill and self.decode else None

    @property
    def verdict(self) -> Verdict:
        """What it means to run this one."""
        if self.both:
            return "colocate-chunked" if self.chunk_tokens else "colocate"
        return "disaggregate" if self.remote_above_tokens is None else "conditional"

    @property
    def label(self) -> str:
        """How people write it: 2 × TP 4, chunks of 2,048; or 2P1D (P of TP 4, D of TP 8)."""
        if self.both:
            prompts = f"chunks of {self.chunk_tokens:,}" if self.chunk_tokens else "whole prompts"
            return f"{self.both.replicas} × TP {self.both.tp}, {prompts}"
        assert self.prefill
        assert self.decode
        above = f", prompts above {self.remote_above_tokens:,}" if self.remote_above_tokens is not None else ""
        shape = f"{self.prefill.replicas}P{self.decode.replicas}D"
        return f"{shape} (P of TP {self.prefill.tp}, D of TP {self.decode.tp}){above}"


def colocated(question: Question) -> Iterator[Candidate]:
    """Everything that keeps prefill and decode together."""
    yield from chunked(question)
    yield from unchunked(question)


def chunked(question: Question) -> Iterator[Candidate]:
    """Every TP with as many workers as fit, the engine's default chunk budget first, then every other if it mixes: one
    of them takes a whole prompt at a time."""
    engine = serving_engine(question.engine)
    usual = engine.chunk_on(question.card)
    one_prompt = (-(-question.uncached_tokens // ROUND) + 1) * ROUND
    others = dict.fromkeys((*CHUNKS, one_prompt)) if engine.mixes else ()
    for tp in tensor_parallel(question):
        for chunk in (usual, *(chunk for chunk in others if chunk != usual)):
            yield Candidate(both=Pool(question.gpu, question.gpus // tp, tp), chunk_tokens=chunk)


def unchunked(question: Question) -> Iterator[Candidate]:
    """Every TP with as many workers as fit, as they were before there were chunks; none if the engine has no chunks."""
    for tp in tensor_parallel(question) if serving_engine(question.engine).mixes else ():
        yield Candidate(both=Pool(question.gpu, question.gpus // tp, tp), chunk_tokens=WHOLE)


def splits(question: Question, most_ratios: int = MOST_RATIOS) -> Iterator[Candidate]:
    """Every pair of TPs with every ratio that leaves the fewest GPUs over; at most about `most_ratios` per pair."""
    gpus = question.gpus
    for tp_prefill in tensor_parallel(question):
        for tp_decode in tensor_parallel(question):
            most = (gpus - tp_decode) // tp_prefill
            over = {p: (gpus - p * tp_prefill) % tp_decode for p in range(1, most + 1)}
            possible = [p for p in over if over[p] == min(over.values())]
            step = max(1, -(-len(possible) // most_ratios))
            for p in possible[(len(possible) - 1) % step // 2 :: step]:
                d = (gpus - p * tp_prefill) // tp_decode
                yield Candidate(prefill=Pool(question.gpu, p, tp_prefill), decode=Pool(question.gpu, d, tp_decode))


def tensor_parallel(question: Question) -> list[int]:
    """TP sizes to try: powers of two that hold the model and fit into a node, or only the one asked for."""
    if question.tp:
        return [question.tp]
    tp = smallest_tp(question.shape, question.card, CRAMPED)
    sizes = []
    while tp <= min(question.gpus, question.card.node_gpus):
        sizes.append(tp)
        tp *= 2
    return sizes


# ---- one worker


def cost(question: Question, tp: int, reached: Calibration | None = None) -> GpuCost:
    """How long the steps of a worker of `tp` GPUs take; `reached` replaces the fitted constants."""
    road = question.tensor_road(tp)
    return step_cost(question.shape, question.card, tp=tp, engine=question.engine, road=road, reached=reached)


def kv_tokens(question: Question, tp: int) -> int:
    """How many tokens' KV a worker of `tp` GPUs holds."""
    context = question.isl_tokens + question.osl_tokens
    return kv_capacity_tokens(question.shape, question.card, tp=tp, context=context)


def link(question: Question, candidate: Candidate) -> LinkSpec:
    """The link between a prefill and a decode worker of a split: each GPU sends its share over its own link, if it has
    one."""
    assert candidate.prefill
    assert candidate.decode
    prefill, decode = candidate.prefill, candidate.decode
    road = question.handoff_road(prefill.tp + decode.tp, (prefill.replicas, decode.replicas))
    if question.one_port:
        return LinkSpec(road.achieved_bytes_per_s, road.latency_s)
    return link_of(question.shape, road, min(prefill.tp, decode.tp))


def handoff_s(question: Question, candidate: Candidate) -> float:
    """How long one prompt's KV takes with the link to itself. Only for a split."""
    return link(question, candidate).seconds(question.shape.kv_bytes(question.isl_tokens))

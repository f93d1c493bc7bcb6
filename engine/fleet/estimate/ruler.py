"""The scale ruler: which bandwidth on the live engine makes handoffs cost as much as a real fabric does on a real GPU.

A small model on a CPU core and a large one on a GPU differ in FLOPs per KV byte, so equal bandwidths mean different
things. What carries over is the *shipping ratio*, seconds of transfer per second of prefill:

    ratio = (KV bytes per token / link bytes per s) / (prefill s per token)

As with the Reynolds number in a wind tunnel, the model is small but the ratio is real. Latency is left out.
"""

from collections.abc import Iterable

import msgspec

from engine.events import Event, StepEnded, StepStarted
from engine.fleet.catalog.hardware import FabricSpec, GpuSpec, fabrics
from engine.fleet.catalog.models import ModelShape
from engine.fleet.estimate.roofline import prefill_s, smallest_tp
from engine.fleet.estimate.step_cost import error_of, kv_shards
from engine.scenario import number
from engine.units import in_time, in_words

PROMPT_TOKENS = 2048  # the prompt length at which the real model's prefill is taken


class Pace(msgspec.Struct, frozen=True):
    """How fast an engine makes KV. `links`: how many links carry one handoff in parallel."""

    kv_bytes_per_token: float
    prefill_s_per_token: float
    links: int = 1

    def ratio(self, bytes_per_s: float) -> float:
        """Seconds on links of `bytes_per_s` each, per second of prefill."""
        return self.kv_bytes_per_token / (self.links * bytes_per_s) / self.prefill_s_per_token

    def bytes_per_s_at(self, ratio: float) -> float:
        """The inverse of `ratio`: the bandwidth that has it."""
        return self.kv_bytes_per_token / (self.links * ratio) / self.prefill_s_per_token


class Mark(msgspec.Struct, frozen=True):
    """At `bytes_per_s` the live engine has the shipping ratio that the fabric `label` has in a cluster."""

    label: str
    bytes_per_s: float
    fabric: str
    ratio: float


class Ruler(msgspec.Struct, frozen=True):
    """Marks, the fastest fabric first, and what they assume, in one sentence."""

    marks: tuple[Mark, ...]
    assumes: str


def pace_of(model: ModelShape, gpu: GpuSpec, *, tp: int, tokens: int) -> Pace:
    """A real model's pace on `tp` GPUs, by its roofline, for prompts of `tokens`."""
    per_token_s = prefill_s(model, gpu, tokens, tp=tp) / tokens
    return Pace(model.kv_bytes(tokens) / tokens, per_token_s, kv_shards(model, tp))


def measured_pace(events: Iterable[Event], kv_bytes_per_token: float) -> Pace | None:
    """An engine's pace by its log's steps that only prefilled. None if there were none."""
    began: dict[str, StepStarted] = {}
    tokens, seconds = 0, 0.0
    for event in events:
        if isinstance(event, StepStarted):
            began[event.worker] = event
        elif isinstance(event, StepEnded) and (step := began.pop(event.worker, None)) and _is_prefill(step):
            tokens += sum(slice_.tokens for slice_ in step.plan)
            seconds += event.t - step.t
    return Pace(kv_bytes_per_token, seconds / tokens) if tokens else None


def _is_prefill(step: StepStarted) -> bool:
    return all(slice_.tokens > 1 for slice_ in step.plan)  # a single token may be a decode


def scale_ruler(
    live: Pace,
    model: ModelShape,
    gpu: GpuSpec,
    *,
    tp: int | None = None,
    tokens: int = PROMPT_TOKENS,
) -> Ruler:
    """Every fabric's mark on the live engine's bandwidth. `tp` None: the fewest GPUs that hold the model.

    Raises BadInput if the live engine's pace is not above 0.
    """
    number("live KV bytes per token", live.kv_bytes_per_token, above=0, unit="bytes")
    number("live prefill seconds per token", live.prefill_s_per_token, above=0, unit="seconds")
    tp = tp or smallest_tp(model, gpu)
    real = pace_of(model, gpu, tp=tp, tokens=tokens)
    marks = [_mark(live, real, fabric) for fabric in fabrics().values()]
    marks.sort(key=lambda mark: -mark.bytes_per_s)
    return Ruler(tuple(marks), _assumptions(model, gpu, tp, tokens, real))


def _mark(live: Pace, real: Pace, fabric: FabricSpec) -> Mark:
    ratio = real.ratio(fabric.achieved_bytes_per_s)
    return Mark(fabric.label, live.bytes_per_s_at(ratio), fabric.name, ratio)


def _assumptions(model: ModelShape, gpu: GpuSpec, tp: int, tokens: int, real: Pace) -> str:
    where = f"{tp} × {gpu.label}" if tp > 1 else gpu.label
    return (
        f"{model.label} on {where} under vLLM, simulated: {in_time(real.prefill_s_per_token)} "
        f"and {in_words(real.kv_bytes_per_token, 'B')} of KV per prompt token ({tokens:,} tokens long). "
        f"{error_of(gpu, 'vllm', model)} "
        "Handoffs reach this share of the line rate: NVLink 75 %, PCIe 66 to 77 %, RDMA 70 %, TCP 80 %; "
        "the TCP fallback reaches 0.5 GB/s, as measured. One link per GPU."
    )

"""Measurements of whole servers, and the engine's share of a step: fitted on one half, validated on the other.

Every measurement is a closed loop with a number of users, one prompt length and one answer length. In the time of one
answer each user sends one prompt, so a token takes a decode step plus its share of the other users' prefill.
"""

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import numpy as np

from engine.fleet.catalog.calibration import Calibration, Overhead
from engine.fleet.catalog.engines import serving_engine
from engine.fleet.catalog.hardware import GpuSpec, gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.catalog.models import ModelShape
from engine.fleet.estimate.step_cost import step_cost
from engine.sim.cost import GpuCost

SYSTEMS = {"h100_sxm": "h100-sxm", "h200_sxm": "h200-sxm", "b200_sxm": "b200-sxm", "b300_sxm": "b300-sxm"}
MODELS = {
    "meta-llama/Llama-3.1-70B": "llama-3.3-70b",
    "meta-llama/Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "Qwen/Qwen3-32B": "qwen3-32b",
    "openai/gpt-oss-120b": "gpt-oss-120b",
    "deepseek-ai/DeepSeek-R1": "deepseek-v3",
    "deepseek-ai/DeepSeek-V3": "deepseek-v3",
    "Qwen/Qwen3-235B-A22B-FP8": "qwen3-235b-a22b",
    "MiniMaxAI/MiniMax-M2.5": "minimax-m2.5",
    "moonshotai/Kimi-K2.5": "kimi-k2.5",
}
ENGINES = ("vllm", "sglang", "trtllm")
FORMATS = {"fp4": "nvfp4", "": "bf16"}
AS_PUBLISHED = ("gpt-oss-120b",)  # models that come in one format
FEW_USERS, TTFT_WEIGHT = 8, 0.12
FAR = 0.7  # the loss of one measurement, a log ratio, is capped here: beyond it is an outlier
STEPS = (0.3, 0.6, 0.85, 0.95, 1.05, 1.15, 1.5, 3.0)
ROUNDS, ENOUGH = 3, 5e-4
LOYAL = 0.01  # the penalty for a factor of e away from a kernel table's value
SEEN_BY_SERVERS = ("memory", "expert_memory", "expert_compute", "all_reduce_s")  # refitted from whole servers

Errors = np.ndarray[Any, np.dtype[np.float64]]


class Point(msgspec.Struct, frozen=True):
    """One measurement. `seen`: the fit may use it."""

    card: GpuSpec
    shape: ModelShape
    engine: str
    tp: int
    users: int
    prompt_tokens: int
    output_tokens: int
    ttft_s: float
    tpot_s: float
    seen: bool


def points(file: Path) -> list[Point]:
    """The file's usable rows: servers without prefill/decode splitting, data-parallel attention or several nodes."""
    with file.open(newline="", encoding="utf-8") as rows:
        return [point for row in csv.DictReader(rows) if (point := _point(row))]


def _point(row: dict[str, str]) -> Point | None:
    users = re.search(r"silicon_concurrency=(\d+)", row["silicon_data_source"])
    name = MODELS.get(row["model_path"])
    plain = row["mode"] == "agg" and row["attention_dp_size"] in ("", "0", "1", "1.0", "0.0") and row["pp_size"] == "1"
    if not (users and name and plain and row["system"] in SYSTEMS and row["silicon_tpot_ms"]):
        return None
    tp = int(float(row["tp_size"]))
    if tp > 8 or row["backend"] not in ENGINES:
        return None
    kept = row["precision"] or row["gemm_quant_mode"]
    shape = model(name) if name in AS_PUBLISHED else model(name).served(FORMATS.get(kept, kept))
    return Point(
        gpu(SYSTEMS[row["system"]]),
        shape,
        row["backend"],
        tp,
        int(users.group(1)),
        int(row["isl"]),
        int(row["osl"]),
        float(row["silicon_ttft_ms"] or "nan") * 1e-3,
        float(row["silicon_tpot_ms"]) * 1e-3,
        crc32(row["id"].encode()) % 2 == 0,
    )


def foreseen_tpot_s(point: Point, reached: Calibration) -> float:
    """Time per output token in the closed loop, by formula instead of simulation."""
    cost = step_cost(point.shape, point.card, tp=point.tp, reached=reached)
    users, context = point.users, round(point.users * (point.prompt_tokens + point.output_tokens / 2))
    decode_s = cost.step_s((), users, context)
    return decode_s + (users - 1) * _prefill_s(point, cost, users, context, decode_s) / point.output_tokens


def foreseen_ttft_s(point: Point, reached: Calibration) -> float:
    """Time to first token with few users: half a decode step that is under way, then the prompt's own step."""
    cost = step_cost(point.shape, point.card, tp=point.tp, reached=reached)
    decode_s = cost.step_s((), point.users, round(point.users * (point.prompt_tokens + point.output_tokens / 2)))
    return decode_s / 2 + cost.step_s([(0, point.prompt_tokens)], 0, 0)


def _prefill_s(point: Point, cost: GpuCost, users: int, context: int, decode_s: float) -> float:
    """How much longer one prompt makes the other users' steps."""
    prompt = [(0, point.prompt_tokens)]
    if serving_engine(point.engine).mixes:
        return cost.step_s(prompt, users, context) - decode_s
    return cost.step_s(prompt, 0, 0)


def tpot_errors(some: Iterable[Point], reached: Calibration) -> Errors:
    """Computed over measured TPOT, minus 1, for each point."""
    return np.array([foreseen_tpot_s(point, reached) / point.tpot_s - 1 for point in some])


def ttft_errors(some: Iterable[Point], reached: Calibration) -> Errors:
    """Computed over measured TTFT, minus 1, for points with so few users that queues are rare."""
    few = [point for point in some if point.users <= FEW_USERS and point.ttft_s > 0]
    return np.array([foreseen_ttft_s(point, reached) / point.ttft_s - 1 for point in few])


def fitted_overhead(some: Sequence[Point], start: Calibration) -> Calibration:
    """The calibration with the overhead that fits these measurements best and the kernels of `start`."""
    names = [name for name in Overhead.__struct_fields__ if name.endswith("_s")]
    return _descend(start, "overhead", names, lambda tried: _far(some, tried))


def fitted_kernels(groups: Sequence[tuple[Sequence[Point], Overhead]], table: Calibration) -> Calibration:
    """The calibration whose kernels fit all groups best, each with its own overhead; leaving `table` is penalised."""
    weights = np.array([len(some) for some, _ in groups]) / sum(len(some) for some, _ in groups)

    def loss(tried: Calibration) -> float:
        far = [_far(some, msgspec.structs.replace(tried, overhead=own)) for some, own in groups]
        moved = sum(
            abs(np.log(getattr(tried.kernels, name) / getattr(table.kernels, name))) for name in SEEN_BY_SERVERS
        )
        return float(weights @ far) + LOYAL * float(moved)

    return _descend(table, "kernels", SEEN_BY_SERVERS, loss)


def _far(some: Sequence[Point], reached: Calibration) -> float:
    """The mean log distance of computed from measured times."""
    both = (tpot_errors(some, reached), ttft_errors(some, reached))
    far = [float(np.minimum(np.abs(np.log1p(off)), FAR).mean()) if off.size else 0.0 for off in both]
    return far[0] + TTFT_WEIGHT * far[1]


def _descend(start: Calibration, part: str, names: Sequence[str], loss: Callable[[Calibration], float]) -> Calibration:
    """Coordinate descent over the constants of one part, as long as it helps."""
    best, least = start, loss(start)
    for _ in range(ROUNDS):
        before = least
        for name in names:
            for step in STEPS:
                now = getattr(best, part)
                value = getattr(now, name) * step
                changed = msgspec.structs.replace(now, **{name: value if name.endswith("_s") else min(value, 1.0)})
                tried = msgspec.structs.replace(best, **{part: changed})
                if (found := loss(tried)) < least:
                    best, least = tried, found
        if before - least < ENOUGH:
            break
    return best

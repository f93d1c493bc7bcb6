"""The share of a GPU's peaks that kernels reach, from tables of single kernels: a share and a latency, by grid search.

A time is modelled as work / (share x peak) + latency; for a kernel that compute or memory may limit, the longer of the
two. The search minimises the median relative error.
"""

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import BadInput
from engine.fleet.catalog.calibration import Kernels
from engine.fleet.catalog.hardware import GpuSpec, fabric

Column = np.ndarray[Any, np.dtype[np.float64]]
Model = Callable[..., Column]

STEPS = (0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25)
ROUNDS = 12
DTYPES = {"bf16": "bfloat16", "fp8": "fp8_block", "fp4": "nvfp4"}  # fp8_block: the format of most fp8 checkpoints
WEIGHT_BYTES = {"bf16": 2.0, "fp8": 1.0, "fp4": 4.5 / 8}
FEWEST_WEIGHTS, MOST_WEIGHTS, MOST_ROWS = 2e6, 4e8, 8192  # of matrices as models have them
ENGINES = ("trtllm", "sglang", "vllm")


def kernels(data: Path, card: GpuSpec) -> Kernels:
    """Fit the kernels of the GPU whose tables are in `data`. Raises BadInput if a table is missing."""
    compute, memory, errors = {}, [], []
    for arithmetic in ("bf16", "fp8", "fp4"):
        found = _products(data, card, arithmetic)
        if found is not None:
            (compute[arithmetic], share, _), error = found
            memory.append(share)
            errors.append(f"{arithmetic} products {error:.0%}")
    (kv, _), kv_error = _decode_attention(data, card)
    (attention, _), attention_error = _prefill_attention(data, card)
    (expert_compute, expert_memory, _), expert_error = _experts(data, card)
    (line, latency_s), reduce_error = _all_reduce(data, card)
    errors += [f"attention {attention_error:.0%}", f"KV {kv_error:.0%}", f"experts {expert_error:.0%}"]
    widest = compute["bf16"]
    return Kernels(
        compute={name: round(compute.get(name, widest), 3) for name in ("bf16", "fp8", "fp4")},
        expert_compute=round(expert_compute, 3),
        memory=round(float(np.median(memory)), 3),
        expert_memory=round(expert_memory, 3),
        attention=round(attention, 3),
        kv=round(kv, 3),
        all_reduce=round(line, 3),
        all_reduce_s=round(latency_s, 7),
        source=f"aiconfigurator {data.name}; median error: {', '.join(errors)}, all-reduce {reduce_error:.0%}",
    )


def search(model: Model, seconds: Column, start: Sequence[float]) -> tuple[tuple[float, ...], float]:
    """The parameters with the smallest median relative error, by a moving grid; and that error."""
    best, least = tuple(start), np.inf
    for _ in range(ROUNDS):
        before = best
        for tried in product(*[[value * step for step in STEPS] for value in before]):
            error = float(np.median(np.abs(model(*tried) / seconds - 1)))
            if error < least:
                best, least = tried, error
        if best == before:
            break
    return best, least


def _products(data: Path, card: GpuSpec, arithmetic: str) -> tuple[tuple[float, ...], float] | None:
    table = _table(data, "gemm", "gemm_perf", ENGINES)
    table = _only(table, table["gemm_dtype"] == DTYPES[arithmetic])
    m, n, k = (table[c].astype(float) for c in "mnk")
    usual = (n * k >= FEWEST_WEIGHTS) & (n * k <= MOST_WEIGHTS) & (m <= MOST_ROWS)
    if not usual.any():
        return None
    m, n, k, seconds = m[usual], n[usual], k[usual], table["latency"][usual] * 1e-3
    width = WEIGHT_BYTES[arithmetic]
    flops_s = 2 * m * n * k / card.flops_per_s(arithmetic)  # type: ignore[arg-type]
    bytes_s = (n * k * width + m * k * width + m * n * 2) / card.memory_bytes_per_s
    return search(lambda c, b, late: np.maximum(flops_s / c, bytes_s / b) + late, seconds, (0.6, 0.8, 5e-6))


def _decode_attention(data: Path, card: GpuSpec) -> tuple[tuple[float, ...], float]:
    table = _table(data, "attention", "generation_attention_perf", ("vllm", "sglang", "trtllm"))
    context = table["step"].astype(float) + table["isl"]
    heads = table["num_heads"] / np.maximum(table["num_key_value_heads"], 1)
    usual = (table["kv_cache_dtype"] == "bfloat16") & (table["head_dim"] == 128) & (context >= 255) & _whole(table)
    usual &= (table["batch_size"] >= 4) & (table["num_key_value_heads"] <= 8) & (heads >= 1) & (heads <= 16)
    nbytes = table["batch_size"] * context * 2 * table["num_key_value_heads"] * table["head_dim"] * 2.0
    read_s = nbytes[usual] / card.memory_bytes_per_s
    return search(lambda share, late: read_s / share + late, table["latency"][usual] * 1e-3, (0.8, 1e-5))


def _prefill_attention(data: Path, card: GpuSpec) -> tuple[tuple[float, ...], float]:
    table = _table(data, "attention", "context_attention_perf", ("vllm", "sglang", "trtllm"))
    usual = (table["kv_cache_dtype"] == "bfloat16") & (table["head_dim"] == 128) & (table["isl"] >= 512)
    usual &= (table["num_heads"] >= 4) & (table["step"] == 0) & _whole(table)
    flops = table["batch_size"] * 2.0 * table["num_heads"] * table["head_dim"] * table["isl"].astype(float) ** 2
    work_s = flops[usual] / card.bf16_flops_per_s
    return search(lambda share, late: work_s / share + late, table["latency"][usual] * 1e-3, (0.5, 3e-5))


def _experts(data: Path, card: GpuSpec) -> tuple[tuple[float, ...], float]:
    table = _table(data, "moe", "moe_perf", ("sglang", "vllm", "trtllm"))
    fp8 = "fp8_block" if (table["moe_dtype"] == "fp8_block").any() else "bfloat16"
    usual = (table["moe_dtype"] == fp8) & (table["moe_ep_size"] == 1) & (table["num_tokens"] <= MOST_ROWS)
    usual &= (table["moe_tp_size"] <= 8) & np.array([str(name).startswith("power") for name in table["distribution"]])
    names = ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size")
    tokens, hidden, width, active, count, tp = (table[name][usual].astype(float) for name in names)
    weights = 3 * hidden * width / tp
    arithmetic, nbytes = ("fp8", 1.0) if fp8 == "fp8_block" else ("bf16", 2.0)
    work_s = 2 * weights * tokens * active / card.flops_per_s(arithmetic)  # type: ignore[arg-type]
    touched = count * (1 - (1 - active / count) ** tokens)
    read_s = touched * weights * nbytes / card.memory_bytes_per_s
    seconds = table["latency"][usual] * 1e-3
    return search(lambda c, b, late: np.maximum(work_s / c, read_s / b) + late, seconds, (0.2, 0.8, 3e-5))


def _all_reduce(data: Path, card: GpuSpec) -> tuple[tuple[float, ...], float]:
    table = _table(data, "comm", "custom_allreduce_perf", ("vllm", "sglang", "trtllm"))
    graphs = np.array([not str(name).endswith("eager") for name in table["kernel_source"]])
    usual = (table["message_size"] >= 8192) & (table["message_size"] <= 2**27) & (table["num_gpus"] <= 8) & graphs
    gpus, numbers = table["num_gpus"][usual].astype(float), table["message_size"][usual].astype(float)
    sent_s = 2 * (gpus - 1) / gpus * numbers * 2 / fabric(card.peer).bytes_per_s
    return search(lambda share, late: sent_s / share + late, table["latency"][usual] * 1e-3, (0.6, 6e-6))


# ---- files

Table = dict[str, np.ndarray[Any, Any]]


def _table(data: Path, family: str, name: str, engines: Sequence[str]) -> Table:
    """The newest table of the first engine that has one."""
    import pyarrow.parquet as parquet  # Streamlit brings it

    for engine in engines:
        files = sorted((data / family / engine).glob(f"*/{name}.parquet"))
        if files:
            read = parquet.read_table(files[-1])
            return {column: read.column(column).to_numpy() for column in read.column_names}
    raise BadInput("folder", str(data / family), f"one with a table {name}")


def _only(table: Table, rows: np.ndarray[Any, Any]) -> Table:
    return {name: column[rows] for name, column in table.items()}


def _whole(table: Table) -> np.ndarray[Any, Any]:
    """Rows without a sliding window."""
    return table["window_size"] == 0 if "window_size" in table else np.ones(len(table["latency"]), dtype=bool)

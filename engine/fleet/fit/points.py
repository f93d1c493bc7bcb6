"""Measurements of whole servers from aiconfigurator-core's silicon_sample.csv, and how each of them was made.

The file names a row's server, users and lengths. The rest is in the scripts of the two campaigns it comes from:

InferenceX (github.com/SemiAnalysisAI/InferenceX, once InferenceMAX, Apache-2.0): ten requests a user, all users at once
in the beginning, and lengths drawn evenly from 80 % to 100 % of what the row says (`--random-range-ratio 0.8`).
`benchmarks/70b_fp8_h200_trt_slurm.sh` and its like have TensorRT-LLM wait for more prompts before it computes any
(`batch_wait_timeout_iters: 20`), and `benchmarks/dsr1_fp8_b200.sh` has SGLang look for new requests every 10 or 30
steps (`--scheduler-recv-interval`). Both keep a prompt waiting for steps that somebody else's server would not take.
`benchmarks/dsr1_fp8_h200_trt_slurm.sh` and its like have TensorRT-LLM send tokens every 10 steps
(`stream_interval: 10`). DeepSeek's first tokens come about as many steps later than computed, on Hopper and on
Blackwell, with 1,024 and with 8,192 tokens in. So they count as waiting, too. No server's log proves it, and gpt-oss's
script (`stream_interval: 20`) shows no such thing.

NVIDIA's gap analysis ("gap-analysis" in a row's source): all lengths as the row says, so all answers end together and
all users ask again together.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import msgspec

from engine.fleet.catalog.hardware import GpuSpec, gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.catalog.models import ModelShape

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
ALIKE = "gap-analysis"  # in the source of rows whose lengths are all alike
SHORTEST = 0.8  # of the length that a row says, in the other rows
TOLD_APART = "db-dump"  # in the source of DeepSeek's rows that say whether tokens were guessed ahead
GATHERS_STEPS = 20  # that TensorRT-LLM waits for a second prompt
LOOKS_EVERY = (10, 30)  # steps, SGLang, with few and with many users
SENDS_EVERY = 10  # steps, TensorRT-LLM with DeepSeek
MANY_USERS = 16
OLD_RELEASE = ("vllm", "0.12.0", "Qwen/Qwen3-235B-A22B-FP8")  # the other mixtures' rows are of 0.15 to 0.19


class Point(msgspec.Struct, frozen=True):
    """One measurement. `shortest`: the shortest length, as a share of the longest; lengths are drawn evenly.

    `waits_steps`: for how many decode steps a prompt waits, on average, because the server is told to. `seen`: the fit
    may use it. `ttft_s` is 0 if the file does not have it, or has something else.
    """

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
    shortest: float = 1.0
    waits_steps: float = 0.0

    @property
    def spread(self) -> bool:
        """Whether lengths differ, so that users do not all ask together."""
        return self.shortest < 1

    @property
    def mean_prompt_tokens(self) -> int:
        return round(self.prompt_tokens * (1 + self.shortest) / 2)

    @property
    def mean_output_tokens(self) -> int:
        return round(self.output_tokens * (1 + self.shortest) / 2)


def points(file: Path) -> list[Point]:
    """The file's usable rows: servers without prefill/decode splitting, data-parallel attention or several nodes, which
    made one token per step and served all their users at once. The file has some measurements up to three times; they
    count once."""
    with file.open(newline="", encoding="utf-8") as rows:
        return list(dict.fromkeys(_points(csv.DictReader(rows))))


def _points(rows: "csv.DictReader[str]") -> Iterator[Point]:
    for row in rows:
        users = re.search(r"silicon_concurrency=(\d+)", row["silicon_data_source"])
        name = MODELS.get(row["model_path"])
        plain = row["mode"] == "agg" and not _spreads_attention(row)
        if not (users and int(users.group(1)) and name and plain and row["pp_size"] == "1" and row["silicon_tpot_ms"]):
            continue
        tp, engine = int(float(row["tp_size"])), row["backend"]
        if tp > 8 or engine not in ENGINES or row["system"] not in SYSTEMS or _may_guess(row):
            continue
        point = _point(row, gpu(SYSTEMS[row["system"]]), name, tp, int(users.group(1)))
        if not _turns_users_away(point):
            yield point


def _point(row: dict[str, str], card: GpuSpec, name: str, tp: int, users: int) -> Point:
    kept, engine = row["precision"] or row["gemm_quant_mode"], row["backend"]
    prompt_tokens, output_tokens = int(row["isl"]), int(row["osl"])
    alike = ALIKE in row["silicon_data_source"]
    weights = "" if name in AS_PUBLISHED else FORMATS.get(kept, kept)
    return Point(
        card,
        model(name).served(weights, "" if alike else _kv_dtype(engine, name, card)),
        engine,
        tp,
        users,
        prompt_tokens,
        output_tokens,
        0.0 if _compiles(row) else float(row["silicon_ttft_ms"] or 0) * 1e-3,
        float(row["silicon_tpot_ms"]) * 1e-3,
        not _old_release(row) and _seen(engine, name, card.name, kept, tp, prompt_tokens, output_tokens),
        1.0 if alike else SHORTEST,
        0.0 if alike else _waits_steps(engine, name, card, tp, users, (prompt_tokens, output_tokens)),
    )


def _spreads_attention(row: dict[str, str]) -> bool:
    """Whether attention is data-parallel. Some rows tell only that more GPUs than `tp` share the experts."""
    experts_over = _count(row["moe_tp_size"]) * _count(row["moe_ep_size"])
    return _count(row["attention_dp_size"]) > 1 or experts_over > _count(row["tp_size"])


def _count(cell: str) -> int:
    """GPUs; an empty cell and 0 are one."""
    return int(float(cell or 0)) or 1


def _turns_users_away(point: Point) -> bool:
    """Whether answers wait longer than they are written: the server takes fewer at a time than it has users, and the
    file does not say how many. Some of gpt-oss's with 512 users wait minutes."""
    return point.ttft_s > point.tpot_s * point.output_tokens


def _may_guess(row: dict[str, str]) -> bool:
    """Whether the server may have guessed tokens ahead (MTP). The scripts do so for DeepSeek; the older files have both
    kinds under one name."""
    return "DeepSeek" in row["model_path"] and TOLD_APART not in row["silicon_data_source"]


def _old_release(row: dict[str, str]) -> bool:
    """Whether the server runs mixtures of experts much more slowly than its later releases, which the fit is for."""
    return (row["backend"], row["backend_version"], row["model_path"]) == OLD_RELEASE


def _compiles(row: dict[str, str]) -> bool:
    """Whether the server still compiles kernels while it is measured: SGLang's first runs with fp4 have first tokens
    after 5 to 9 s, and the same server half a year later after 0.2 to 0.6 s."""
    first = "measured=2025-11" in row["silicon_data_source"]
    return first and row["backend"] == "sglang" and row["precision"] == "fp4"


def _kv_dtype(engine: str, name: str, card: GpuSpec) -> str:
    """InferenceX's scripts ask for an fp8 KV cache for Llama everywhere, and for DeepSeek but with SGLang on Hopper."""
    narrow = name == "llama-3.3-70b" or (name == "deepseek-v3" and (engine, card.generation) != ("sglang", "hopper"))
    return "fp8" if narrow else ""


def _waits_steps(engine: str, name: str, card: GpuSpec, tp: int, users: int, lengths: tuple[int, int]) -> float:
    if engine == "trtllm" and name == "llama-3.3-70b" and lengths == (1024, 1024) and tp < 8:
        return GATHERS_STEPS
    if engine == "trtllm" and name == "deepseek-v3":
        return SENDS_EVERY
    if engine == "sglang" and name == "deepseek-v3" and card.generation == "blackwell":
        return LOOKS_EVERY[users >= MANY_USERS and tp == 8] / 2
    return 0.0


def _seen(*of: object) -> bool:
    """The same for all numbers of users and all repetitions, so that neither half knows a curve of the other's."""
    return crc32(repr(of).encode()) % 2 == 0

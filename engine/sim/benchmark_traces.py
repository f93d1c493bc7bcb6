"""What benchmarks write down about each request they sent, as a trace: vLLM's and AIPerf's own output files.

`vllm bench serve --save-result --save-detailed`: one JSON object with input_lens, output_lens and start_times in s, one
number a request (github.com/vllm-project/vllm, Apache-2.0). AIPerf: profile_export.jsonl, one object a request with
metadata.request_start_ns and metrics (github.com/ai-dynamo/aiperf, Apache-2.0).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from engine.errors import BadInput

Lengths = tuple[
    int, float, object, object
]  # number of the request, second, prompt and output tokens as the file has them
LISTS = ("input_lens", "output_lens")
WARMING_UP = "warmup"
MOST = 1e19  # of nanoseconds since 1970, with room


def vllm_result(text: str) -> Mapping[str, Any] | None:
    """The object, if the text is a result of `vllm bench serve`. Raises BadInput if it is one without its requests."""
    found = _object(text)
    if found is None or ("total_input_tokens" not in found and "input_lens" not in found):
        return None
    if any(not isinstance(found.get(key), list) for key in LISTS):
        allowed = "there, one number a request: run vllm bench serve with --save-detailed"
        raise BadInput("trace's input_lens and output_lens", "missing", allowed)
    return found


def of_vllm(found: Mapping[str, Any]) -> Iterator[Lengths]:
    """In order of time; requests that failed are left out. Without start_times, evenly at the file's request_rate."""
    prompts, outputs, times = (found.get(key) or [] for key in (*LISTS, "start_times"))
    errors = found.get("errors") or []
    rate = found.get("request_rate")
    if not times and isinstance(rate, (int, float)) and 0 < rate < float("inf"):
        times = [number / rate for number in range(len(prompts))]
    if len({len(prompts), len(outputs), len(times)}) > 1:
        lengths = f"{len(prompts)}, {len(outputs)} and {len(times)} numbers"
        raise BadInput("trace's input_lens, output_lens and start_times", lengths, "equally many, or a request_rate")
    order = sorted(range(len(times)), key=lambda number: _number(times[number], "start_times"))
    for number in order:
        if number >= len(errors) or not errors[number]:
            yield number + 1, float(times[number]), prompts[number], outputs[number]


def is_aiperf(line: str) -> bool:
    """Whether a file that begins with this line has AIPerf's records."""
    found = _object(line) or {}
    return isinstance(found.get("metadata"), dict) and isinstance(found.get("metrics"), dict)


def of_aiperf(text: str) -> Iterator[Lengths]:
    """In order of time; requests of the warm-up and those that failed are left out."""
    found: list[Lengths] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        record = _object(line)
        if record is None or not isinstance(record.get("metadata"), dict):
            raise BadInput(f"trace row {number}", line[:60], "a JSON object with metadata, as AIPerf writes it")
        metadata, metrics = record["metadata"], record.get("metrics") or {}
        if record.get("error") or metadata.get("benchmark_phase") == WARMING_UP:
            continue
        begun_ns = _number(metadata.get("request_start_ns"), f"row {number}, request_start_ns")
        prompt, output = (_value(metrics.get(f"{end}_sequence_length")) for end in ("input", "output"))
        found.append((number, begun_ns / 1e9, prompt, output))
    yield from sorted(found, key=lambda one: one[1])


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _value(metric: object) -> object:
    return metric.get("value") if isinstance(metric, Mapping) else metric


def _number(value: object, column: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadInput(f"trace's {column}", value, "a number")
    if not abs(value) <= MOST:
        raise BadInput(f"trace's {column}", value, f"a number up to {MOST:g}")
    return float(value)

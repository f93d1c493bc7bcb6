"""Recorded traffic in published formats: CSV or JSON lines, recognised by their columns.

Azure 2023 and 2024: TIMESTAMP, ContextTokens, GeneratedTokens (github.com/Azure/AzurePublicDataset, CC-BY 4.0).
BurstGPT: Timestamp in s, Request tokens, Response tokens (github.com/HPMLL/BurstGPT, CC-BY 4.0).
Mooncake: timestamp in ms, input_length, output_length, hash_ids of blocks of 512 prompt tokens
(github.com/kvcache-ai/Mooncake, Apache-2.0). Qwen-Bailian: the same keys with the timestamp in s, and a chat_id
(github.com/alibaba-edu/qwen-bailian-usagetraces-anon, Apache-2.0), in blocks of 16 tokens.
vLLM's and AIPerf's benchmarks: `benchmark_traces`.
"""

import csv
import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import BadInput
from engine.files import contents
from engine.sim.benchmark_traces import Lengths, is_aiperf, of_aiperf, of_vllm, vllm_result
from engine.workload import Draft

AZURE_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
BURST_COLUMNS = ("Timestamp", "Request tokens", "Response tokens")
MOONCAKE_BLOCK_TOKENS = 512
BAILIAN_BLOCKS = 32  # of 16 tokens, in one of Mooncake's
MOST_BYTES = 1_000_000_000  # the longest public trace has a quarter of it
MOST_SECONDS = 1e10  # three centuries, so seconds since 1970 are fine
READABLE = (
    "an Azure or BurstGPT CSV, a Mooncake or Qwen-Bailian JSONL file, or what vLLM's or AIPerf's benchmark wrote, that "
    "can be read"
)


def read_trace(path: str | Path, limit: int | None = None) -> list[Draft]:
    """The trace's requests, the first at second 0; at most `limit`. Raises BadInput with row and column of an error.

    A request without output tokens counts as one with one token.
    """
    try:
        text = contents(Path(path), MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as wrong:
        raise BadInput("trace", str(path), READABLE) from wrong
    rows = _json(text) if text.lstrip().startswith("{") else _csv(text)
    drafts: list[Draft] = []
    zero_s = before_s = 0.0
    for number, (row, t, prompt, output, hashes) in enumerate(islice(rows, limit)):
        if number == 0:
            zero_s = before_s = t
        if t < before_s:
            raise BadInput(f"trace row {row}, column timestamp", t, "no earlier than the row before")
        before_s = t
        drafts.append(Draft(number, t - zero_s, prompt, max(1, output), hashes))
    if not drafts:
        raise BadInput("trace", str(path), "a file with at least one request")
    return drafts


_Row = tuple[int, float, int, int, tuple[int, ...]]  # row, second, prompt and output tokens, blocks of the prompt


def _csv(text: str) -> Iterator[_Row]:
    lines = text.splitlines()
    blank = next((n for n, line in enumerate(lines) if line.strip()), 0)
    reader = csv.DictReader(lines[blank:])
    header = tuple(_header(reader, blank + 1))
    columns = BURST_COLUMNS if set(BURST_COLUMNS) <= set(header) else AZURE_COLUMNS
    if missing := [column for column in columns if column not in header]:
        allowed = f"a header with {', '.join(AZURE_COLUMNS)}"
        raise BadInput(f"trace row {blank + 1}", ",".join(header), f"{allowed} (missing: {', '.join(missing)})")
    when, prompts, outputs = columns
    for number, row in _numbered(reader, blank + 2):
        if None in row or None in row.values():
            fields = len([value for value in row.values() if isinstance(value, str)]) + len(row.get(None) or ())
            raise BadInput(f"trace row {number}", f"one of {fields} fields", f"one of {len(header)}, as the header has")
        t = _clock(number, row[when]) if columns is AZURE_COLUMNS else _seconds(number, row[when])
        prompt = _count(number, prompts, row[prompts], least=1)
        yield number, t, prompt, _count(number, outputs, row[outputs], least=0), ()


def _header(reader: "csv.DictReader[str]", row: int) -> Sequence[str]:
    try:
        return reader.fieldnames or ()
    except csv.Error as wrong:
        raise BadInput(f"trace row {row}", f"{wrong}", "a row of a CSV file") from wrong


def _numbered(reader: "csv.DictReader[str]", first: int) -> Iterator[tuple[int, dict[str | Any, str | Any]]]:
    number = first
    try:
        for number, row in enumerate(reader, start=first):
            yield number, row
    except csv.Error as wrong:
        raise BadInput(f"trace row {number + 1}", f"{wrong}", "a row of a CSV file") from wrong


def _clock(row: int, stamp: str) -> float:
    """A date and time, in UTC if the file names no zone; the machine's own zone has no effect."""
    plain = re.sub(r"(\.\d{6})\d+", r"\1", stamp.strip())  # Python reads at most six digits of a second
    try:
        moment = datetime.fromisoformat(plain)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as wrong:
        raise BadInput(f"trace row {row}, column TIMESTAMP", stamp, "a date and time") from wrong


def _seconds(row: int, stamp: str) -> float:
    try:
        seconds = float(stamp)
    except ValueError:
        seconds = math.nan
    if not abs(seconds) <= MOST_SECONDS:
        raise BadInput(f"trace row {row}, column Timestamp", stamp, "a time in seconds")
    return seconds


def _json(text: str) -> Iterator[_Row]:
    if (result := vllm_result(text)) is not None:
        return _of_benchmark(of_vllm(result))
    first = next(line for line in text.splitlines() if line.strip())
    return _of_benchmark(of_aiperf(text)) if is_aiperf(first) else _mooncake(text)


def _of_benchmark(found: Iterator[Lengths]) -> Iterator[_Row]:
    for number, t, prompt, output in found:
        prompt_tokens = _count(number, "input length", prompt, least=1)
        yield number, t, prompt_tokens, _count(number, "output length", output, least=0), ()


def _mooncake(text: str) -> Iterator[_Row]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as wrong:
            raise BadInput(f"trace row {number}", line[:60], "a JSON object") from wrong
        t = row.get("timestamp")
        if isinstance(t, bool) or not isinstance(t, (int, float)) or not abs(t) <= 1000 * MOST_SECONDS:
            raise BadInput(f"trace row {number}, column timestamp", t, "a time in milliseconds")
        bailian = "chat_id" in row  # times in seconds, blocks of 16 tokens: every 32nd hash covers all before it
        seconds = t if bailian else t / 1000
        hashes = row.get("hash_ids", [])
        if not isinstance(hashes, list) or not all(isinstance(block, int) for block in hashes):
            raise BadInput(f"trace row {number}, column hash_ids", str(hashes)[:60], "a list of whole numbers")
        prompt = _count(number, "input_length", row.get("input_length"), least=1)
        output = _count(number, "output_length", row.get("output_length"), least=0)
        blocks = hashes[BAILIAN_BLOCKS - 1 :: BAILIAN_BLOCKS] if bailian else hashes
        yield number, seconds, prompt, output, tuple(blocks)


def _count(row: int, column: str, value: object, least: int) -> int:
    """A number of tokens, from a number or a string of digits."""
    number: object = value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.0*)?", value.strip()):
        number = int(float(value))
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= 10_000_000:
        raise BadInput(f"trace row {row}, column {column}", value, f"a whole number from {least} to 10,000,000")
    return number

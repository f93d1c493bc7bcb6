"""Recorded traffic: the Azure LLM inference traces (CSV) and Mooncake's (JSON lines).

Azure: columns TIMESTAMP, ContextTokens, GeneratedTokens (github.com/Azure/AzurePublicDataset, CC-BY 4.0).
Mooncake: timestamp in ms, input_length, output_length, hash_ids of blocks of 512 prompt tokens
(github.com/kvcache-ai/Mooncake, Apache-2.0). Which of the two a file is, its first character says.
"""

import csv
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import BadInput
from engine.workload import Draft

AZURE_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MOONCAKE_BLOCK_TOKENS = 512


def read_trace(path: str | Path, limit: int | None = None) -> list[Draft]:
    """The trace's requests, the first at second 0. Raises BadInput naming row and column of what is wrong.

    A request without output tokens counts as one of one token: it is served all the same.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise BadInput("trace", str(path), "an Azure CSV or Mooncake JSONL file that can be read") from wrong
    rows = _mooncake(text) if text.lstrip().startswith("{") else _azure(text)
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


def _azure(text: str) -> Iterator[_Row]:
    reader = csv.DictReader(text.splitlines())
    missing = [column for column in AZURE_COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise BadInput("trace row 1", ",".join(reader.fieldnames or ()), f"a header with {', '.join(AZURE_COLUMNS)}")
    for number, row in enumerate(reader, start=2):
        stamp = row["TIMESTAMP"]
        try:
            t = datetime.fromisoformat(stamp[:26]).timestamp()  # seven digits of a second are one too many
        except (ValueError, TypeError) as wrong:
            raise BadInput(f"trace row {number}, column TIMESTAMP", stamp, "a date and time") from wrong
        prompt = _count(number, "ContextTokens", row["ContextTokens"], least=1)
        yield number, t, prompt, _count(number, "GeneratedTokens", row["GeneratedTokens"], least=0), ()


def _mooncake(text: str) -> Iterator[_Row]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError as wrong:
            raise BadInput(f"trace row {number}", line[:60], "a JSON object") from wrong
        t = row.get("timestamp")
        if isinstance(t, bool) or not isinstance(t, (int, float)):
            raise BadInput(f"trace row {number}, column timestamp", t, "a time in milliseconds")
        hashes = row.get("hash_ids", [])
        if not isinstance(hashes, list) or not all(isinstance(block, int) for block in hashes):
            raise BadInput(f"trace row {number}, column hash_ids", str(hashes)[:60], "a list of whole numbers")
        prompt = _count(number, "input_length", row.get("input_length"), least=1)
        output = _count(number, "output_length", row.get("output_length"), least=0)
        yield number, t / 1000, prompt, output, tuple(hashes)


def _count(row: int, column: str, value: object, least: int) -> int:
    """A number of tokens, given as a number or in digits."""
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= 10_000_000:
        raise BadInput(f"trace row {row}, column {column}", value, f"a whole number from {least} to 10,000,000")
    return number

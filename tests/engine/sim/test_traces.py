"""Traces: every format, and one sentence for a bad row. The rows here are made up."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.sim.traces import read_trace

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.4799600,10,0\n"
)
MOONCAKE = '{"timestamp": 500, "input_length": 700, "output_length": 5, "hash_ids": [0, 1]}\n'
Rows = list[tuple[float, int, int, tuple[int, ...]]]
Read = Callable[..., Rows]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(text: str, limit: int | None = None) -> Rows:
        file = tmp_path / "trace"
        file.write_text(text)
        return [(d.arrival_s, d.prompt_tokens, d.output_tokens, d.prefix_blocks) for d in read_trace(file, limit)]

    return read


def test_azure(read: Read) -> None:
    assert read(AZURE) == [(0.0, 4808, 10, ()), (pytest.approx(0.5), 10, 1, ())]
    assert len(read(AZURE, 1)) == 1


def test_mooncake(read: Read) -> None:
    later = MOONCAKE.replace("500", "2000").replace("[0, 1]", "[0, 2]")
    assert read(MOONCAKE + later) == [(0.0, 700, 5, (0, 1)), (1.5, 700, 5, (0, 2))]


def test_a_time_zone_of_the_file_counts_and_that_of_the_machine_does_not(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:03+00:00,2399,6\n2024-05-10 02:00:04+02:00,1,1\n"
    times = [0.0, pytest.approx(2.99007), pytest.approx(3.99007)]
    for zone in ("Asia/Tokyo", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert [row[0] for row in read("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows)] == times
    monkeypatch.undo()
    time.tzset()


def test_a_mark_a_blank_line_and_a_decimal_point_change_nothing(read: Read) -> None:
    plain = read(AZURE)
    assert read("\ufeff" + AZURE) == plain
    assert read("\n" + AZURE) == plain
    assert read(AZURE.replace("4808", "4808.0")) == plain


def test_qwen_bailian_counts_in_seconds(read: Read) -> None:
    row = '{"chat_id": 0, "timestamp": %s, "input_length": 700, "output_length": 5, "hash_ids": %s}\n'
    hashes = list(range(44))
    found = read(row % (0.5, hashes) + row % (2.0, hashes))
    assert [one[0] for one in found] == [0.0, 1.5]
    assert found[0][3] == (31,)  # 512 tokens, as 32 blocks of 16


def test_burstgpt(read: Read) -> None:
    text = (
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n"
    )
    assert read(text + text.splitlines()[1].replace("5,", "9,", 1)) == [(0.0, 472, 18, ()), (4.0, 472, 18, ())]


VLLM = {
    "date": "20260101-000000",
    "total_input_tokens": 1800,
    "request_rate": 2.0,
    "input_lens": [700, 500, 600],
    "output_lens": [5, 7, 0],
    "start_times": [101.5, 100.0, 102.0],
    "errors": ["", "", "timed out"],
}


def test_what_vllms_benchmark_wrote(read: Read) -> None:
    """In order of time, and without those that failed."""
    assert read(json.dumps(VLLM, indent=1)) == [(0.0, 500, 7, ()), (1.5, 700, 5, ())]
    older = {key: value for key, value in VLLM.items() if key != "start_times"}
    assert read(json.dumps(older)) == [(0.0, 700, 5, ()), (0.5, 500, 7, ())]  # evenly, at its rate


def aiperf(start_s: float, prompt: int, output: int, **more: object) -> str:
    metrics = {
        "input_sequence_length": {"value": prompt, "unit": "tokens"},
        "output_sequence_length": {"value": output},
    }
    metadata = {"request_start_ns": int(start_s * 1e9), "benchmark_phase": more.pop("phase", "profiling")}
    return json.dumps({"metadata": metadata, "metrics": metrics, "error": None} | more) + "\n"


def test_what_aiperf_wrote(read: Read) -> None:
    text = aiperf(99, 1, 1, phase="warmup") + aiperf(102, 550, 12) + aiperf(100.5, 300, 0)
    failed = aiperf(101, 5, 5, error={"message": "refused"}, metrics={})
    assert read(text + failed) == [(0.0, 300, 1, ()), (1.5, 550, 12, ())]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "must be a file with at least one request"),
        ("a,b\n1,2\n", "trace row 1 is .* must be a header with TIMESTAMP, ContextTokens, GeneratedTokens"),
        (AZURE + "soon,1,1\n", "trace row 4, column TIMESTAMP is 'soon', but must be a date and time"),
        (AZURE + "2023-11-16 18:17:05,many,1\n", "trace row 4, column ContextTokens is 'many'"),
        (AZURE + "2023-11-16 18:17:05,0,1\n", "trace row 4, column ContextTokens is '0'"),
        (AZURE + "2023-11-16 18:17:05,5\n", "trace row 4 is 'one of 2 fields', but must be one of 3"),
        (AZURE + "2023-11-16 18:17:05,123,4808,10\n", "trace row 4 is 'one of 4 fields', but must be one of 3"),
        (AZURE + "2023-11-16 18:17:01,5,5\n", "trace row 4, column timestamp is .* no earlier than the row before"),
        (MOONCAKE + "{\n", "trace row 2 is '{', but must be a JSON object"),
        (MOONCAKE.replace("500", '"x"'), "trace row 1, column timestamp is 'x'"),
        (MOONCAKE.replace("700", "-1"), "trace row 1, column input_length is -1"),
        (MOONCAKE.replace("[0, 1]", "7"), "trace row 1, column hash_ids is '7'"),
        ('{"total_input_tokens": 5, "request_rate": 1}', "is 'missing', but must be there, .* with --save-detailed"),
        (json.dumps(VLLM | {"start_times": [], "request_rate": "inf"}), "3, 3 and 0 numbers.* or a request_rate"),
        (json.dumps(VLLM | {"input_lens": [0, 5, 5]}), "column input length is 0"),
        (aiperf(1, 5, 5) + "{}", "trace row 2 is '{}', but must be a JSON object with metadata"),
    ],
)
def test_a_bad_row_is_named(read: Read, text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        read(text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="trace is"):
        read_trace(tmp_path / "none")

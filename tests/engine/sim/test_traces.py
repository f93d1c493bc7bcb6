"""Traces: both formats, and one sentence for a bad row. The rows here are made up."""

from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.sim.traces import read_trace

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.4799600,10,0\n"
)
MOONCAKE = '{"timestamp": 500, "input_length": 700, "output_length": 5, "hash_ids": [0, 1]}\n'


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str, limit: int | None = None):
        file = tmp_path / "trace"
        file.write_text(text)
        return [(d.arrival_s, d.prompt_tokens, d.output_tokens, d.prefix_blocks) for d in read_trace(file, limit)]

    return read


def test_azure(read) -> None:
    assert read(AZURE) == [(0.0, 4808, 10, ()), (pytest.approx(0.5), 10, 1, ())]
    assert len(read(AZURE, 1)) == 1


def test_mooncake(read) -> None:
    later = MOONCAKE.replace("500", "2000").replace("[0, 1]", "[0, 2]")
    assert read(MOONCAKE + later) == [(0.0, 700, 5, (0, 1)), (1.5, 700, 5, (0, 2))]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "must be a file with at least one request"),
        ("a,b\n1,2\n", "trace row 1 is .* must be a header with TIMESTAMP, ContextTokens, GeneratedTokens"),
        (AZURE + "soon,1,1\n", "trace row 4, column TIMESTAMP is 'soon', but must be a date and time"),
        (AZURE + "2023-11-16 18:17:05,many,1\n", "trace row 4, column ContextTokens is 'many'"),
        (AZURE + "2023-11-16 18:17:05,0,1\n", "trace row 4, column ContextTokens is '0'"),
        (AZURE + "2023-11-16 18:17:05,5\n", "trace row 4, column GeneratedTokens is None"),
        (AZURE + "2023-11-16 18:17:01,5,5\n", "trace row 4, column timestamp is .* no earlier than the row before"),
        (MOONCAKE + "{\n", "trace row 2 is '{', but must be a JSON object"),
        (MOONCAKE.replace("500", '"x"'), "trace row 1, column timestamp is 'x'"),
        (MOONCAKE.replace("700", "-1"), "trace row 1, column input_length is -1"),
        (MOONCAKE.replace("[0, 1]", "7"), "trace row 1, column hash_ids is '7'"),
    ],
)
def test_a_bad_row_is_named(read, text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        read(text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="trace is"):
        read_trace(tmp_path / "none")

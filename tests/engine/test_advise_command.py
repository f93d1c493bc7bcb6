"""`split-kitchen advise`: its JSON keys, its exports, and one sentence for impossible input."""

import json
from pathlib import Path

import pytest

from engine.cli import cli, run_cli

SEED_CASE = [
    "advise",
    "--gpus",
    "4",
    "--gpu",
    "a100-pcie-80g",
    "--fabric",
    "nvlink3",
    "--links-down",
    "1",
    "--rate",
    "1",
]
KEYS = {"verdict", "plan", "reasons", "runner_up", "flips", "findings"}


def test_json_has_its_keys_and_exports_are_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_cli(cli, [*SEED_CASE, "--json", "--export", str(tmp_path / "out")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said) >= KEYS
    assert said["verdict"] == "fix-first"
    assert (tmp_path / "out" / "vllm.sh").read_text().startswith("#!")
    assert "Fix the fabric first" in (tmp_path / "out" / "report.md").read_text()


def test_people_get_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(cli, SEED_CASE) == 0
    said = capsys.readouterr().out
    assert said.startswith("fix-first")
    assert "What would change it" in said or "Next tier" in said


@pytest.mark.parametrize(
    "wrong",
    [
        ["--gpus", "0"],
        ["--gpu", "h900"],
        ["--model", "gpt-9"],
        ["--fabric", "string"],
        ["--itl-slo", "-5ms"],
        ["--itl-slo", "0s"],
        ["--rate", "inf"],
        ["--prefix-reuse", "1.5"],
        ["--trace", "nowhere.csv"],
    ],
    ids=" ".join,
)
def test_bad_input_is_one_sentence_and_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(cli, ["advise", *wrong]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert len(said.err.strip().splitlines()) == 1


def test_text_in_a_number_column_of_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,many,44\n")
    assert run_cli(cli, ["advise", "--trace", str(trace)]) == 2
    assert "row 2, column ContextTokens" in capsys.readouterr().err

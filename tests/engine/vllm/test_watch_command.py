"""`split-kitchen watch`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine import load_log
from engine.cli import cli, run_cli
from engine.grammar import check
from tests.engine.vllm.test_translate import RAW, RUNS


@pytest.mark.parametrize("run", RUNS)
def test_a_folder_becomes_a_table_and_a_log(run: str, tmp_path: Path) -> None:
    record = tmp_path / "real.jsonl.gz"
    said = CliRunner().invoke(cli, ["watch", str(RAW / run), "--record", str(record)], catch_exceptions=False)
    log = load_log(record)
    check(log.events)
    assert log.recorded_at
    assert log.scenario.deployment.kind in said.output
    assert said.output.count("landed, not compared") == (4 if run == "split" else 0)


def test_json() -> None:
    said = CliRunner().invoke(cli, ["watch", str(RAW / "split"), "--json"], catch_exceptions=False)
    found = json.loads(said.output)
    assert found["deployment"] == "disaggregated"
    assert [handoff["verified"] for handoff in found["handoffs"]] == [None] * 4


def test_an_empty_folder_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(cli, ["watch", str(tmp_path)]) == 2
    assert "a folder of .jsonl files" in capsys.readouterr().err
    assert run_cli(cli, ["watch", str(RAW / "split"), "--record", str(tmp_path / "no" / "log.jsonl")]) == 2

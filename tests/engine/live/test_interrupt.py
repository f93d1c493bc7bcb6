"""Ctrl-C in the middle of a run: what was measured until then is printed and recorded."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.grammar import check
from engine.log import load
from engine.metrics import summarize
from tests.patience import PATIENCE_S

# The command itself, but Ctrl-C is pressed once the first answer has ended. A terminal sends it to the workers too.
PRESSED = """
import os, signal, sys
from engine.cli import cli, run_cli
from engine.events import Finished
from engine.live.process import run
plain, pressed = run.run_each, []
def press(events):
    if not pressed and any(isinstance(event, Finished) for event in events):
        pressed.append(os.killpg(0, signal.SIGINT))
run.run_each = lambda scenarios, prompts, listen: plain(scenarios, prompts, press, listen)
sys.exit(run_cli(cli))
"""
FEW = ("--model", "tiny-llama", "--requests", "300", "--rate", "20", "--prompt-tokens", "16", "--output-tokens", "64")


def pressed(*line: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PRESSED, *line, *FEW]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, start_new_session=True)


@pytest.mark.live
def test_a_run_keeps_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    ended = pressed("run", "--record", str(file))
    assert "Traceback" not in ended.stderr
    assert "of 300 requests were cut off, or never sent." in ended.stderr
    assert ended.returncode == 1
    log = load(file)
    check(log.events)
    reasons = [request.finished for request in summarize(log.events).requests]
    assert "length" in reasons or "stop" in reasons
    assert len(reasons) < 300
    assert "TTFT" in ended.stdout


@pytest.mark.live
def test_a_comparison_tells_of_the_deployments_that_ran() -> None:
    ended = pressed("compare")
    assert ended.returncode == 1
    assert re.search("^colocated: .* were cut off, or never sent", ended.stderr, re.MULTILINE)
    assert "colocated" in ended.stdout
    assert "disaggregated" not in ended.stdout

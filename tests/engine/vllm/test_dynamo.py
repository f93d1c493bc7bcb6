"""Traces as Dynamo writes them become logs: which requests a pass held is concluded, or counted as unclear."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from engine.cli import cli
from engine.commands.watch import watched
from engine.errors import BadInput
from engine.events import Deployed, StepStarted, TokenMade
from engine.grammar import check
from engine.metrics import summarize
from engine.vllm.dynamo import dynamo_line, translate_dynamo
from engine.vllm.translate import Translation
from tests.engine.stages import stages
from tests.engine.vllm.test_translate import RAW

ZERO_MS = 1_780_000_000_000


def step(end_ms: int, worker: str, wall_s: float, prompt_tokens: int = 0, prompts: int = 0, decodes: int = 0) -> bytes:
    held = {"num_prefill_requests": prompts, "sum_prefill_tokens": prompt_tokens, "num_decode_requests": decodes}
    fpm = {"version": 1, "worker_id": worker, "dp_rank": 0, "counter_id": end_ms, "wall_time": wall_s}
    fpm |= {"scheduled_requests": held, "queued_requests": {"num_prefill_requests": 0}}
    event = {"schema": "dynamo.fpm.trace.v1", "observed_at_unix_ms": ZERO_MS + end_ms, "fpm": fpm}
    return json.dumps({"timestamp": end_ms, "event": event}).encode()


def request(received_ms: int, ttft_ms: float, total_ms: float, prompt: int, output: int, **more: Any) -> bytes:
    worker = {"prefill_worker_id": 7, "prefill_dp_rank": 0, "decode_worker_id": 8, "decode_dp_rank": 0}
    said = {"request_id": "x", "request_received_ms": ZERO_MS + received_ms, "ttft_ms": ttft_ms}
    said |= {"total_time_ms": total_ms, "input_tokens": prompt, "output_tokens": output, "worker": worker, **more}
    return json.dumps({"schema": "dynamo.request.trace.v1", "event_type": "request_end", "request": said}).encode()


TRACE = [
    step(0, "8", 0.0),  # a sign of life
    step(21, "7", 0.02, prompt_tokens=256, prompts=1),
    step(41, "7", 0.02, prompt_tokens=144, prompts=2),
    step(60, "8", 0.01, decodes=1),
    step(70, "8", 0.01, decodes=2),
    step(80, "8", 0.01, decodes=2),
    step(90, "8", 0.01, decodes=1),
    request(0, 50.0, 81.0, prompt=300, output=4),
    request(5, 55.0, 86.0, prompt=100, output=4),
]


def translated(*lines: bytes) -> Translation:
    return translate_dynamo(line for line in map(dynamo_line, lines) if line is not None)


def test_prompts_are_read_in_their_order_and_every_token_has_its_pass() -> None:
    found = translated(*TRACE)
    check(found.log.events)
    assert found.misses == ()
    plans = [event.plan for event in found.log.events if isinstance(event, StepStarted)]
    assert [[(piece.request, piece.start, piece.tokens) for piece in plan] for plan in plans] == [
        [("r1", 0, 256)],
        [("r1", 256, 44), ("r2", 0, 100)],
        [("r1", 300, 1)],
        [("r1", 301, 1), ("r2", 100, 1)],
        [("r1", 302, 1), ("r2", 101, 1)],
        [("r2", 102, 1)],
    ]
    assert {event.worker for event in found.log.events if isinstance(event, TokenMade)} == {"decode-0"}
    assert [r.output_tokens for r in summarize(found.log.events).requests] == [4, 4]
    assert stages(found.log.events).keys() == {"r1", "r2"}
    (deployed,) = [event for event in found.log.events if isinstance(event, Deployed)]
    assert (deployed.deployment, dict(deployed.roles)) == (
        "disaggregated",
        {"prefill-0": "prefill_only", "decode-0": "decode_only"},
    )


def test_the_lines_may_come_in_any_order() -> None:
    assert translated(*reversed(TRACE)) == translated(*TRACE)


def test_what_does_not_agree_is_counted() -> None:
    assert translated(*TRACE, step(100, "8", 0.01, decodes=3)).misses == ("which requests 1 of 7 passes held",)
    sampled = translated(*TRACE[:4], *TRACE[7:])
    assert any("fewer than it has tokens" in miss for miss in sampled.misses)
    check(sampled.log.events)


def test_one_worker_that_does_both_is_colocated() -> None:
    both = {"decode_worker_id": 8}
    found = translated(
        step(20, "8", 0.02, prompt_tokens=300, prompts=1),
        step(30, "8", 0.01, decodes=1),
        request(0, 21.0, 31.0, prompt=300, output=2, worker=both),
    )
    check(found.log.events)
    assert (found.log.scenario.deployment.kind, found.misses) == ("colocated", ())


@pytest.mark.parametrize("lines", [TRACE[:7], TRACE[7:]])
def test_one_trace_alone_is_not_enough(lines: list[bytes]) -> None:
    with pytest.raises(BadInput, match="both traces"):
        translated(*lines)


def test_watch_reads_a_folder_of_both(tmp_path: Path) -> None:
    (tmp_path / "fpm.7.000000.jsonl.gz").write_bytes(gzip.compress(b"\n".join(TRACE[:7]) + b"\n"))
    (tmp_path / "requests.jsonl").write_bytes(b"\n".join(TRACE[7:]) + b"\n")
    said = CliRunner().invoke(cli, ["watch", str(tmp_path), "--record", str(tmp_path / "log")], catch_exceptions=False)
    assert said.exit_code == 0
    assert "disaggregated" in said.output


def test_a_recorded_mocker_makes_a_log_in_which_every_pass_is_accounted_for() -> None:
    """Three requests through a prefill and a decode worker of Dynamo 1.6.1's mocker."""
    found = watched(RAW / "mocker")
    assert found.misses == ()
    requests = summarize(found.log.events).requests
    assert [(one.prompt_tokens, one.output_tokens) for one in requests] == [(61, 12), (121, 12), (181, 12)]
    plans = [event.plan for event in found.log.events if isinstance(event, StepStarted)]
    assert len(plans) == 39
    assert sum(piece.tokens for plan in plans for piece in plan if piece.tokens > 1) == 61 + 121 + 117  # 64 were cached

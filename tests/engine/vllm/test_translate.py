"""Lines recorded from a real vLLM 0.32 on a CPU become logs; cases that its four requests lack are written by hand."""

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from engine.errors import BadInput
from engine.events import (
    Arrived,
    BlocksFreed,
    Failed,
    Finished,
    HandoffEnded,
    HandoffStarted,
    Recalled,
    StepEnded,
    StepStarted,
    TokenMade,
    Watched,
)
from engine.grammar import check
from engine.live.model.catalog import prepare
from engine.log import dump, parse as parse_log
from engine.metrics import summarize
from engine.sim.reality import against, calibrated
from engine.sim.run import worker_like
from engine.vllm.fold import GIVEN_UP, client_name
from engine.vllm.raw import Raw, Up, parse
from engine.vllm.translate import Translation, translate
from tests.engine.stages import stages

RAW = Path(__file__).with_name("raw")
RUNS = ("split", "colocated", "chunked")
BLOCK_BYTES, BLOCK_TOKENS = 2_949_120, 128


def recorded(run: str) -> list[list[Raw]]:
    """The lines of each process."""
    files = sorted((RAW / run).glob("*.jsonl"))
    return [list(parse(file.read_bytes().splitlines(keepends=True), file.name)) for file in files]


def translated(run: str) -> Translation:
    return translate(line for process in recorded(run) for line in process)


@pytest.mark.parametrize("run", RUNS)
def test_a_recorded_vllm_makes_a_log_like_any_other(run: str) -> None:
    found = translated(run)
    check(found.log.events)
    assert parse_log(dump(found.log)) == found.log
    summary = summarize(found.log.events)
    assert [request.output_tokens for request in summary.requests] == [24] * 4
    assert stages(found.log.events).keys() == {request.id for request in summary.requests} == {"r1", "r2", "r3", "r4"}
    (watched,) = [event for event in found.log.events if isinstance(event, Watched)]
    assert (watched.engine, watched.version) == ("vLLM", "0.32.0")
    assert (found.dropped, found.misses) == (0, ())


def test_the_deployment_is_read_off_the_engines_and_the_prompts() -> None:
    kinds = {run: translated(run).log.scenario.deployment.kind for run in RUNS}
    assert kinds == {"split": "disaggregated", "colocated": "colocated", "chunked": "chunked"}


def test_trays_hold_the_whole_blocks_of_their_prompts_and_nobody_compared_them() -> None:
    log = translated("split").log
    prompts = {event.request: event.prompt_tokens for event in log.events if isinstance(event, Arrived)}
    trays = {event.request: event for event in log.events if isinstance(event, HandoffEnded)}
    assert trays.keys() == prompts.keys()
    for request, tray in trays.items():
        assert tray.nbytes == -(-prompts[request] // BLOCK_TOKENS) * BLOCK_BYTES
        assert tray.verified is None
        assert tray.seconds > 0


def test_the_three_shapes_are_there() -> None:
    """One giant step stalls the others; chunks stall them less each; a split decode worker steps on meanwhile."""

    def longest_step_s(run: str) -> float:
        begun: dict[str, float] = {}
        longest = 0.0
        for event in translated(run).log.events:
            match event:
                case StepStarted() if any(s.tokens > 1 for s in event.plan):
                    begun[event.worker] = event.t
                case StepEnded() if event.worker in begun:
                    longest = max(longest, event.t - begun.pop(event.worker))
        return longest

    def most_prompt_tokens_a_step(run: str) -> int:
        steps = (event for event in translated(run).log.events if isinstance(event, StepStarted))
        return max(sum(s.tokens for s in step.plan) for step in steps)

    assert most_prompt_tokens_a_step("colocated") >= 512
    assert most_prompt_tokens_a_step("chunked") <= 256
    split = translated("split").log.events
    decoding = {event.worker for event in split if isinstance(event, TokenMade)}
    assert decoding == {"decode"}
    assert longest_step_s("chunked") > 0


@pytest.mark.parametrize("run", RUNS)
def test_the_simulator_learns_from_it_and_is_compared_with_it(run: str) -> None:
    log = translated(run).log
    worker = calibrated(worker_like(prepare(log.scenario.model)), log.events)
    verdict = against(log, worker)
    assert len(verdict.gaps) == 6
    assert all(math.isfinite(gap.error) and gap.live_s > 0 and gap.simulated_s > 0 for gap in verdict.gaps)


@given(st.randoms(use_true_random=False), st.sampled_from(RUNS))
def test_whatever_order_the_processes_lines_come_in_the_log_is_the_same(shuffle: random.Random, run: str) -> None:
    processes = [list(reversed(process)) for process in recorded(run)]
    mixed: list[Raw] = []
    while any(processes):
        mixed.append(shuffle.choice([process for process in processes if process]).pop())
    assert translate(mixed) == translated(run)


def test_names() -> None:
    names = ("cmpl-r1-0-93277ccb", "chatcmpl-r1-93277ccb", "cmpl-r1-0", "r1", "cmpl-my-own-name-0-93277ccb")
    assert [client_name(name) for name in names] == ["r1", "r1", "r1", "r1", "my-own-name"]


# ---- what the recorded runs did not contain

ENGINE = {"k": "up", "blocks": 64, "block_tokens": 16, "block_bytes": 1000, "pid": 1, "vllm": "0.32.0", "chunk": 512}


def by_hand(*lines: dict[str, Any]) -> list[Raw]:
    """Lines at t = 1, 2, 3, ... unless they say when; the run's zero is 0."""
    head: list[dict[str, Any]] = [{"k": "zero", "t": -1.0, "w": "client", "t0": 0.0}]
    rest = [{"t": float(number), "w": "a"} | line for number, line in enumerate(lines, start=1)]
    return list(parse([msgspec.json.encode(line) + b"\n" for line in (*head, *rest)]))


def asked(request: str, **more: Any) -> dict[str, Any]:
    return {"k": "arrived", "w": "client", "r": request, "prompt": 16, "most": 4, **more}


def step(number: int, *plan: tuple[str, int, int], **more: Any) -> dict[str, Any]:
    return {"k": "step", "n": number, "plan": plan, "waiting": 0, "used": 1, **more}


def done(number: int, tokens: dict[str, list[int]], **more: Any) -> dict[str, Any]:
    return {"k": "done", "n": number, "tokens": tokens, **more}


UP = ENGINE | {"t": -2.0, "w": "a"}


def test_a_preempted_request_is_recalled_and_its_tokens_go_on() -> None:
    log = translate(
        by_hand(
            UP,
            asked("r1"),
            step(1, ("r1", 0, 16)),
            done(1, {"r1": [5]}),
            {"k": "preempted", "r": "r1"},
            step(2, ("r1", 0, 17)),
            done(2, {"r1": [6]}),
            {"k": "finished", "r": "r1", "reason": "length", "made": 2},
        )
    ).log
    check(log.events)
    assert [event.why for event in log.events if isinstance(event, Recalled)] == ["preempted: no KV blocks"]
    assert [event.index for event in log.events if isinstance(event, TokenMade)] == [0, 1]


def test_an_abort_is_a_cancellation_and_an_error_a_failure() -> None:
    log = translate(
        by_hand(
            UP,
            asked("r1"),
            asked("r2"),
            {"k": "finished", "r": "r1", "reason": "abort", "made": 0},
            {"k": "finished", "r": "r2", "reason": "error", "made": 0},
        )
    ).log
    check(log.events)
    assert {event.request: event.reason for event in log.events if isinstance(event, Finished)} == {
        "r1": "cancelled",
        "r2": "failed",
    }
    assert [event.request for event in log.events if isinstance(event, Failed)] == ["r2"]


def test_steps_that_were_scheduled_ahead_follow_each_other() -> None:
    """Asynchronous scheduling decides step 2 while step 1 runs."""
    log = translate(
        by_hand(
            UP,
            asked("r1"),
            step(1, ("r1", 0, 16)),
            step(2, ("r1", 16, 1)),
            done(1, {"r1": [5]}),
            done(2, {"r1": [6]}),
            {"k": "finished", "r": "r1", "reason": "length", "made": 2},
        )
    ).log
    check(log.events)
    spans = [event.t for event in log.events if isinstance(event, StepStarted | StepEnded)]
    assert spans == [3.0, 5.0, 5.0, 6.0]


def test_tokens_beyond_the_end_are_none_of_the_answer() -> None:
    """Speculative decoding samples several tokens in one step, some of them beyond the end."""
    log = translate(
        by_hand(
            UP,
            asked("r1"),
            step(1, ("r1", 0, 16)),
            done(1, {"r1": [5, 6, 7, 8]}),
            {"k": "finished", "r": "r1", "reason": "stop", "made": 2},
        )
    ).log
    check(log.events)
    assert [event.token for event in log.events if isinstance(event, TokenMade)] == [5, 6]


def split_by_hand(*transfers: dict[str, Any], freed_s: float = 30.0) -> Sequence[Any]:
    """`freed_s`: when the prefill engine lets go of the KV, which is accepted at 8."""
    lines = by_hand(
        UP | {"role": "kv_producer"},
        ENGINE | {"t": -2.0, "w": "b", "role": "kv_consumer"},
        asked("r1"),
        {"k": "queued", "r": "cmpl-r1-0-aaaaaaaa"},
        step(1, ("cmpl-r1-0-aaaaaaaa", 0, 16)),
        done(1, {"cmpl-r1-0-aaaaaaaa": [5]}),
        {"k": "offer", "r": "cmpl-r1-0-aaaaaaaa", "blocks": 1},
        {"k": "accept", "w": "b", "r": "cmpl-r1-0-bbbbbbbb", "params_from": "cmpl-r1-0-aaaaaaaa"},
        *({"k": "landed", "w": "b", "r": "cmpl-r1-0-aaaaaaaa"} | transfer for transfer in transfers),
        {"k": "free", "w": "a", "t": freed_s, "r": "cmpl-r1-0-aaaaaaaa", "used": 0},
        step(1, ("cmpl-r1-0-bbbbbbbb", 0, 16), w="b", t=20.0),
        done(1, {"cmpl-r1-0-bbbbbbbb": [5]}, w="b", t=21.0),
        {"k": "finished", "w": "b", "t": 22.0, "r": "cmpl-r1-0-bbbbbbbb", "reason": "length", "made": 1},
    )
    log = translate(lines).log
    check(log.events)
    return log.events


def test_the_transfers_of_tensor_parallel_ranks_are_one_tray() -> None:
    events = split_by_hand(
        {"ok": True, "t0": 9.5, "t": 10.0, "bytes": 500}, {"ok": True, "t0": 9.0, "t": 11.0, "bytes": 500}
    )
    (began,) = [event for event in events if isinstance(event, HandoffStarted)]
    (landed,) = [event for event in events if isinstance(event, HandoffEnded)]
    assert (began.t, began.nbytes, landed.t, landed.nbytes) == (9.0, 1000, 11.0, 1000)
    assert landed.bytes_per_s == pytest.approx(500.0)


def test_a_failed_transfer_is_a_recall_and_the_decode_engine_computes_the_prompt_itself() -> None:
    events = split_by_hand({"ok": False, "t0": 9.0, "t": 10.0})
    assert [event.why for event in events if isinstance(event, Recalled)] == ["its KV did not arrive"]
    assert not [event for event in events if isinstance(event, HandoffEnded)]
    assert [event.output_tokens for event in events if isinstance(event, Finished)] == [1]


def test_kv_that_nobody_fetched_in_time_is_recalled() -> None:
    events = split_by_hand({"ok": False, "t0": 9.0, "t": 10.0}, freed_s=7.5)
    assert [event.why for event in events if isinstance(event, Recalled)] == [GIVEN_UP, "its KV did not arrive"]
    assert [event.output_tokens for event in events if isinstance(event, Finished)] == [1]


def test_a_prefill_engine_may_hear_first_that_its_kv_has_landed() -> None:
    events = split_by_hand({"ok": True, "t0": 9.0, "t": 10.0, "bytes": 1000}, freed_s=9.5)
    told = [type(event) for event in events if isinstance(event, (HandoffEnded, BlocksFreed))]
    assert told == [HandoffEnded, BlocksFreed]


def test_what_is_not_in_the_log_is_said() -> None:
    found = translate(
        by_hand(
            UP,
            {"k": "queued", "r": "cmpl-somebody-0-aaaaaaaa"},
            {"k": "dropped", "lines": 3},
            {"k": "missing", "what": "Scheduler.schedule"},
            {"k": "broken", "hook": "_scheduled", "why": "KeyError: x"},
            {"k": "a kind of tomorrow"},
        )
    )
    assert (found.unasked, found.dropped) == (1, 3)
    assert found.misses == ("hook _scheduled broke: KeyError: x", "no Scheduler.schedule in this vLLM")


def test_a_folder_of_something_else_is_refused_in_a_sentence() -> None:
    with pytest.raises(BadInput, match="without a client"):
        translate([])
    with pytest.raises(BadInput, match="without an engine"):
        translate(by_hand(asked("r1")))
    with pytest.raises(BadInput, match="line 1"):
        list(parse([b'{"k": "step", "t": 1}\n', b"{}\n"]))


def test_half_a_line_at_the_end_is_left_out() -> None:
    """A killed engine leaves an incomplete line."""
    whole = b'{"k":"up","t":1,"w":"a","blocks":1,"block_tokens":1,"block_bytes":1,"pid":1}\n'
    assert [type(line) for line in parse([whole, b'{"k":"up","t":1,"w'])] == [Up]

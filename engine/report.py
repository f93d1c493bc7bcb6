"""How commands report a run: one JSON object, or a table."""

from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec

from engine import units
from engine.causes import causes
from engine.disturbed import disturbance
from engine.events import Counted, Failed, Finished, Recalled
from engine.log import Log, seen_from_outside
from engine.metrics import Spread, Summary
from engine.stall import listed, longest, says

OUTSIDE = "endpoint"  # what a report calls the deployment of a server that was only seen from outside


def report(log: Log, summary: Summary) -> dict[str, Any]:
    """What `--json` prints of a run; of a server seen from outside also who it is, and what it counted."""
    if outside := seen_from_outside(log):
        return {
            "deployment": OUTSIDE,
            "workers": None,
            "requests": summary.requests,
            "metrics": summary.metrics,
            "handoffs": (),
            "link": None,
            "machine": log.machine,
            "longest_stall": _longest_stall(log),
            "recalled": [],
            "endpoint": {
                "url": outside.endpoint,
                "model": outside.model,
                "counted": {
                    e.request: (e.prompt_tokens, e.output_tokens) for e in log.events if isinstance(e, Counted)
                },
                "failed": {e.request: e.why for e in log.events if isinstance(e, Failed)},
            },
        }
    handoffs = summary.handoffs
    moving_s = sum(handoff.seconds for handoff in handoffs)
    deployment = log.scenario.deployment
    return {
        "deployment": deployment.title,
        "workers": deployment.workers,
        "requests": summary.requests,
        "metrics": summary.metrics,
        "handoffs": handoffs,
        "link": {
            "configured_bytes_per_s": log.scenario.link.bandwidth_bytes_per_s,
            "achieved_bytes_per_s": sum(handoff.bytes for handoff in handoffs) / moving_s if moving_s else None,
            "transport": deployment.transport,
        },
        "machine": log.machine,
        "longest_stall": _longest_stall(log),
        "recalled": [{"t": e.t, "request": e.request, "why": e.why} for e in log.events if isinstance(e, Recalled)],
    }


def _longest_stall(log: Log) -> dict[str, Any] | None:
    """Between two tokens, with its cause; None: no gap was eight times as long as usual."""
    stall = longest(causes(log.events))
    return {"seconds": stall.seconds, "says": says(stall), **msgspec.to_builtins(stall)} if stall else None


def remarks(rows: Sequence[tuple[str, Log]]) -> None:
    """What a table does not say: who stood still and why, what had to begin again, and what disturbed the run."""
    for name, log in rows:
        for sentence in _remarks(log):
            click.echo(f"{name}: {sentence}")


def _remarks(log: Log) -> Iterator[str]:
    if log.scenario.model.device != "cpu":  # says whether anybody ever checked that GPU
        yield f"on {log.machine}"
    stalls = causes(log.events)
    if stall := longest(stalls):
        yield f"longest stall {says(stall)}"
    if wait := longest(stalls, "first"):
        yield f"longest wait from prefill to first token {says(wait)}"
    begun_again: dict[str, list[str]] = {}
    for event in log.events:
        if isinstance(event, Recalled) and event.why != "cancelled":
            begun_again.setdefault(event.why, []).append(event.request)
        elif isinstance(event, Finished) and event.reason == "failed":
            tokens = "1 token" if event.output_tokens == 1 else f"{event.output_tokens} tokens"
            yield f"{listed('request', [event.request])} FAILED after {tokens}."
    for why, requests in begun_again.items():
        who = list(dict.fromkeys(requests))
        times = f" {len(requests)} times" if len(requests) > len(who) else ""
        yield f"{listed('request', who)} began again{times}, because {why}"
    if words := disturbance(log.events, log.machine):
        yield words


def table(rows: Sequence[tuple[str, Summary]]) -> None:
    """Print one line of metrics per run, for people."""
    click.echo(
        f"{'':14}{'TTFT p50':>10}{'p90':>8}{'ITL p50':>10}{'p99':>8}{'max stall':>11}{'E2E p50':>10}{'tok/s':>8}"
    )
    for name, summary in rows:
        m = summary.metrics
        click.echo(
            f"{name:14}{_s(m.ttft_s):>10}{m.ttft_s.p90:7.2f}s{m.itl_s.p50 * 1e3:8.0f}ms{m.itl_s.p99 * 1e3:6.0f}ms"
            f"{m.max_stall_s * 1e3:9.0f}ms{_s(m.e2e_s):>10}{m.output_tokens_per_s:8.1f}"
        )
    for name, summary in rows:
        for handoff in summary.handoffs:
            size, rate = units.in_words(handoff.bytes, "B"), units.in_words(handoff.bytes_per_s, "B/s")
            checked = {True: "verified", None: "landed, not compared", False: "NOT VERIFIED"}[handoff.verified]
            click.echo(f"{name} handoff {handoff.request}: {size} in {handoff.seconds * 1e3:.1f} ms, {rate}, {checked}")


def _s(spread: Spread) -> str:
    return f"{spread.p50:.2f}s"


def plain(value: object) -> str:
    """A value of a report in words: lists and mappings on one line, floats with four digits."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(plain(item) for item in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(item)}" for name, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)

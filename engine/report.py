"""What a command says of a run: one JSON object, or a table for people."""

from collections.abc import Sequence
from typing import Any

import click

from engine import units
from engine.disturbed import disturbance
from engine.events import Counted, Failed
from engine.log import Log, seen_from_outside
from engine.metrics import Spread, Summary

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
        "deployment": deployment.kind,
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
    }


def disturbances(rows: Sequence[tuple[str, Log]]) -> None:
    for name, log in rows:
        if words := disturbance(log.events):
            click.echo(f"{name}: {words}")


def table(rows: Sequence[tuple[str, Summary]]) -> None:
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
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(plain(item) for item in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(item)}" for name, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)

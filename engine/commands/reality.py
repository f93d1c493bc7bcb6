"""`split-kitchen reality`: how well the simulator predicts the real engine on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from engine.errors import BadInput
from engine.failures import said_first
from engine.grammar import admit
from engine.live.model.catalog import prepare
from engine.log import Log, load, seen_from_outside
from engine.options import described, scenario_options, without
from engine.scenario import KINDS, Kind, Scenario
from engine.sim.reality import RealityVerdict, against, calibrated
from engine.sim.run import MAX_SIMULATED_WORKERS, worker_like

UNUSED: dict[str, Any] = {"prompts": None, "listen": None}  # options of `run`: prompts are synthetic, workers are here


@click.command()
@click.option("--deployment", "kinds", multiple=True, default=KINDS, show_default=True, help="May be repeated.")
@click.option("--from", "calibration", type=click.Path(path_type=Path), help="Calibrate on this log, not on a new run.")
@click.option("--against", "lived", type=click.Path(path_type=Path), help="Compare with this log, not with a new run.")
@without(UNUSED)
@scenario_options
@click.pass_context
def reality(
    context: click.Context,
    /,
    kinds: tuple[str, ...],
    calibration: Path | None,
    lived: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Calibrate on a live run, simulate another seed, run that seed live, and state the error.

    The live runs take as long as their requests do. With both --from and --against, nothing runs live.
    """
    if calibration is not None and lived is not None:
        live, before = load(lived), load(calibration)
        live.scenario.checked(MAX_SIMULATED_WORKERS)
        for log, file in ((live, lived), (before, calibration)):
            admit(log.events, str(file))
        if seen_from_outside(live):
            raise BadInput("against", str(lived), "a log of this engine: a client's log has no steps to compare")
        pairs = {live.scenario.deployment.kind: (before, live)}
    else:
        if calibration is not None or lived is not None:
            raise BadInput("from and against", "only one of them", "given together, or neither")
        from engine.live.process.run import make_requests

        scenarios = [described(kind, **UNUSED, **options)[0] for kind in kinds]
        for scenario in scenarios:  # all are refused before the first is run
            make_requests(scenario)
            make_requests(_next_seed(scenario))
        pairs = {s.deployment.kind: (_live(s), _live(_next_seed(s))) for s in scenarios}
    verdicts = {kind: _verdict(*logs) for kind, logs in pairs.items()}
    failures = [f"{kind}: {said}" for kind, logs in pairs.items() for log in logs for said in said_first(log.events)]
    for sentence in failures:
        click.echo(sentence, err=True)
    if as_json:
        click.echo(msgspec.json.encode(verdicts).decode())
    else:
        _show(verdicts)
    if failures:
        context.exit(1)


def _show(verdicts: Mapping[Kind, RealityVerdict]) -> None:
    for kind, verdict in verdicts.items():
        for gap in verdict.gaps:
            times = f"live {gap.live_s * 1e3:8.1f} ms   simulated {gap.simulated_s * 1e3:8.1f} ms"
            errors = f"{gap.error:+7.1%}   at the same speed {gap.error_at_same_speed:+7.1%}"
            click.echo(f"{kind:14} {gap.metric:7} {gap.percentile}   {times}   {errors}")
        factors = f"decode {verdict.decode_contention:.2f}, prefill {verdict.prefill_contention:.2f}"
        click.echo(f"{kind:14} step times relative to calibration: {factors}")


def _verdict(calibration: Log, live: Log) -> RealityVerdict:
    prepared = prepare(live.scenario.model, live.scenario.deployment.workers)
    return against(live, calibrated(worker_like(prepared), calibration.events))


def _live(scenario: Scenario) -> Log:
    from engine.live.process.run import run_live

    load = scenario.workload
    click.echo(f"Live: {scenario.deployment.kind}, seed {load.seed}, {load.requests} requests ...", err=True)
    return run_live(scenario)


def _next_seed(scenario: Scenario) -> Scenario:
    load = scenario.workload
    return msgspec.structs.replace(scenario, workload=msgspec.structs.replace(load, seed=load.seed + 1))

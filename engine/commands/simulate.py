"""`split-kitchen simulate`: the scenario of `run`, in simulated time."""

from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from engine import units
from engine.errors import BadInput
from engine.fleet.catalog.hardware import gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.estimate.workers import worker_on
from engine.goodput import Slo, attainment, goodput_per_s
from engine.link import LinkSpec
from engine.log import load, save
from engine.metrics import Summary, summarize
from engine.options import described, scenario_options
from engine.report import report, table
from engine.scenario import KINDS, ModelSpec, Scenario, Workload, number, one_of, whole
from engine.sim.network import SHARINGS, NetworkSpec
from engine.sim.planner import MODES, PlannerSpec
from engine.sim.reality import calibrated
from engine.sim.run import MAX_SIMULATED_WORKERS, ROUTINGS, ClusterSpec, count, simulate as run_simulated, worker_like
from engine.sim.station import WorkerSpec
from engine.sim.tally import Tally, tally
from engine.sim.traces import read_trace
from engine.workload import Draft

MEASURED = Workload(
    requests=8, prompt_tokens=128, output_tokens=24, long_prompt_tokens=512, long_every=3, ignore_eos=True
)


@click.command()
@click.option("--deployment", default="disaggregated", show_default=True, help=f"One of {', '.join(KINDS)}.")
@click.option("--cost", default="measured", show_default=True, help="Log to fit; measured: by a run now; or GPU:MODEL.")
@click.option("--trace", type=click.Path(path_type=Path), help="Azure CSV or Mooncake JSONL, instead of a workload.")
@click.option("--routing", default="least-loaded", show_default=True, help=f"One of {', '.join(ROUTINGS)}.")
@click.option("--prefix-cache-tokens", type=int, default=0, help="Of earlier prompts, per worker; with --trace.")
@click.option("--sharing", default="fifo", show_default=True, help=f"Of links: one of {', '.join(SHARINGS)}.")
@click.option("--fabric", default="none", show_default=True, help="All trays cross it, as 10GB/s; with --sharing fair.")
@click.option(
    "--planner", default="none", show_default=True, help=f"Of pools: none, {' or '.join(MODES)}. Keeps the SLOs."
)
@click.option("--most-workers", type=int, help="That the planner may have, both pools together.  [default: 8]")
@click.option("--ttft-slo", default="", help="As 2s: also say how many requests met it.")
@click.option("--tpot-slo", default="", help="As 50ms: also say how many requests met it.")
@click.option("--record", "file", type=click.Path(path_type=Path), help="Write the event log here.")
@scenario_options
@click.pass_context
def simulate(
    context: click.Context,
    /,
    deployment: str,
    cost: str,
    trace: Path | None,
    routing: str,
    prefix_cache_tokens: int,
    sharing: str,
    fabric: str,
    planner: str,
    most_workers: int | None,
    ttft_slo: str,
    tpot_slo: str,
    file: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run a workload on one deployment in simulated time: same scheduler, steps as long as a cost model says."""
    slo = Slo(
        ttft_s=units.seconds("ttft slo", ttft_slo) if ttft_slo else None,
        tpot_s=units.seconds("tpot slo", tpot_slo) if tpot_slo else None,
    ).checked()
    _possible(context, cost, file)
    one_of("routing", routing, ROUTINGS)
    whole("prefix cache tokens", prefix_cache_tokens, 0, 1_000_000_000)
    scenario, _, _ = described(deployment, most_workers=MAX_SIMULATED_WORKERS, **options)
    wanted: list[Draft] | None = None
    if trace is not None:
        wanted = read_trace(trace, scenario.workload.requests if _given(context, "requests") else None)
    plans = _planner(planner, most_workers, slo, scenario)
    network = _network(sharing, fabric)
    scenario = _served(cost, scenario)
    worker = worker_of(cost, scenario)
    on = ClusterSpec(
        worker,
        network=msgspec.structs.replace(network, host_bytes_per_s=worker.handoff_bytes_per_s),
        routing=routing,  # type: ignore[arg-type]  # `one_of` has checked it
        prefix_cache_tokens=prefix_cache_tokens,
        planner=plans,
    )
    if as_json or file is not None:
        log = run_simulated(scenario, on, wanted)
        if file is not None:
            save(log, file)
        if as_json:
            summary = summarize(log.events)
            said = report(log, summary)
            if slo != Slo():
                said["slo"] = _kept(tally(log.events), slo)
            click.echo(msgspec.json.encode(said).decode())
            return
        counted = tally(log.events)
    else:
        counted = count(scenario, on, wanted)
    table([(deployment, Summary((), counted.metrics, ()))])
    if slo != Slo():
        kept = _kept(counted, slo)
        click.echo(f"{kept['attainment']:.1%} of the requests met the SLOs: {kept['goodput_per_s']:.3g} requests/s")


def _possible(context: click.Context, cost: str, file: Path | None) -> None:
    for field in ("prompts", "listen"):
        if context.params[field] is not None:
            raise BadInput(field, str(context.params[field]), "left out: a simulation has no words and no hosts")
    if file is not None and not file.parent.is_dir():
        raise BadInput("record", str(file), "in a folder that exists")
    if _gpu_and_model(cost) and _given(context, "model"):
        raise BadInput("model", context.params["model"], "left out: --cost GPU:MODEL says which one")


def _gpu_and_model(cost: str) -> tuple[str, str] | None:
    card, named, shape = cost.partition(":")
    return (card, shape) if named and not Path(cost).is_file() else None


def _served(cost: str, scenario: Scenario) -> Scenario:
    """With the model that `--cost` names, if it names one: so the log says it too."""
    on = _gpu_and_model(cost)
    return msgspec.structs.replace(scenario, model=ModelSpec(on[1])) if on else scenario


def worker_of(cost: str, scenario: Scenario) -> WorkerSpec:
    """What `--cost` says of a worker. Raises BadInput."""
    if on := _gpu_and_model(cost):
        card, shape = on
        return worker_on(model(shape), gpu(card), context=_longest(scenario.workload))
    from engine.live.model.catalog import prepare

    if cost == "measured":
        from engine.live.process.run import run_live

        few = msgspec.structs.replace(scenario.deployment, workers=2, prefill_workers=1)
        calibration = msgspec.structs.replace(scenario, deployment=few, link=LinkSpec(), workload=MEASURED)
        click.echo("Calibrating on a live run of 8 requests ...", err=True)
        log = run_live(calibration)
    elif Path(cost).is_file():
        log = load(cost)
    else:
        raise BadInput("cost", cost, "measured, a log recorded by `split-kitchen run --record`, or GPU:MODEL")
    return calibrated(worker_like(prepare(scenario.model)), log.events)


def _planner(mode: str, most_workers: int | None, slo: Slo, scenario: Scenario) -> PlannerSpec | None:
    one_of("planner", mode, ("none", *MODES))
    if mode == "none":
        if most_workers is not None:
            raise BadInput("most workers", most_workers, "left out without --planner")
        return None
    deployment = scenario.deployment
    if deployment.kind != "disaggregated":
        raise BadInput("planner", mode, "none where there are no two pools: only disaggregated has them")
    default = PlannerSpec()
    most = default.most_workers if most_workers is None else most_workers
    whole("most workers", most, deployment.workers, MAX_SIMULATED_WORKERS)
    targets = slo.ttft_s or default.ttft_s, slo.tpot_s or default.itl_s
    return PlannerSpec(mode, ttft_s=targets[0], itl_s=targets[1], most_workers=most)  # type: ignore[arg-type]


def _network(sharing: str, fabric: str) -> NetworkSpec:
    one_of("sharing", sharing, SHARINGS)
    shared = units.bytes_per_s("fabric", fabric)
    if shared is not None:
        number("fabric", shared, above=0, unit="bytes/s, or none")
        if sharing != "fair":
            raise BadInput("sharing", sharing, "fair with --fabric: what trays share, they share fairly")
    return NetworkSpec(sharing, shared)  # type: ignore[arg-type]


def _longest(workload: Workload) -> int:
    return max(workload.prompt_tokens, workload.long_prompt_tokens) + workload.output_tokens


def _given(context: click.Context, option: str) -> bool:
    return context.get_parameter_source(option) is not ParameterSource.DEFAULT


def _kept(counted: Tally, slo: Slo) -> dict[str, float | None]:
    span_s = max(r.last_s for r in counted.requests) - counted.requests[0].arrived_s
    return {
        "ttft_s": slo.ttft_s,
        "tpot_s": slo.tpot_s,
        "attainment": attainment(counted.requests, slo),
        "goodput_per_s": goodput_per_s(counted.requests, slo, span_s),
    }

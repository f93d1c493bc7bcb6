"""`split-kitchen simulate`: the same scenario as `run`, in simulated time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from engine import units
from engine.commands.on_hardware import OnHardware
from engine.errors import BadInput
from engine.fleet.catalog.engines import ENGINES, serving_engine
from engine.fleet.catalog.hardware import gpu as gpu_named
from engine.fleet.catalog.precision import PRECISIONS
from engine.goodput import Slo, attainment, goodput_per_s
from engine.grammar import admit
from engine.link import LinkSpec
from engine.log import Log, can_be_saved, load, save
from engine.metrics import Summary, summarize
from engine.options import described, kind_asked, policy_option, scenario_options, without
from engine.report import report, table
from engine.scenario import KINDS, Scenario, Workload, number, one_of, whole
from engine.sim.network import SHARINGS, NetworkSpec
from engine.sim.planner import MODES, PlannerSpec
from engine.sim.reality import calibrated as calibrated_worker
from engine.sim.run import MAX_SIMULATED_WORKERS, ROUTINGS, ClusterSpec, count, simulate as run_simulated, worker_like
from engine.sim.station import WorkerSpec
from engine.sim.tally import Tally, tally
from engine.sim.traces import read_trace
from engine.units import amount, percent
from engine.workload import Draft, drafts, varied

MEASURED = Workload(
    requests=8, prompt_tokens=128, output_tokens=24, long_prompt_tokens=512, long_every=3, ignore_eos=True
)
USUAL_SPREAD = 0.1  # by which lengths vary in a closed loop on real GPUs
WORDS_AND_HOSTS: dict[str, Any] = {
    "prompts": None,
    "listen": None,
    "device": "cpu",
    "temperature": 0.0,
    "top_p": 1.0,
    "ignore_eos": False,
}  # options of `run` that mean nothing in simulated time


@click.command()
@click.option("--deployment", default="disaggregated", show_default=True, help=f"One of {', '.join(KINDS)}.")
@click.option("--gpu", default="", help="Simulate real hardware; --model names a model for it. See `advise --help`.")
@click.option("--tp", type=int, default=0, help="GPUs per worker.  [default: the fewest that hold the model]")
@click.option(
    "--precision", default="", help=f"Of weights: {', '.join(PRECISIONS)}.  [default: as the model's file says]"
)
@click.option("--kv-dtype", default="", help="Of the KV cache: bf16 or fp8.  [default: the model's]")
@click.option(
    "--engine",
    default="vllm",
    show_default=True,
    help=f"With --gpu: whose overhead and limits; one of {', '.join(ENGINES)}.",
)
@click.option("--cost", default="measured", show_default=True, help="Without --gpu: a log to fit, or measure now.")
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    help="Azure, BurstGPT, Mooncake or Qwen-Bailian file, instead of a workload.",
)
@click.option(
    "--vary",
    type=float,
    default=0.0,
    help="The share by which lengths differ, up and down.  [default: 0.1 with --gpu and --users, else 0]",
)
@click.option("--routing", default="least-loaded", show_default=True, help=f"One of {', '.join(ROUTINGS)}.")
@click.option("--prefix-cache-tokens", type=int, default=0, help="Of earlier prompts, per worker; with --trace.")
@click.option("--sharing", default="fifo", show_default=True, help=f"Of links: one of {', '.join(SHARINGS)}.")
@click.option(
    "--fabric", default="none", show_default=True, help="All handoffs cross it, such as 10GB/s; with --sharing fair."
)
@click.option(
    "--planner", default="none", show_default=True, help=f"Scales pools to meet the SLOs: none, {' or '.join(MODES)}."
)
@click.option("--most-workers", type=int, help="The planner's limit for both pools together.  [default: 8]")
@click.option("--ttft-slo", default="", help="Such as 2s: also print how many requests met it.")
@click.option("--tpot-slo", default="", help="Such as 50ms: also print how many requests met it.")
@click.option("--record", "file", type=click.Path(path_type=Path), help="Write the event log here.")
@policy_option
@without(WORDS_AND_HOSTS)
@scenario_options
@click.pass_context
def simulate(
    context: click.Context,
    /,
    deployment: str,
    gpu: str,
    tp: int,
    precision: str,
    kv_dtype: str,
    engine: str,
    cost: str,
    trace: Path | None,
    vary: float,
    routing: str,
    prefix_cache_tokens: int,
    sharing: str,
    fabric: str,
    planner: str,
    most_workers: int | None,
    ttft_slo: str,
    tpot_slo: str,
    file: Path | None,
    policy: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run a workload on one deployment in simulated time: the same scheduler, with step times from a cost model."""
    slo = Slo(
        ttft_s=units.seconds("ttft slo", ttft_slo) if ttft_slo else None,
        tpot_s=units.seconds("tpot slo", tpot_slo) if tpot_slo else None,
    ).checked()
    if file is not None:
        can_be_saved(file)
    served = _served(context, gpu, tp, precision, kv_dtype, engine)
    if served and not _given(context, "chunk"):
        options["chunk"] = served.chunk_tokens
    one_of("routing", routing, ROUTINGS)
    whole("prefix cache tokens", prefix_cache_tokens, 0, 1_000_000_000)
    kind, own = kind_asked(context, policy)
    scenario, _, _ = described(kind, most_workers=MAX_SIMULATED_WORKERS, **options, **WORDS_AND_HOSTS)
    scenario = own.deployed(scenario) if own else scenario
    wanted = _wanted(context, trace, vary, scenario.workload)
    plans = _planner(planner, most_workers, slo, scenario)
    network = _network(sharing, fabric)
    worker = served.worker(options["model"], _longest(scenario.workload, wanted)) if served else None
    if served and worker and not _given(context, "link"):
        scenario = msgspec.structs.replace(scenario, link=served.link(options["model"], worker.gpus))
    worker = worker or measured_worker(cost, scenario)
    on = ClusterSpec(
        worker,
        network=msgspec.structs.replace(network, host_bytes_per_s=worker.handoff_bytes_per_s),
        routing=routing,  # type: ignore[arg-type]  # `one_of` has checked it
        prefix_cache_tokens=prefix_cache_tokens,
        planner=plans,
    )
    about = served.said(options["model"]) if served else None
    if as_json or file is not None:
        log = run_simulated(scenario, on, wanted, own)
        if file is not None:
            save(log, file)
        if as_json:
            _print_json(log, slo, about)
            return
        counted = tally(log.events)
    else:
        counted = count(scenario, on, wanted, own)
    table([(scenario.deployment.title, Summary((), counted.metrics, ()))])
    if about:
        click.echo(about["error"])
    if slo != Slo():
        kept = _kept(counted, slo)
        met, good = percent(kept["attainment"] or 0.0, digits=1), amount(kept["goodput_per_s"] or 0.0)
        click.echo(f"{met} of the requests met the SLOs: {good} requests/s")


def _print_json(log: Log, slo: Slo, about: dict[str, object] | None) -> None:
    said = report(log, summarize(log.events))
    if slo != Slo():
        said["slo"] = _kept(tally(log.events), slo)
    if about:
        said["on"] = about
    click.echo(msgspec.json.encode(said).decode())


def _wanted(context: click.Context, trace: Path | None, vary: float, workload: Workload) -> list[Draft] | None:
    """The trace's requests, or the workload's with lengths that vary; None: the workload's as they are.

    Answers of one length end together, and then all users ask together. In a closed loop that goes on for ever, which
    no real server's does, and TTFT comes out about twice as long as measured. So there lengths vary a little.
    """
    number("vary", vary, least=0, most=0.9, unit="a share of the lengths")
    if trace is not None:
        if vary:
            raise BadInput("vary", vary, "left out with --trace, which has lengths of its own")
        return read_trace(trace, workload.requests if _given(context, "requests") else None)
    if not _given(context, "vary") and workload.users and _given(context, "gpu"):
        vary = USUAL_SPREAD
    return varied(drafts(workload), vary, workload.seed) if vary else None


def _served(context: click.Context, card: str, tp: int, kept: str, kv: str, engine: str) -> OnHardware | None:
    """None without --gpu. Raises BadInput."""
    if not card:
        for option in ("tp", "precision", "kv_dtype", "engine"):
            if _given(context, option):
                raise BadInput(option.replace("_", " "), context.params[option], "left out without --gpu")
        return None
    for option in ("cost", "dtype", "kv_blocks", "transport"):  # the card, its memory and its fabric say these
        if _given(context, option):
            raise BadInput(option.replace("_", " "), context.params[option], "left out with --gpu")
    whole("tp", tp, 0, 64)
    serving_engine(engine)
    return OnHardware(gpu_named(card), tp, kept, kv, engine)


def measured_worker(cost: str, scenario: Scenario) -> WorkerSpec:
    """A worker of this machine, with a step cost fitted to a log or to a new live run. Raises BadInput."""
    from engine.live.model.catalog import prepare

    if cost == "measured":
        from engine.live.process.run import make_requests, run_live

        ours = {"own_policy": False, "own_split": False}
        few = msgspec.structs.replace(scenario.deployment, workers=2, prefill_workers=1, **ours)
        calibration = msgspec.structs.replace(scenario, deployment=few, link=LinkSpec(), workload=MEASURED)
        make_requests(calibration)  # refuses what can't be run before it says that it begins
        click.echo("Calibrating on a live run of 8 requests ...", err=True)
        log = run_live(calibration)
    else:
        log = load(cost, "cost", "measured, or a log recorded by `split-kitchen run --record`")
        admit(log.events, cost)
    return calibrated_worker(worker_like(prepare(scenario.model)), log.events)


def _planner(mode: str, most_workers: int | None, slo: Slo, scenario: Scenario) -> PlannerSpec | None:
    one_of("planner", mode, ("none", *MODES))
    if mode == "none":
        if most_workers is not None:
            raise BadInput("most workers", most_workers, "left out without --planner")
        return None
    deployment = scenario.deployment
    if deployment.kind != "disaggregated":
        raise BadInput("planner", mode, "none unless the deployment is disaggregated: only that has two pools")
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
            raise BadInput("sharing", sharing, "fair with --fabric: handoffs share a fabric fairly")
    return NetworkSpec(sharing, shared)  # type: ignore[arg-type]


def _longest(workload: Workload, wanted: Sequence[Draft] | None) -> int:
    """Tokens of the longest request, prompt plus output."""
    if wanted:
        return max(draft.prompt_tokens + draft.output_tokens for draft in wanted)
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

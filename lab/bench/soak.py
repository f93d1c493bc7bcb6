"""`split-kitchen bench soak`: the memory of a lab's processes and of its page during run after run.

One visitor opens the kitchen again and again. After each run it reads every process's memory, and the page's heap after
a garbage collection. Memory is flat if the last fifth of the runs needs what the second fifth needed.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import click

from engine.bench.figure import Figure, Findings, found
from engine.commands.bench_engine import say
from engine.errors import BadInput
from engine.live.process.run import machine
from engine.scenario import number
from lab.bench.page import browser, kept
from lab.bench.startup import fresh_lab
from lab.runs.run_feed import RUNS_KEPT

ORDERS = "kitchen=Two+stations+and+a+pass&orders=6&rate=4&prompt=64&long=0&answer=16"  # some seconds
RUN_MS = 120_000
LEAST_RUNS = 5  # one in each fifth
GROWN = 1.05
Sample = dict[str, float]


def measure(model: str, minutes: float) -> Findings:
    """Run the bench. Raises BadInput on systems without smaps_rollup."""
    if not Path("/proc/self/smaps_rollup").exists():
        raise BadInput("soak", "this system", "one with /proc/PID/smaps_rollup, as Linux has it")
    with fresh_lab(model) as lab, browser() as chromium:
        wrong: list[str] = []
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{lab.url}/?{ORDERS}")
        samples = list(visits(page, lab.pid, minutes * 60))
    notes = [
        f"{minutes:g} min. The lab remembers the last {RUNS_KEPT} runs: until there were so many, it grows.",
        "PSS counts what several processes map, such as weights, by share, so it moves as others come and go.",
        *sorted(set(wrong)),
    ]
    runs = [Figure("runs, one after another", len(samples), ""), Figure("errors in the page", len(wrong), "", most=0)]
    return found("soak", machine(), [*runs, *figures(samples)], notes)


def visits(page: Any, lab: int, seconds: float) -> Iterator[Sample]:
    """Make run after run; yields the memory held after each."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    measured = page.get_by_role("heading", name="What was measured")
    begun_s = time.monotonic()
    runs = 0
    while time.monotonic() - begun_s < seconds or runs < LEAST_RUNS:
        page.get_by_role("button", name="Open the kitchen").click(timeout=RUN_MS)
        measured.wait_for(state="hidden", timeout=RUN_MS)  # the last run's
        measured.wait_for(timeout=RUN_MS)
        runs += 1
        yield in_processes(lab) | in_page(devtools)


def in_page(devtools: Any) -> Sample:
    """The page's heap in bytes, and its number of nodes."""
    heap, nodes = kept(devtools)
    return {"the page's heap": heap, "nodes in the page": nodes}


def in_processes(lab: int) -> Sample:
    """Bytes held by the lab's server, by the engine's host (its child) and by the workers (the host's children)."""
    [host] = children(lab)
    pids = {"the lab's server": lab, "the host": host}
    pids |= {f"worker {number}": pid for number, pid in enumerate(children(host))}
    return {f"{kind} of {name}": size for name, pid in pids.items() for kind, size in held(pid).items()}


def held(pid: int) -> dict[str, float]:
    """The process's memory in bytes, by RSS and by PSS. Linux only."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    said = {name: float(amount.split()[0]) * 1024 for name, amount in (line.split(":") for line in lines)}
    return {"RSS": said["Rss"], "PSS": said["Pss"]}


def children(pid: int) -> list[int]:
    """The process's Python children, in the order in which they were started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = status.read_text().partition(" (")[2].rpartition(") ")
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
        if int(rest.split()[1]) == pid and name.startswith("python"):
            found.append(int(status.parent.name))
    return sorted(found)


def figures(samples: Sequence[Sample]) -> list[Figure]:
    """For everything sampled, the median of the last fifth beside the median of the second fifth."""
    fifth = len(samples) // 5
    figures = []
    for name in samples[-1]:
        early, late = (median(each[name] for each in part) for part in (samples[fifth : 2 * fifth], samples[-fifth:]))
        unit = "" if name.startswith("nodes") else "B"
        most = None if name.startswith("PSS") else GROWN
        figures.append(Figure(name, late, unit, "in the second fifth", early, most=most))
    return figures


@click.command()
@click.option("--minutes", type=float, default=2.0, show_default=True, help="How long; 30 to trust it.")
@click.option("--model", default="smollm2-135m", show_default=True, help="Name, folder or hub id.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def soak_command(minutes: float, model: str, as_json: bool) -> None:
    """Run after run in a fresh lab: memory of its server, host, workers, and of the page. Needs Playwright."""
    number("minutes", minutes, above=0, unit="minutes")
    say(measure(model, minutes), as_json)

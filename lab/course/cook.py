"""Be the cook, in Jupyter: a policy in a file of your own, simulated, run on the real engine, and scored.

What a learner writes runs in the notebook's kernel and in the worker processes that it starts, nowhere else. As in the
lessons, no cell stops the ones below it: what is wrong is said, in one sentence.
"""

import atexit
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from IPython.display import HTML, Markdown, display

from engine.causes import causes
from engine.disturbed import disturbance, disturbed
from engine.errors import BadInput, PolicyRefused
from engine.link import LinkSpec
from engine.live.model.catalog import prepare
from engine.live.process.front import Front
from engine.live.process.run import make_requests, run_on
from engine.log import Log
from engine.metrics import summarize
from engine.own_file import OwnFile
from engine.scenario import Deployment, ModelSpec, Scenario, Workload
from engine.sim.fit import fit, unpaced_bytes_per_s
from engine.sim.run import simulate, worker_like
from engine.sim.station import WorkerSpec
from engine.stall import in_seconds, longest, says
from lab.course.chart_html import STYLE, scatter_html, table_html
from lab.course.notebook import Kitchen, Still
from lessons.evidence import ATTEMPTS, calmer
from lessons.own_policy import CHUNK, OURS, YOURS, Scored, practice, score, verdict

MEASURED = Workload(
    requests=8, prompt_tokens=128, output_tokens=24, long_prompt_tokens=512, long_every=3, ignore_eos=True
)
TTFT, STALL = "TTFT, mean of the orders", "longest stall"


class Cook:
    """Two workers of this machine, and the file with your policy. The first thing it does is to measure their steps."""

    def __init__(self, file: str = "my_policy.py", model: ModelSpec | None = None) -> None:
        self._file = Path(file).resolve()
        self._model = model or ModelSpec()
        self._front: Front | None = None
        measured = self._measured()
        self._worker = msgspec.structs.replace(
            worker_like(prepare(self._model)),
            cost=fit([measured.events]),
            handoff_bytes_per_s=unpaced_bytes_per_s([measured.events]),
        )
        step_s, prompt_s = (self._worker.cost.step_s(*asked) for asked in (((), 1, 64), ([(0, 512)], 0, 0)))
        _say(
            f"Two workers are up, and their steps are measured: a token takes {in_seconds(step_s)}, a prompt of 512 "
            f"tokens {in_seconds(prompt_s)}. What is simulated below goes at this pace. "
            f"{disturbance(measured.events, measured.machine)}"
        )

    def simulate(self, beside: str = "") -> Kitchen | None:
        """Your policy serves the practice orders in simulated time. `beside`: one of ours, by the same clock."""

        def serve(own: OwnFile) -> dict[str, Log]:
            return {YOURS.capitalize(): simulate(_practice(own), self._worker, own=own), **_ours(beside, self._worker)}

        return self._shown(serve)

    def run(self) -> Kitchen | None:
        """The same on the real engine; simulated first, since an engine must start again after a broken rule."""

        def serve(own: OwnFile) -> dict[str, Log]:
            simulate(_practice(own), self._worker, own=own)
            real = msgspec.structs.replace(_practice(own), model=self._model)
            return {f"{YOURS.capitalize()}, for real": self._served(real)}

        return self._shown(serve)

    def score(self) -> None:
        """TTFT and longest stall on orders that you have not seen, yours and ours, at the measured pace."""
        own = self._tried(lambda own: score(own, self._worker))
        if own is not None:
            display(HTML(f"<style>{STYLE}</style>{score_html(own)}"))
            _say(verdict(own))

    # ---- the engine

    def _measured(self) -> Log:
        """A run with steps of all kinds; a disturbed one is made again, and the least disturbed counts."""
        best = None
        for _ in range(ATTEMPTS):
            best = calmer(best, self._served(Scenario(Deployment(), LinkSpec(), MEASURED, self._model)))
            if not disturbed(best.events):
                break
        assert best is not None
        return best

    def _served(self, scenario: Scenario) -> Log:
        """The scenario on the real engine, which starts with the first one. After anything goes wrong it is closed."""
        requests = make_requests(scenario)
        try:
            if self._front is None:
                self._front = Front(Deployment(), LinkSpec(), self._model, own=self._file)
                atexit.register(self._front.close)
                self._front.start()
            return run_on(self._front, scenario, requests)
        except BaseException:  # also if somebody interrupts the cell: requests are open, and workers may be gone
            self.close()
            raise

    def close(self) -> None:
        """End the workers. The next run starts others."""
        if self._front is not None:
            atexit.unregister(self._front.close)
            self._front.close()
            self._front = None

    # ---- what a cell says

    def _tried(self, serve: Callable[[OwnFile], Any]) -> Any:
        """What comes of it; None, and a sentence, if the file is wrong or breaks a rule."""
        try:
            return serve(OwnFile.read(self._file))
        except (BadInput, PolicyRefused) as wrong:
            _say(f"**Refused.** {wrong}")
            return None

    def _shown(self, serve: Callable[[OwnFile], dict[str, Log]]) -> Kitchen | None:
        runs: dict[str, Log] | None = self._tried(serve)
        if runs is None:
            return None
        for name, log in runs.items():
            simulated = "" if log.recorded_at else ", simulated"
            _say(f"**{name}{simulated}**: {numbers(log)} {disturbance(log.events, log.machine)}")
        display(Still(list(runs.values())))
        return Kitchen(runs)


def _say(text: str) -> None:
    display(Markdown(text))


def _practice(own: OwnFile) -> Scenario:
    return own.deployed(practice(Deployment(chunk=CHUNK)))


def _ours(name: str, worker: WorkerSpec) -> dict[str, Log]:
    if not name:
        return {}
    if name not in OURS:
        raise BadInput("beside", name, "one of " + ", ".join(OURS))
    return {name.capitalize(): simulate(practice(OURS[name]), worker)}


def numbers(log: Log) -> str:
    """A run's mean TTFT and its longest stall, with the cause."""
    metrics = summarize(log.events).metrics
    stall = longest(causes(log.events))
    return f"TTFT {in_seconds(metrics.ttft_s.mean)} on average, longest stall {in_seconds(metrics.max_stall_s)}" + (
        f": {says(stall).partition(': ')[2]}" if stall else "."
    )


def score_html(scores: Mapping[str, Scored]) -> str:
    """A mark for each policy and seed, and the medians in a table."""
    rows = scores.values()
    table = {
        "": list(scores),
        TTFT: [in_seconds(of.middle[0]) for of in rows],
        "of the seeds": [f"{in_seconds(min(of.ttft_s))} to {in_seconds(max(of.ttft_s))}" for of in rows],
        STALL: [in_seconds(of.middle[1]) for of in rows],
        "of the seeds ": [f"{in_seconds(min(of.stall_s))} to {in_seconds(max(of.stall_s))}" for of in rows],
    }
    seeds = len(scores[YOURS].ttft_s)
    points = {name: list(zip(of.ttft_s, of.stall_s, strict=True)) for name, of in scores.items()}
    ttft, stall = map(in_seconds, scores[YOURS].middle)
    alt = f"Yours: TTFT {ttft}, longest stall {stall}, the medians of {seeds} seeds. The table has the others."
    figure = scatter_html(points, f"{TTFT}, s; one mark for each of {seeds} seeds", f"{STALL}, s", alt)
    return figure + table_html(table)

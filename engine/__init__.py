"""Serve an LLM with prefill and decode together or apart, for real or in simulated time. The front door:

    from engine import run_live, simulate, advise, load_log, summarize

`run_live(scenario)` runs a scenario on real worker processes and returns its log; `simulate(scenario, worker)` does it
in simulated time; `summarize(log.events)` counts; `advise(Question(...))` says whether to split on a fleet.
"""

from typing import Any

from engine.log import Log, load as load_log
from engine.metrics import summarize

__all__ = ["Log", "Question", "advise", "load_log", "run_live", "simulate", "summarize"]


def __getattr__(name: str) -> Any:
    if name == "run_live":  # only when it is wanted: a reader of logs need not have a tokenizer
        from engine.live.process.run import run_live

        return run_live
    if name == "simulate":  # also lazy: reading logs does not need SimPy
        from engine.sim.run import simulate

        return simulate
    if name in ("advise", "Question"):
        from engine.fleet.advisor.advisor import advise
        from engine.fleet.advisor.question import Question

        return advise if name == "advise" else Question
    raise AttributeError(f"module 'engine' has no attribute {name!r}")

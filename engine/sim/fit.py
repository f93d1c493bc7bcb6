"""From the steps of a log to a `LinearCost`: non-negative least squares on relative errors.

Relative, so that a decode step counts as much as a prefill that takes ten times as long. Non-negative, because no work
takes negative time: terms that the log cannot tell apart must not cancel each other out.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from engine.errors import BadInput
from engine.events import Event, HandoffEnded, LinkChanged, StepEnded, StepStarted, WorkerDown
from engine.plan import Plan
from engine.sim.cost import LinearCost, StepCost, attention_pairs

TERMS = ("step", "prefill_step", "prefill_token", "attention_pair", "row", "context_token")
FEWEST_STEPS = 8

Matrix = np.ndarray[Any, np.dtype[np.float64]]


class TimedStep(msgspec.Struct, frozen=True):
    """A step as it was measured: when it began, and how long it took."""

    worker: str
    begun_s: float
    seconds: float
    plan: Plan


def steps(events: Iterable[Event]) -> list[TimedStep]:
    """Every step that begins and ends in the log."""
    begun: dict[str, StepStarted] = {}
    done: list[TimedStep] = []
    for event in events:
        if isinstance(event, StepStarted):
            begun[event.worker] = event
        elif isinstance(event, StepEnded) and event.worker in begun:
            start = begun.pop(event.worker)
            done.append(TimedStep(event.worker, start.t, event.t - start.t, start.plan))
        elif isinstance(event, WorkerDown):
            begun.pop(event.worker, None)
    return done


def work(plan: Plan) -> list[float]:
    """How many units of each of `TERMS` a step has."""
    prefill = [(piece.start, piece.tokens) for piece in plan if piece.tokens > 1]
    rows = len(plan) - len(prefill)
    context = sum(piece.start + 1 for piece in plan if piece.tokens == 1)
    tokens = sum(tokens for _, tokens in prefill)
    return [1.0, float(bool(prefill)), tokens, attention_pairs(prefill), rows, context]


def fit(logs: Sequence[Sequence[Event]]) -> LinearCost:
    """The cost that fits the steps of these logs best. Raises BadInput if they have fewer than `FEWEST_STEPS`."""
    timed = [step for events in logs for step in steps(events) if step.seconds > 0]
    if len(timed) < FEWEST_STEPS:
        raise BadInput("cost", f"a log with {len(timed)} steps", f"a log with {FEWEST_STEPS} or more")
    seconds = np.array([step.seconds for step in timed])
    rows = np.array([work(step.plan) for step in timed])
    relative = rows / seconds[:, None]
    coefficients = non_negative(relative, np.ones(len(timed)))
    return LinearCost(**dict(zip(TERMS, (float(c) for c in coefficients), strict=True)))


def scatter(cost: StepCost, events: Sequence[Event]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The factors by which the log's steps differ from `cost`, in order of time: decode steps, steps with prefill."""
    factors: tuple[list[float], list[float]] = ([], [])
    for step in sorted(steps(events), key=lambda step: step.begun_s):
        prefill = [(piece.start, piece.tokens) for piece in step.plan if piece.tokens > 1]
        rows = [piece.start + 1 for piece in step.plan if piece.tokens == 1]
        factors[bool(prefill)].append(step.seconds / cost.step_s(prefill, len(rows), sum(rows)))
    return tuple(factors[False]), tuple(factors[True])


def non_negative(a: Matrix, b: Matrix) -> Matrix:
    """argmin |a·x - b| over x >= 0, for `a` [rows, terms] and `b` [rows].

    Source: Lawson and Hanson, Solving Least Squares Problems, chapter 23.
    """
    scale = np.linalg.norm(a, axis=0)
    scale[scale == 0] = 1.0
    a = a / scale
    x = np.zeros(a.shape[1])
    free = np.zeros(a.shape[1], dtype=bool)
    for _ in range(10 * a.shape[1]):
        gradient = a.T @ (b - a @ x)
        gradient[free] = -np.inf
        best = int(np.argmax(gradient))
        if gradient[best] <= 1e-9:
            break
        free[best] = True
        while True:
            trial = np.zeros_like(x)
            trial[free] = np.linalg.lstsq(a[:, free], b, rcond=None)[0]
            below = free & (trial <= 0)
            if not below.any():
                break
            step = np.min(x[below] / (x[below] - trial[below]))
            x += step * (trial - x)
            free &= x > 1e-12
        x = trial
    solution: Matrix = x / scale
    return solution


def unpaced_bytes_per_s(logs: Sequence[Sequence[Event]]) -> float | None:
    """The transport's own bandwidth, from handoffs over unpaced links; None if the logs have none."""
    moved: list[HandoffEnded] = []
    for events in logs:
        paced = next((e.bandwidth_bytes_per_s for e in events if isinstance(e, LinkChanged)), None)
        ended = [e for e in events if isinstance(e, HandoffEnded) and e.verified is not False and paced is None]
        moved += [e for e in ended if e.seconds > 0]
    seconds = sum(e.seconds for e in moved)
    return sum(e.nbytes for e in moved) / seconds if seconds else None

"""Measurements of whole servers, and the engine's share of a step: fitted on one half, validated on the other.

Every measurement is a closed loop with a number of users, one prompt length and one answer length. In the time of one
answer each user sends one prompt, so a token takes a decode step plus its share of the other users' prefill.
"""

from collections.abc import Callable, Iterable, Sequence
from math import inf, log
from typing import Any

import msgspec
import numpy as np

from engine.fleet.catalog.calibration import Calibration, Kernels, Overhead
from engine.fleet.catalog.engines import serving_engine
from engine.fleet.estimate.step_cost import step_cost
from engine.fleet.fit.points import Point
from engine.fleet.fit.replayed import REQUESTS
from engine.sim.cost import GpuCost

FEW_USERS, TTFT_WEIGHT = 8, 0.3
FAR = 0.7  # the loss of one measurement, a log ratio, is capped here: beyond it is an outlier
STEPS = (0.3, 0.6, 0.85, 0.95, 1.05, 1.15, 1.5, 3.0)
ROUNDS, ENOUGH = 20, 5e-4
MOST_REQUEST_S = 0.05  # outside of steps; what is longer is something else
LOYAL = 0.01  # the penalty for a factor of e away from a kernel table's value
USUAL = 0.001  # the same for an overhead and where it starts: what hardly shows in the measurements stays plausible
SEEN_BY_SERVERS = ("memory", "expert_memory", "expert_compute", "all_reduce_s")  # refitted from whole servers

Errors = np.ndarray[Any, np.dtype[np.float64]]


def foreseen_tpot_s(point: Point, reached: Calibration) -> float:
    """Time per output token in the closed loop, by formula instead of simulation."""
    cost = step_cost(point.shape, point.card, tp=point.tp, reached=reached)
    users, context = point.users, _context(point, point.users)
    decode_s = cost.step_s((), users, context)
    longer_s = _prompt_step_s(point, cost, users) - (decode_s if serving_engine(point.engine).mixes else 0.0)
    return decode_s + (users - 1) * longer_s / point.mean_output_tokens


def foreseen_ttft_s(point: Point, reached: Calibration) -> float:
    """Time to first token with few users: the way to the worker, half a decode step that is under way, what the server
    is told to wait, and the prompt's own step, before which others may have to be computed: all users' in the first of
    their rounds, and in the later ones those that happen to come at the same time."""
    cost = step_cost(point.shape, point.card, tp=point.tp, reached=reached)
    others = point.users - 1
    decode_s = cost.step_s((), point.users, _context(point, point.users))
    own_s = _prompt_step_s(point, cost, others)
    busy = others * own_s / (point.mean_output_tokens * foreseen_tpot_s(point, reached))
    before_s = own_s / 2 * (others / REQUESTS + min(1.0, busy))
    return reached.overhead.request_s + decode_s * (0.5 + point.waits_steps) + before_s + own_s


def _context(point: Point, rows: int) -> int:
    """Tokens whose KV so many answers read together, half of each done."""
    return round(rows * (point.mean_prompt_tokens + point.mean_output_tokens / 2))


def _prompt_step_s(point: Point, cost: GpuCost, rows: int) -> float:
    """A step with a whole prompt, and with these decode rows where the engine mixes them."""
    prompt = [(0, point.mean_prompt_tokens)]
    return (
        cost.step_s(prompt, rows, _context(point, rows))
        if serving_engine(point.engine).mixes
        else cost.step_s(prompt, 0, 0)
    )


def tpot_errors(some: Iterable[Point], reached: Calibration) -> Errors:
    """Computed over measured TPOT, minus 1, for each point."""
    return np.array([foreseen_tpot_s(point, reached) / point.tpot_s - 1 for point in some])


def ttft_errors(some: Iterable[Point], reached: Calibration) -> Errors:
    """Computed over measured TTFT, minus 1, for points whose queues a formula can foresee: few users, who do not all
    ask together."""
    few = [point for point in some if point.users <= FEW_USERS and point.ttft_s > 0 and point.spread]
    return np.array([foreseen_ttft_s(point, reached) / point.ttft_s - 1 for point in few])


def fitted_overhead(some: Sequence[Point], start: Calibration) -> Calibration:
    """The calibration with the overhead that fits these measurements best and the kernels of `start`; leaving the
    overhead of `start` is penalised."""
    names = [name for name in Overhead.__struct_fields__ if name.endswith("_s")]

    def loss(tried: Calibration) -> float:
        return _far(some, tried) + USUAL * _moved(tried.overhead, start.overhead, names)

    return _descend(start, "overhead", names, loss)


def fitted_kernels(groups: Sequence[tuple[Sequence[Point], Overhead]], table: Calibration) -> Calibration:
    """The calibration whose kernels fit all groups best, each with its own overhead; leaving `table` is penalised."""
    weights = np.array([len(some) for some, _ in groups]) / sum(len(some) for some, _ in groups)

    def loss(tried: Calibration) -> float:
        far = [_far(some, msgspec.structs.replace(tried, overhead=own)) for some, own in groups]
        return float(weights @ far) + LOYAL * _moved(tried.kernels, table.kernels, SEEN_BY_SERVERS)

    return _descend(table, "kernels", SEEN_BY_SERVERS, loss)


def _moved(to: Kernels | Overhead, since: Kernels | Overhead, names: Sequence[str]) -> float:
    """The sum of the log ratios of these constants."""
    return sum(abs(log(getattr(to, name) / getattr(since, name))) for name in names)


def _far(some: Sequence[Point], reached: Calibration) -> float:
    """The mean log distance of computed from measured times. Every model counts the same: some were measured ten times
    as often as others."""
    models = {point.shape.name for point in some}
    return sum(_far_of([p for p in some if p.shape.name == name], reached) for name in models) / max(1, len(models))


def _far_of(some: Sequence[Point], reached: Calibration) -> float:
    both = (tpot_errors(some, reached), ttft_errors(some, reached))
    far = [float(np.minimum(np.abs(np.log1p(off)), FAR).mean()) if off.size else 0.0 for off in both]
    return far[0] + TTFT_WEIGHT * far[1]


def _descend(start: Calibration, part: str, names: Sequence[str], loss: Callable[[Calibration], float]) -> Calibration:
    """Coordinate descent over the constants of one part, as long as it helps."""
    best, least = start, loss(start)
    for _ in range(ROUNDS):
        before = least
        for name in names:
            for step in STEPS:
                now = getattr(best, part)
                most = MOST_REQUEST_S if name == "request_s" else inf if name.endswith("_s") else 1.0
                changed = msgspec.structs.replace(now, **{name: min(getattr(now, name) * step, most)})
                tried = msgspec.structs.replace(best, **{part: changed})
                if (found := loss(tried)) < least:
                    best, least = tried, found
        if before - least < ENOUGH:
            break
    return best

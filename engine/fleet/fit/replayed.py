"""A published measurement again, in the simulator: the same server, and the same users with the same lengths.

TTFT under many users is mostly waiting, and waiting comes from who asks when. A formula for one prompt cannot know it;
the simulator's queue does.
"""

from random import Random

import msgspec

from engine.errors import BadInput
from engine.fleet.catalog.calibration import Calibration
from engine.fleet.catalog.engines import serving_engine
from engine.fleet.estimate.workers import worker_on
from engine.fleet.fit.points import Point
from engine.link import LinkSpec
from engine.scenario import Deployment, Scenario, Workload
from engine.sim.run import count
from engine.workload import Draft

REQUESTS = 10  # of each user, as in InferenceX
DRIFT = 0.1


class Replayed(msgspec.Struct, frozen=True):
    """Means over all requests, in seconds, as benchmarks report them."""

    ttft_s: float
    tpot_s: float


def replayed(point: Point, reached: Calibration | None = None) -> Replayed | None:
    """Simulate the measurement; None if its requests would not fit into the server's memory. Deterministic.

    `reached`: constants in place of the fitted ones.
    """
    engine = serving_engine(point.engine)
    deployment = Deployment("chunked" if engine.mixes else "colocated", 1, chunk=engine.chunk_on(point.card))
    workload = Workload(requests=REQUESTS * point.users, users=point.users)
    try:
        worker = worker_on(
            point.shape,
            point.card,
            context=point.prompt_tokens + point.output_tokens,
            tp=point.tp,
            engine=point.engine,
            reached=reached,
        )
        counted = count(Scenario(deployment, LinkSpec(), workload), worker, _drafts(point, workload.requests)).metrics
    except BadInput:
        return None
    waits_s = point.waits_steps * counted.itl_s.p50
    return Replayed(counted.ttft_s.mean + waits_s, counted.tpot_s.mean)


def _drafts(point: Point, requests: int) -> list[Draft]:
    """Lengths as in the measurement. Where all are alike, answers would end together here for ever; in a real server
    users drift apart, and lengths that vary a little do the same."""
    rng = Random(0)
    low, high = (point.shortest, 1.0) if point.spread else (1 - DRIFT, 1 + DRIFT)

    def drawn(tokens: int) -> int:
        return rng.randint(round(low * tokens), round(high * tokens))

    return [Draft(n, 0.0, drawn(point.prompt_tokens), drawn(point.output_tokens)) for n in range(requests)]

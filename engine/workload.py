"""Seeded arrivals and lengths. Prompts get their texts elsewhere, with a tokenizer."""

import math
import random
from collections.abc import Sequence

import msgspec

from engine.scenario import Workload


class Draft(msgspec.Struct, frozen=True, gc=False):  # values only, and a trace has very many
    """A request before it has a prompt."""

    number: int
    arrival_s: float
    prompt_tokens: int
    output_tokens: int
    prefix_blocks: tuple[int, ...] = ()  # of the prompt, as a trace names them: requests that share some share a prefix


def drafts(workload: Workload) -> list[Draft]:
    """The workload's requests in order of arrival; all at second 0 if it has no rate."""
    rng = random.Random(workload.seed)
    t = 0.0
    made: list[Draft] = []
    for number in range(workload.requests):
        long = workload.long_every and number % workload.long_every == workload.long_every - 1
        tokens = workload.long_prompt_tokens if long else workload.prompt_tokens
        made.append(Draft(number, t, tokens, workload.output_tokens))
        if workload.rate_per_s is not None:
            t += _gap_s(rng, workload, workload.rate_per_s, t)
    return made


def varied(wanted: Sequence[Draft], share: float, seed: int) -> list[Draft]:
    """The same requests with lengths up to so much shorter or longer, evenly and each for itself; at least 1 token."""
    rng = random.Random(seed)

    def drawn(tokens: int) -> int:
        return max(1, round(tokens * rng.uniform(1 - share, 1 + share)))

    return [
        msgspec.structs.replace(one, prompt_tokens=drawn(one.prompt_tokens), output_tokens=drawn(one.output_tokens))
        for one in wanted
    ]


def _gap_s(rng: random.Random, workload: Workload, rate_per_s: float, t: float) -> float:
    """From a request that arrives at second `t` to the next one."""
    if workload.arrivals == "gamma":
        shape = 1.0 / workload.burstiness**2
        return rng.gammavariate(shape, 1.0 / (shape * rate_per_s))
    if workload.arrivals == "onoff":
        burst_s = workload.burst_s
        on_s = rng.expovariate(2.0 * rate_per_s)
        left_s = burst_s - t % (2.0 * burst_s)  # of the burst; requests arrive in bursts only
        pauses = max(0, math.ceil((on_s - left_s) / burst_s))
        return on_s + pauses * burst_s
    return rng.expovariate(rate_per_s)

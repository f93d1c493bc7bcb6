"""Seeded arrivals and lengths. What the prompts say is not decided here: that takes a tokenizer."""

import random

import msgspec

from engine.scenario import Workload


class Draft(msgspec.Struct, frozen=True):
    """A request before it has words."""

    number: int
    arrival_s: float
    prompt_tokens: int
    output_tokens: int
    prefix_blocks: tuple[int, ...] = ()  # of the prompt, as a trace names them: requests that share some share a prefix


def drafts(workload: Workload) -> list[Draft]:
    """The workload's requests in order of arrival: Poisson at `rate_per_s`, or all at second 0 if that is None."""
    rng = random.Random(workload.seed)
    t = 0.0
    made: list[Draft] = []
    for number in range(workload.requests):
        long = workload.long_every and number % workload.long_every == workload.long_every - 1
        tokens = workload.long_prompt_tokens if long else workload.prompt_tokens
        made.append(Draft(number, t, tokens, workload.output_tokens))
        if workload.rate_per_s is not None:
            t += rng.expovariate(workload.rate_per_s)
    return made

"""What a cook can do next, as a learner sees it and as an address carries it.

4           prep order 4, all that is left of it          p      plate one token for every answer
4:256       prep 256 tokens of it                         pp     plate on, until somebody comes or is served
2,3         prep orders 2 and 3 together                  s4     send tray 4 next
4:256p      the same in one step with plating
"""

import re
from collections.abc import Collection, Sequence
from typing import Literal

import msgspec

from engine.errors import BadInput
from engine.policy import PREFILL_BATCH_TOKENS, Choice, Job, one_each
from engine.sim.cost import StepCost
from lab.play.puzzle import number_of

PLATE, PLATE_ON = "p", "pp"
PREP = re.compile(r"([0-9]{1,2}(?::[0-9]{1,6})?(?:,[0-9]{1,2}(?::[0-9]{1,6})?)*)(p?)")
Act = Literal["plate", "plate-on", "whole", "portion", "mixed", "together", "send"]


class Move(msgspec.Struct, frozen=True):
    """`seconds`: how long the step will take; 0 where it is not one step. `tokens`: of prompts. `holds`: so many
    answers get no token from it."""

    move: str
    act: Act
    orders: tuple[int, ...]
    tokens: int = 0
    seconds: float = 0.0
    holds: int = 0


def moves(waiting: Sequence[Job], running: Collection[Job], cost: StepCost, portion: int) -> list[Move]:
    """What is offered to the cook of a station; with one of them there is nothing to decide."""
    offered: list[Move] = []
    plates = one_each(running)

    def offer(move: str, act: Act, prep: Choice, with_plates: Choice) -> None:
        numbers = tuple(number_of(job.request.id) for job, _ in prep)
        tokens = sum(size for _, size in prep)
        seconds = step_s(cost, [*with_plates, *prep])
        offered.append(Move(move, act, numbers, tokens, seconds, len(plates) - len(with_plates)))

    if running:
        offer(PLATE, "plate", [], plates)
        if waiting:
            offered.append(Move(PLATE_ON, "plate-on", ()))
    for job in waiting:
        number = number_of(job.request.id)
        offer(f"{number}", "whole", [(job, job.left)], [])
        if job.left > portion and not running:
            offer(f"{number}:{portion}", "portion", [(job, portion)], [])
        if running:  # a portion takes a token for each along: it costs next to nothing
            part = f":{portion}" if job.left > portion else ""
            offer(f"{number}{part}p", "mixed", [(job, min(portion, job.left))], plates)
    if len(waiting) > 1 and sum(job.left for job in waiting) <= PREFILL_BATCH_TOKENS:
        every = ",".join(f"{number_of(job.request.id)}" for job in waiting)
        offer(every, "together", [(job, job.left) for job in waiting], [])
    return offered


def step_s(cost: StepCost, chosen: Choice) -> float:
    """How long such a step takes, as a simulated station computes it."""
    prefill = [(job.done, tokens) for job, tokens in chosen if tokens > 1]
    context = [job.done + 1 for job, tokens in chosen if tokens == 1]
    return cost.step_s(prefill, len(context), sum(context))


def step_of(move: str, waiting: Sequence[Job], running: Collection[Job]) -> Choice:
    """The move as a policy returns it. Raises BadInput for one that cannot be made now."""
    plates = one_each(running)
    if move in (PLATE, PLATE_ON):
        if not plates:
            raise BadInput("move", move, "a prep: there is nothing to plate")
        return plates
    found = PREP.fullmatch(move)
    if found is None:
        raise BadInput("move", move, "such as 4, 4:256, 4:256p, 2,3 or p")
    if found[2] and not plates:
        raise BadInput("move", move, "a prep alone: there is nothing to plate")
    jobs = {number_of(job.request.id): job for job in waiting}
    prep = [_part(move, part, jobs) for part in found[1].split(",")]
    return [*(plates if found[2] else []), *prep]


def _part(move: str, part: str, waiting: dict[int, Job]) -> tuple[Job, int]:
    number, _, tokens = part.partition(":")
    job = waiting.pop(int(number), None)
    if job is None:
        raise BadInput("move", move, "of orders that wait for prep, each of them once")
    size = int(tokens) if tokens else job.left
    if not 1 <= size <= job.left:
        raise BadInput("move", move, f"of 1 to {job.left:,} tokens of order {number}")
    return job, size


def written(chosen: Choice) -> str:
    """The move that a policy's choice is."""
    prep = [(job, tokens) for job, tokens in chosen if not job.output_tokens]
    parts = [f"{number_of(j.request.id)}" + (f":{tokens}" if tokens < j.left else "") for j, tokens in prep]
    return ",".join(parts) + (PLATE if len(prep) < len(chosen) else "")


def sends(trays: Sequence[tuple[str, float]]) -> list[Move]:
    """Which may be next on the pass, by the requests and how long each crosses, in seconds."""
    return [Move(f"s{number_of(name)}", "send", (number_of(name),), seconds=seconds) for name, seconds in trays]

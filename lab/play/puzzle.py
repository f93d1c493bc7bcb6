"""What a round is played with: a level, a seed, and how long steps take. The same three give the same orders to all."""

import random
from functools import cached_property

import msgspec

from engine.link import LinkSpec
from engine.request import Request
from engine.scenario import BLOCK_TOKENS, Deployment, Scenario, Workload, whole
from engine.sim.run import blank
from engine.sim.station import WorkerSpec
from engine.workload import Draft
from lab.play.pace import Pace

MOST_SEED = 999_999


# The plating line makes token 1, as in vLLM: time on the pass counts in the TTFT, and no answer stands still on it.
SPLIT = Deployment("disaggregated", workers=2, first_token="decode")


class Level(msgspec.Struct, frozen=True):
    """`short`, `large`: the least and the most blocks of a prompt; `answer` likewise in tokens. `larges`: at which
    places one of these comes, of `orders`. `gap`: between two arrivals, in preps of a short prompt."""

    number: int
    title: str
    does: str
    deployment: Deployment
    orders: int
    larges: tuple[int, ...]
    short: tuple[int, int] = (4, 12)
    large: tuple[int, int] = (56, 72)
    answer: tuple[int, int] = (8, 16)
    gap: tuple[float, float] = (0.4, 1.5)


LEVELS = (
    Level(
        1,
        "One station",
        "You cook alone. Prep (prefill) starts an answer, plating (decode) adds a token to each. Keep both waits "
        "short: for first tokens (TTFT), and between tokens (stalls).",
        Deployment("colocated", workers=1),
        orders=3,
        larges=(1, 2),
    ),
    Level(
        2,
        "Two stations and a pass",
        "Plating (decode) has a station of its own: no prep (prefill) stops it. You prep, and choose which tray (a KV "
        "cache) crosses the pass next. Keep both waits short: for first tokens (TTFT), the pass included, and between "
        "tokens (stalls).",
        SPLIT,
        orders=8,
        larges=(1, 2, 3),
        answer=(16, 32),
    ),
)


class Puzzle(msgspec.Struct, frozen=True, dict=True):
    """One round before it is played."""

    level: Level
    seed: int
    pace: Pace

    @cached_property
    def drafts(self) -> tuple[Draft, ...]:
        """The orders, as they come in."""
        level, rng = self.level, random.Random(f"cook {self.level.number} {self.seed}")
        block, beat_s = BLOCK_TOKENS * self.pace.scale, self.pace.beat_s
        large = rng.choice(level.larges)
        t, made = 0.0, []
        for number in range(level.orders):
            blocks = rng.randint(*(level.large if number == large else level.short))
            made.append(Draft(number, round(t, 3), blocks * block, rng.randint(*level.answer)))
            t += beat_s * rng.uniform(*level.gap)
        return tuple(made)

    @property
    def requests(self) -> list[Request]:
        """The same as the engine takes them; only their lengths matter."""
        return [Request(f"r{d.number + 1}", blank(d.prompt_tokens), d.output_tokens, d.arrival_s) for d in self.drafts]

    @property
    def scenario(self) -> Scenario:
        """What the round is a run of, where the learner plays."""
        return self.served_by(self.level.deployment)

    def served_by(self, deployment: Deployment) -> Scenario:
        """The same orders, served by somebody else."""
        return Scenario(deployment, self.link, Workload(len(self.drafts), seed=self.seed))

    @property
    def link(self) -> LinkSpec:
        """The pass."""
        return LinkSpec(self.pace.link_bytes_per_s)

    @property
    def worker(self) -> WorkerSpec:
        """What every station is."""
        return WorkerSpec(self.pace.cost, kv_bytes_per_token=self.pace.kv_bytes_per_token, context_tokens=10**6)


def puzzle(level: int, seed: int, pace: Pace) -> Puzzle:
    """Raises BadInput."""
    whole("level", level, 1, len(LEVELS))
    whole("seed", seed, 0, MOST_SEED)
    return Puzzle(LEVELS[level - 1], seed, pace)


def number_of(request: str) -> int:
    """An order's number in the kitchen: orders come in as they are numbered."""
    return int(request[1:])

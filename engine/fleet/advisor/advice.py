"""What the advisor answers with. Every number can be had again from the functions that `Reason.name` stands for."""

import msgspec

from engine.fleet.advisor.plan import Plan, Verdict
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.trial import TrialResult
from engine.fleet.host.finding import Finding


class Reason(msgspec.Struct, frozen=True):
    """`value` in `unit`, against `threshold` where there is one."""

    name: str
    value: float
    unit: str
    threshold: float | None
    sentence: str


class Flip(msgspec.Struct, frozen=True):
    """With `input` at `at` instead of `now` and everything else as asked, the verdict is `verdict`."""

    input: str
    now: float | str
    at: float | str
    unit: str
    verdict: Verdict
    sentence: str


class Tier(msgspec.Struct, frozen=True):
    """The smallest fleet, its roads whole, that keeps targets by splitting where chunked prefill no longer does."""

    gpus: int
    rate_per_s: float
    fabric: str
    shape: str
    sentence: str


class Variation(msgspec.Struct, frozen=True):
    """What the verdict is if something that nobody knows exactly is otherwise."""

    what: str
    verdict: Verdict


class Advice(msgspec.Struct, frozen=True):
    """`plan` is what to run now, also with the verdict "fix-first". `runner_up`: the best of the other kind.

    `flips`, `fewest_gpus` and the efficiencies of `uncertainty` come from formulas that were scaled to agree with the
    simulation; `tried` is the simulation, of the fleet as it is. With "fix-first", flips count from when the roads are
    mended. `close`: why the verdict is too close to call, empty if it is not. `error`: by which share simulated times
    may be off. `fewest_gpus`: that bear the rate together; None if even all of them do not.
    """

    verdict: Verdict
    sentence: str
    plan: Plan
    chosen: TrialResult
    reasons: tuple[Reason, ...]
    runner_up: TrialResult | None
    flips: tuple[Flip, ...]
    next_tier: Tier | None
    uncertainty: tuple[Variation, ...]
    findings: tuple[Finding, ...]
    tried: tuple[TrialResult, ...]
    question: Question
    assumes: str
    close: str = ""
    error: float = 0.0
    fewest_gpus: int | None = None

    @property
    def frontier(self) -> tuple[TrialResult, ...]:
        """Of what keeps the promises at the asked rate: those that no other beats in TTFT and ITL, fastest first."""
        kept = sorted((one for one in self.tried if one.keeps), key=lambda one: (one.ttft_s, one.itl_s))
        front: list[TrialResult] = []
        for one in kept:
            if not front or one.itl_s < front[-1].itl_s:
                front.append(one)
        return tuple(front)

    @property
    def firm(self) -> bool:
        return all(variation.verdict == self.verdict for variation in self.uncertainty)

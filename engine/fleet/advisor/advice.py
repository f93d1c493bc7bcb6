"""What the advisor answers: the verdict, the plan to run, the reasons, and what would change the verdict."""

import msgspec

from engine.fleet.advisor.plan import Plan, Verdict
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.trial import TrialResult
from engine.fleet.host.finding import Finding


class Reason(msgspec.Struct, frozen=True):
    """One number behind the verdict: `value` in `unit`, and the `threshold` it is compared with, if any."""

    name: str
    value: float
    unit: str
    threshold: float | None
    sentence: str


class Flip(msgspec.Struct, frozen=True):
    """The verdict becomes `verdict` if `input` is `at` instead of `now` and everything else stays as asked."""

    input: str
    now: float | str
    at: float | str
    unit: str
    verdict: Verdict
    sentence: str


class Tier(msgspec.Struct, frozen=True):
    """The smallest fleet on which only splitting meets the targets, with every link working."""

    gpus: int
    rate_per_s: float
    fabric: str
    shape: str
    sentence: str


class Variation(msgspec.Struct, frozen=True):
    """The verdict if something uncertain turns out differently."""

    what: str
    verdict: Verdict


class Advice(msgspec.Struct, frozen=True):
    """`plan` is what to run now, even if the verdict is "fix-first". `runner_up`: the best of the other kind.

    `tried` holds the simulations of the fleet as it is. `flips`, `fewest_gpus` and the efficiency variations in
    `uncertainty` come from formulas scaled to agree with them; with "fix-first", flips assume repaired links. `close`:
    why the verdict is too close to call, empty if it is not. `error`: the share by which simulated times may be off.
    `fewest_gpus`: how many sustain the rate without splitting, None if even all of them do not.
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
        """What meets the targets at the asked rate and is not beaten in both TTFT and ITL, the fastest TTFT first."""
        kept = sorted((one for one in self.tried if one.keeps), key=lambda one: (one.ttft_s, one.itl_s))
        front: list[TrialResult] = []
        for one in kept:
            if not front or one.itl_s < front[-1].itl_s:
                front.append(one)
        return tuple(front)

    @property
    def firm(self) -> bool:
        """Whether no variation changes the verdict."""
        return all(variation.verdict == self.verdict for variation in self.uncertainty)

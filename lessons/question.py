"""What can be asked, and in what forms evidence is shown. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

Confidence = Literal["guessing", "fairly sure", "sure"]
CONFIDENCES: tuple[Confidence, ...] = ("guessing", "fairly sure", "sure")


@dataclass(frozen=True)
class Number:
    """A quantity from `low` to `high`, in `unit`. `log`: equal steps are equal ratios, and so is being off."""

    unit: str
    low: float
    high: float
    log: bool = True

    @property
    def points(self) -> int:
        return 1


@dataclass(frozen=True)
class Choice:
    """One of several: name -> words. Where a difference may drown in the noise, one of them says "about the same"."""

    options: Mapping[str, str]


@dataclass(frozen=True)
class Curve:
    """A value for each of `x`, drawn by hand. Scales are logarithmic where they say so."""

    x: tuple[float, ...]
    x_label: str
    y_label: str
    unit: str
    low: float
    high: float
    log: bool = True
    log_x: bool = True

    @property
    def points(self) -> int:
        return len(self.x)


Answer = Number | Choice | Curve


@dataclass(frozen=True)
class Bars:
    """What else the evidence shows: for each label the measured values, one a repeat. `told`: the repeat that the
    answer is taken from; None: there is no answer, and the median stands for them all."""

    unit: str
    values: Mapping[str, tuple[float, ...]]
    told: int | None = None
    log: bool = False

    def shown(self) -> dict[str, float]:
        """The one value of each label that is drawn and said."""
        return {name: median(of) if self.told is None else of[self.told] for name, of in self.values.items()}

    @property
    def which(self) -> str:
        """Which one that is."""
        return "the median" if self.told is None else "the run of the answer"


@dataclass(frozen=True)
class Lines:
    """Named series of (x, y) points; those in `limits` are drawn as lines to stay under."""

    x_label: str
    y_label: str
    points: Mapping[str, tuple[tuple[float, float], ...]]
    limits: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    log: bool = True

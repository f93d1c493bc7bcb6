"""The key to a question, computed from repeated runs, and how far a guess was from it."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Literal

import msgspec

SAME = "same"  # the name of the option that says "about the same"
NEAR, CLOSE = 0.2, 0.6  # in powers of e: within 1.22 x is right, within 1.82 x close

Value = str | tuple[float, ...]


class Key(msgspec.Struct, frozen=True):
    """What was measured: an option's name, or numbers: one, or for a curve one for each x.

    `low` and `high` are the least and the greatest of the repeats; empty for an option.
    """

    value: Value
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


Word = Literal["right", "close", "off"]


class Verdict(msgspec.Struct, frozen=True):
    """`off_by`: how many times too much or too little (1: exact), for a curve on average; 0 if there is no saying."""

    word: Word
    off_by: float


def number(samples: Sequence[float]) -> Key:
    """The median of the repeats, and their range."""
    return curve([samples])


def curve(samples: Sequence[Sequence[float]]) -> Key:
    """`samples` has one sequence of repeats for each x."""
    middle, low, high = (tuple(fold(one) for one in samples) for fold in (median, min, max))
    return Key(middle, low, high)


def choice(name: str) -> Key:
    return Key(name)


def greatest(samples: Mapping[str, Sequence[float]], least_ratio: float = 1.15) -> Key:
    """Which of the runs has the greatest number; `SAME` where the noise or a small difference leaves it open.

    Open means: the repeats of the first two overlap, or their medians differ by less than `least_ratio`.
    """
    first, second, *_ = sorted(samples, key=lambda name: median(samples[name]), reverse=True)
    apart = min(samples[first]) > max(samples[second])
    wide = median(samples[first]) >= least_ratio * median(samples[second])
    return Key(first if apart and wide else SAME)


def judged(guess: Value, key: Key) -> Verdict:
    """How good the guess is. Inside the range of the repeats it is right, whatever the median says."""
    if isinstance(key.value, str) or isinstance(guess, str):
        return Verdict("right", 1.0) if guess == key.value else Verdict("off", 0.0)
    measured = zip(guess, key.value, key.low, key.high, strict=True)
    distances = [_distance(*point) for point in measured]
    distance = sum(distances) / len(distances)
    word: Word = "right" if distance <= NEAR else "close" if distance <= CLOSE else "off"
    return Verdict(word, math.exp(distance) if math.isfinite(distance) else 0.0)


def _distance(guess: float, value: float, low: float, high: float) -> float:
    """In powers of e, 0 within the range of the repeats: a guess of half and one of twice are equally far away."""
    if low <= guess <= high:
        return 0.0
    return abs(math.log(guess / value)) if guess > 0 and value > 0 else math.inf

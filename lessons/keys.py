"""The key to a question, computed from repeated runs, and how far a guess was from it.

A key is a value with its spread, or there is none: then `CannotTell` says why. So noise is never scored as knowledge.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import msgspec

from engine.disturbed import MOST
from engine.units import amount, percent
from lessons.evidence import CannotTell, Sample

SAME = "same"  # the name of the option that says "about the same"
NEAR, CLOSE = 0.2, math.log(2)  # in powers of e: within 1.22 x is right, within a factor of two close
WIDEST = math.exp(2 * NEAR)  # of the repeats, greatest to least: noise as wide as "right" would make any guess right
MARGIN = 1.15  # a smaller difference is "about the same"

T = TypeVar("T")
Value = str | tuple[float, ...]


class Key(msgspec.Struct, frozen=True):
    """What was measured: an option's name, or numbers: one, or for a curve one for each x.

    `low` and `high` are the least and the greatest of the repeats that count; empty for an option. `repeat`: the one in
    the middle, which has the value; whatever else is said of the runs is taken from it as well. `slowest`: so many of
    the slowest repeats do not count, of a curve at each x. `cut`: so many at either end do not.
    """

    value: Value
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    repeat: int = 0
    slowest: int = 0
    cut: int = 0


class Unclear(msgspec.Struct, frozen=True):
    """This machine could not tell, and `why`: no verdict, and none that counts. The runs may be made again."""

    why: str


Finding = Key | Unclear
Word = Literal["right", "close", "off"]


class Verdict(msgspec.Struct, frozen=True):
    """`off_by`: how many times too much or too little (1: exact), for a curve on average; 0 if there is no saying."""

    word: Word
    off_by: float


# ---- keys


def number(samples: Sequence[Sample[float] | float], widest: float = WIDEST, *, duration: bool = False) -> Key:
    """The median of the repeats that count, and their range. Raises CannotTell if they differ by more than the factor
    `widest`.

    `duration`: of three repeats or more, the slower half does not count. Whatever else goes on in a machine slows a
    step and hastens none, and much of it, such as a neighbour on the same host, shows in no CPU time.
    """
    every = _samples(samples)
    calm = [None if one.calm is None else [one.calm] for one in every]
    points = [Sample([one.value], one.repeat, one.lost, c) for one, c in zip(every, calm, strict=True)]
    return curve(points, widest, duration=duration)


def curve(samples: Sequence[Sample[Sequence[float]]], widest: float = WIDEST, *, duration: bool = False) -> Key:
    """Each sample is a whole curve; the key is the one in the middle, and at each x the range of those that count.

    `duration`: at each x the slower half does not count, and the key is a curve of which no point is among them, or the
    one that is the least above the others: something else slows one step here and another there.
    """
    counted = trusted(samples)
    slowest = len(counted) // 2 if duration and len(counted) > 2 else 0
    cut = 0 if duration else cut_of(counted)
    every = zip(*(zip(*ends(one), strict=True) for one in counted), strict=True)
    points = [sorted(at)[: len(counted) - slowest] for at in every]
    low = tuple(sorted(map(min, at))[cut] for at in points)
    high = tuple(sorted(map(max, at))[-1 - cut] for at in points)

    def above(one: Sample[Sequence[float]]) -> float:
        return max(1.0, *map(_ratio, one.value, high)) if slowest else 1.0

    least = min(map(above, counted))
    middle = _middle([one for one in counted if above(one) == least], _size)
    high = tuple(map(max, high, middle.value)) if slowest else high
    for few, many in zip(low, high, strict=True):
        if many > few * widest:
            factor = many / few if few > 0 else math.inf
            raise CannotTell(_scattered(counted, f"What they say may differ by a factor of {amount(factor)}"))
    return Key(tuple(middle.value), low, high, middle.repeat, slowest, cut)


def exact(samples: Sequence[Sample[float] | float]) -> Key:
    """What does not depend on time, such as bytes: one value, however busy the machine."""
    values = {one.value for one in _samples(samples)}
    if len(values) != 1:
        raise CannotTell("The repeats differ in a number that has to be the same in each.")
    (value,) = values
    return Key((value,), (value,), (value,), _samples(samples)[0].repeat)


def choice(name: str) -> Key:
    """An answer that follows from formulas alone."""
    return Key(name)


def greatest(samples: Sequence[Sample[Mapping[str, float]]], margin: float = MARGIN, same: str | None = SAME) -> Key:
    """Which of the named numbers is the greatest in every repeat that counts, by at least `margin`; `same` where none
    is, because in each of them all lie within it. Anything between the two is noise, or too close to call: CannotTell.

    `same` None: "about the same" is no answer. What somebody else took of the cores counts against every ratio.
    """
    counted = trusted(samples)
    first = max(counted[0].value, key=lambda name: sum(math.log(max(one.value[name], 1e-12)) for one in counted))
    rivals = [name for name in counted[0].value if name != first]

    def lead(values: Mapping[str, float]) -> float:
        return min(_ratio(values[first], values[rival]) for rival in rivals)

    middle, cut = _middle(counted, lambda one: lead(one.value)), cut_of(counted)
    least = sorted(min(map(lead, ends(one))) for one in counted)[cut]
    most = sorted(max(map(lead, ends(one))) for one in counted)[-1 - cut]
    if least >= margin:
        return Key(first, repeat=middle.repeat, cut=cut)
    apart = sorted(max(_ratio(max(end.values()), min(end.values())) for end in ends(one)) for one in counted)[-1 - cut]
    if same is not None and apart <= margin:
        return Key(same, repeat=middle.repeat, cut=cut)
    raise CannotTell(_scattered(counted, f"They put the ratio of the two between {amount(least)} and {amount(most)}"))


def agreed(samples: Sequence[Sample[str]]) -> Key:
    """The option that every repeat names."""
    names = {one.value for one in samples}
    if len(names) != 1:
        raise CannotTell("The repeats do not agree.")
    return Key(names.pop(), repeat=_middle(samples, lambda one: one.lost).repeat)


# ---- what counts


def trusted(samples: Sequence[Sample]) -> Sequence[Sample]:  # type: ignore[type-arg]  # whatever they are of
    """Those that nothing disturbed, if there are two (or if only one was asked for); else all, and what somebody else
    took of the cores counts as uncertainty."""
    quiet = [one for one in samples if one.lost <= MOST]
    return quiet if len(quiet) >= min(2, len(samples)) else samples


def cut_of(counted: Sequence[Sample]) -> int:  # type: ignore[type-arg]
    """How many at either end do not count, for a key as for a claim: none of three, one of six, two of nine. The median
    lies between those that do in 75, 78 and 82 of 100 cases: as surely as before, and between fewer outliers."""
    return max(0, len(counted) // 3 - 1)


def untimed(samples: Sequence[Sample[T]]) -> list[Sample[T]]:
    """Of what does not depend on time: no disturbance counts against it."""
    return [one._replace(lost=0.0, calm=None) for one in samples]


def _samples(values: Sequence[Sample[float] | float]) -> list[Sample[float]]:
    """Plain numbers are repeats that nothing disturbed."""
    return [one if isinstance(one, Sample) else Sample(one, n) for n, one in enumerate(values)]


def _size(one: Sample[Sequence[float]]) -> float:
    """By which curves are ordered."""
    return sum(math.log(max(value, 1e-12)) for value in one.value)


def ends(one: Sample[T]) -> tuple[T, ...]:
    """Between these the truth lies."""
    return (one.value,) if one.calm is None else (one.value, one.calm)


def _ratio(above: float, below: float) -> float:
    if below <= 0:
        return 1.0 if above <= 0 else math.inf
    return above / below


def _middle(samples: Sequence[Sample], by) -> Sample:  # type: ignore[no-untyped-def, type-arg]
    """The median repeat; of an even number, the lower of the two in the middle."""
    return sorted(samples, key=by)[(len(samples) - 1) // 2]


def _scattered(counted: Sequence[Sample], found: str) -> str:  # type: ignore[type-arg]
    """Why these samples carry no verdict."""
    bad = [one.lost for one in counted if one.lost > MOST]
    if bad:
        share = percent(max(bad))
        disturbed = f"in {len(bad)} of {len(counted)} repeats" if len(counted) > 1 else "while it ran"
        return (
            f"Something else on this machine took up to {share} of a worker's time {disturbed}. {found}, "
            "and that is too wide for a verdict."
        )
    return f"The repeats do not agree. {found}, and that is too wide for a verdict."


# ---- guesses


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

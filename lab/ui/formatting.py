"""Values, runs and verdicts as text."""

from datetime import datetime
from math import ceil, floor, inf, log10

from engine.units import amount, percent
from lessons.evidence import Made
from lessons.keys import Key, Value, Verdict
from lessons.lesson import Round
from lessons.question import Answer, Choice, Curve, Number

ICONS = {"right": ":material/check_circle:", "close": ":material/adjust:", "off": ":material/cancel:"}


def asked_words(asked: Round, setting: float) -> str:
    """The question, and where the knob stood if it has one."""
    return f"{asked.asks} ({asked.knob.label}: {asked.knob.words(setting)})" if asked.knob else asked.asks


def in_words(answer: Answer, value: Value) -> str:
    """A guess or a measured value; for a curve, all of its points."""
    if isinstance(answer, Choice):
        return answer.options.get(str(value), str(value))
    if isinstance(value, str):
        return value
    if isinstance(answer, Curve):
        return ", ".join(amount(point) for point in value) + f" {answer.unit}".rstrip()
    return amount(value[0], answer.unit)


def measured_words(answer: Answer, value: Value) -> str:
    """The same where no axis stands beside it: a curve comes with its x values."""
    places = f" at {', '.join(map(amount, answer.x))} {answer.x_label}" if isinstance(answer, Curve) else ""
    return in_words(answer, value) + places


def spread(answer: Answer, key: Key) -> str:
    """The range of the repeats; "" where there is none."""
    if isinstance(answer, Choice | Curve) or not key.low or key.low == key.high:
        return ""
    return f"{amount(key.low[0])} to {amount(key.high[0], answer.unit)}"


def made_words(made: Made, key: Key | None = None) -> str:
    """How many runs, with which seeds and when, and what limits them and the key from them."""
    runs = "1 run" if made.runs == 1 else f"{made.runs} runs"
    first, last = made.seeds
    seeds = f"seed {first}" if first == last else f"seeds {first} to {last}"
    began, ended = (f"{datetime.fromisoformat(at):%H:%M}" for at in made.ended_at)
    when = f"at {ended}" if began == ended else f"from {began} to {ended}"
    said = f"{runs} with {seeds}, measured {when} UTC."
    if made.reused:
        said += f" {_of_them(made.reused, made.runs)} made before, with the same settings and seeds."
    if made.disturbed:
        said += f" {_of_them(made.disturbed, made.runs)} disturbed by something else on this machine."
    if key is not None and key.slowest:
        the = "At each point the" if len(key.value) > 1 else "The"
        who = f"{the} slowest repeat does" if key.slowest == 1 else f"{the} {key.slowest} slowest repeats do"
        said += f" {who} not count: much on a machine can slow a step, and nothing hastens one."
    if key is not None and key.cut:
        each = "" if key.cut == 1 else f"{key.cut} "
        said += f" The {each}least and the {each}greatest of the repeats do not count."
    return said


def _of_them(some: int, of: int) -> str:
    if some == of:
        return "It was" if of == 1 else "All of them were"
    return "1 of them was" if some == 1 else f"{some} of them were"


def verdict(answer: Answer, guess: Value, key: Key, judged: Verdict) -> str:
    """The verdict in one sentence; its meaning does not depend on colour."""
    if judged.word == "right":
        within = not isinstance(guess, str) and judged.off_by == 1.0
        return "Right, within the range of the repeats." if within else "Right."
    return f"{judged.word.capitalize()}: {times(answer, guess, key, judged)}."


def times(answer: Answer, guess: Value, key: Key, judged: Verdict) -> str:
    """How far off, as people say it: "it was 43 %, you said 60 %", "30 % too low", "too high by a factor of 2.3"."""
    if isinstance(guess, str) or isinstance(key.value, str):
        return "as you said" if judged.word == "right" else f"it was “{in_words(answer, key.value)}”"
    if judged.off_by == 0:
        return "zero is infinitely far from it" if min(guess) == 0 else "beyond comparison"
    factor = f"{judged.off_by:.2g}" if judged.off_by < 10 else f"{judged.off_by:,.0f}"
    if isinstance(answer, Curve):
        return f"off by a factor of {factor} on average"
    if isinstance(answer, Number) and answer.unit == "%":
        return f"it was {in_words(answer, key.value)}, you said {in_words(answer, guess)}"
    way = "high" if guess[0] > key.value[0] else "low"
    if judged.off_by < 2:
        return percent(abs(guess[0] / key.value[0] - 1)) + f" too {way}"
    return f"too {way} by a factor of {factor}"


def steps(low: float, high: float, log: bool) -> list[float]:
    """Readable stops for a slider from `low` to `high`; coarse on purpose."""
    if log and low > 0:
        decades = range(int(log10(low)) - 1, int(log10(high)) + 2)
        fine = (1, 1.2, 1.5, 1.8, 2.2, 2.7, 3.3, 4, 5, 6, 7, 8, 9)
        mantissas = fine if high / low <= 30 else (1, 1.5, 2, 3, 5, 7) if high / low <= 1e5 else (1, 2, 5)
        inner = [float(f"{m * 10.0**d:.6g}") for d in decades for m in mantissas]
    else:
        rough = (high - low) / 20
        power = 10.0 ** int(log10(rough) // 1)
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
        inner = [float(f"{n * step:.6g}") for n in range(int(low / step), int(high / step) + 1)]
    return [float(low), *(stop for stop in inner if low < stop < high), float(high)]


# by how many decades an axis has
MANTISSAS: dict[float, tuple[float, ...]] = {0.8: (1, 1.5, 2, 3, 5, 7), 2.2: (1, 2, 5), 4.0: (1, 3), inf: (1,)}


def ticks(low: float, high: float) -> list[float]:
    """Four to ten readable values on a logarithmic axis."""
    decades = log10(high / low)
    mantissas = next(digits for below, digits in MANTISSAS.items() if decades < below)
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    return [float(f"{m * 10.0**d:.6g}") for d in powers for m in mantissas if low <= m * 10.0**d <= high]


def middle(low: float, high: float, log: bool) -> float:
    """The middle of a range: the geometric mean on a logarithmic axis, where possible."""
    return (low * high) ** 0.5 if log and low > 0 else (low + high) / 2


def plain(text: str) -> str:
    """Text with its Markdown escaped."""
    return "".join("\\" + letter if letter in "\\`*_{}[]()<>#+-.!|~$:" else letter for letter in text)

"""A round as one learner may see it at this moment, and nothing else: one value for every host. No Streamlit.

The lesson page, the pages of a class and the notebook draw a `RoundView`. What is not in it cannot be shown too early:
`found` exists only once a guess is locked, or once an instructor has shown the answer.
"""

import re
from datetime import datetime
from typing import Literal

import msgspec

from lab.course.known import GUESS, TIMES, Chart, Known, Tested, known
from lab.course.tables import guess_alt, guess_table
from lab.scene.decisive import Decisive
from lab.ui.formatting import in_words, made_words, measured_words, middle, spread, steps, times, verdict
from lessons.book import Entry
from lessons.evidence import Evidence, Made
from lessons.keys import Key, Unclear, Value, Verdict, judged
from lessons.lesson import AsCook, Lesson, Round
from lessons.question import Choice, Curve, Number

SENTENCE = re.compile(r"(?<=[.!?])\s+")


# ---- what one may see


class NumberForm(msgspec.Struct, frozen=True, tag="number"):
    """A slider with readable `stops`, which begins `at` one, and an exact entry from `low` to `high`; in `unit`."""

    unit: str
    low: float
    high: float
    stops: tuple[float, ...]
    at: float


class ChoiceForm(msgspec.Struct, frozen=True, tag="choice"):
    """One of several answers."""

    options: tuple[tuple[str, str], ...]  # name, words


class CurveForm(msgspec.Struct, frozen=True, tag="curve"):
    """A value for each x, drawn by hand; in `unit`."""

    x: tuple[float, ...]
    x_label: str
    y_label: str
    unit: str
    low: float
    high: float
    log: bool
    log_x: bool


class KnobForm(msgspec.Struct, frozen=True):
    """What a learner chooses before the run, in words."""

    label: str
    values: tuple[tuple[float, str], ...]  # and what each is called


class Form(msgspec.Struct, frozen=True):
    """What a guess consists of. `knob`: None where there is none to turn."""

    value: NumberForm | ChoiceForm | CurveForm
    knob: KnobForm | None
    reasons: tuple[str, ...]


class Locked(msgspec.Struct, frozen=True):
    """The learner's own guess, in words."""

    value: str
    confidence: str
    knob: str
    reason: str
    at: str


class Reveal(msgspec.Struct, frozen=True, tag="reveal"):
    """`word`: the verdict, "" without a guess. `explains`: the lesson's words around the numbers of `one_of` repeats,
    "" without evidence. `unclear`: why the runs at hand can no longer tell. Texts are Markdown."""

    word: Literal["", "right", "close", "off"]
    headline: str
    chart: Chart
    explains: str
    one_of: int
    unclear: str
    shows: Chart | None
    moments: tuple[Decisive, ...]
    claims: tuple[Tested, ...]
    made: str
    limits: str
    noise: str
    cook: AsCook | None


class Untold(msgspec.Struct, frozen=True, tag="untold"):
    """This machine could not tell, and why; what the runs show nevertheless."""

    why: str
    shows: Chart | None
    made: str


class RoundView(msgspec.Struct, frozen=True):
    """`at`: this is question number so of `of`. `chosen`: where an instructor has put the knob, a sentence. `form`:
    None once a guess is locked. `opening`, `tells`: Markdown."""

    lesson: str
    number: int
    title: str
    name: str
    at: int
    of: int
    opening: str
    asks: str
    tells: str
    chosen: str
    form: Form | None
    locked: Locked | None
    found: Reveal | Untold | None


class InClass(msgspec.Struct, frozen=True):
    """The round in a class: where the knob stands, whether this learner `may_vote` now, and the `answer` once the
    instructor has shown it."""

    setting: float
    may_vote: bool
    answer: Key | None = None
    machine: str = ""
    made: Made | None = None


def round_view(
    lesson: Lesson,
    asked: Round,
    entry: Entry | None,
    evidence: Evidence | Known | None = None,
    of_class: InClass | None = None,
) -> RoundView:
    """`entry`: the learner's guess, if it is locked. `evidence`: what answers the round, as far as it is in memory; it
    shows only what may be seen by now."""
    if of_class is None:
        shows, opens = entry is not None, entry is None
    else:
        shows, opens = of_class.answer is not None, of_class.may_vote
    return RoundView(
        lesson=lesson.slug,
        number=lesson.number,
        title=lesson.title,
        name=asked.name,
        at=lesson.rounds.index(asked) + 1,
        of=len(lesson.rounds),
        opening=lesson.text("Opening"),
        asks=_for_all(asked.asks, asked, of_class),
        tells=_for_all(lesson.text(f"{asked.name} question"), asked, of_class),
        chosen=_chosen(asked, of_class),
        form=_form(asked, of_class) if opens else None,
        locked=_locked(asked, entry) if entry else None,
        found=_found(lesson, asked, entry, evidence, of_class) if shows else None,
    )


# ---- before the guess


def _for_all(text: str, asked: Round, of_class: InClass | None) -> str:
    """In a class the knob is the instructor's: what asks a learner to choose is left out."""
    if of_class is None or asked.knob is None:
        return text
    kept = [
        " ".join(one for one in SENTENCE.split(paragraph) if not re.search(r"\b[Cc]hoose\b", one))
        for paragraph in text.split("\n\n")
    ]
    return "\n\n".join(filter(None, kept)).removeprefix("Then ")


def _chosen(asked: Round, of_class: InClass | None) -> str:
    if of_class is None or asked.knob is None:
        return ""
    return f"Your instructor has chosen for everybody: {asked.knob.label}, {asked.knob.words(of_class.setting)}."


def _form(asked: Round, of_class: InClass | None) -> Form:
    knob = None
    if asked.knob is not None and of_class is None:
        words = asked.knob.words
        knob = KnobForm(asked.knob.label, tuple((value, words(value)) for value in asked.knob.values))
    value: NumberForm | ChoiceForm | CurveForm
    match asked.answer:
        case Number(unit, low, high, log):
            value = NumberForm(unit, low, high, tuple(steps(low, high, log)), middle(low, high, log))
        case Choice(options):
            value = ChoiceForm(tuple(options.items()))
        case Curve(x, x_label, y_label, unit, low, high, log, log_x):
            value = CurveForm(x, x_label, y_label, unit, low, high, log, log_x)
    return Form(value, knob, asked.reasons)


def _locked(asked: Round, entry: Entry) -> Locked:
    guess = entry.guess
    knob = f"{asked.knob.label}: {asked.knob.words(guess.setting)}" if asked.knob else ""
    at = f"{datetime.fromisoformat(entry.at):%d %b, %H:%M} UTC"
    return Locked(in_words(asked.answer, guess.value), guess.confidence, knob, guess.reason, at)


# ---- after it


def _found(
    lesson: Lesson, asked: Round, entry: Entry | None, evidence: Evidence | Known | None, of_class: InClass | None
) -> Reveal | Untold | None:
    told = known(lesson, asked, evidence, of_class=of_class is not None) if isinstance(evidence, Evidence) else evidence
    now = told.now if told else None
    key, judged_as, machine = _settled(entry, now, of_class)
    if key is None:
        if told is None or not isinstance(now, Unclear):
            return None  # not run yet
        return Untold(now.why, told.shows, made_words(told.made) if told.made else "")
    answer, how = asked.answer, "computed" if asked.computed else "measured"
    guess = entry.guess.value if entry else None
    headline = f"{how.capitalize()}: {measured_words(answer, key.value)}"
    if guess is not None and judged_as is not None:
        headline = verdict(answer, guess, key, judged_as)
    made = told.made if told else of_class.made if of_class else None
    return Reveal(
        word=judged_as.word if judged_as else "",
        headline=headline,
        chart=Chart(guess_alt(answer, guess, key, how), guess_table(answer, guess, key, how), guess, key, how),
        explains=_to_learner(asked, told, guess, judged_as) if told else "",
        one_of=told.repeats if told else 0,
        unclear=now.why if isinstance(now, Unclear) else "",
        shows=told.shows if told else None,
        moments=told.moments if told else (),
        claims=told.claims if told else (),
        made="" if asked.computed or made is None else made_words(made, key),
        limits=lesson.text("Limits"),
        noise="" if asked.computed else _noise(asked, key, machine),
        cook=asked.cook,
    )


def _settled(
    entry: Entry | None, now: Key | Unclear | None, of_class: InClass | None
) -> tuple[Key | None, Verdict | None, str]:
    """The key that counts, what it says of the guess, and where it was measured: the first outcome stays, whatever is
    run later."""
    if of_class is not None:
        key = of_class.answer
        return key, judged(entry.guess.value, key) if entry and key else None, of_class.machine
    assert entry is not None
    if entry.outcome is not None:
        return entry.outcome.key, entry.outcome.verdict, entry.outcome.machine
    if isinstance(now, Key):
        return now, judged(entry.guess.value, now), ""
    return None, None, ""


def _to_learner(asked: Round, told: Known, guess: Value | None, judged_as: Verdict | None) -> str:
    """The lesson's own words to one learner; without a guess, what speaks of one is left out."""
    if guess is not None and judged_as is not None and isinstance(told.now, Key):
        own = times(asked.answer, guess, told.now, judged_as)
        return told.explains.replace(GUESS, in_words(asked.answer, guess)).replace(TIMES, own)
    kept = [
        " ".join(one for one in SENTENCE.split(text) if not {GUESS, TIMES} & set(one))
        if {GUESS, TIMES} & set(text)
        else text
        for text in told.explains.split("\n\n")
    ]
    return "\n\n".join(filter(None, kept))


def _noise(asked: Round, key: Key, machine: str) -> str:
    between = spread(asked.answer, key)
    noise = f" The repeats gave {between}." if between else ""
    return f"Measured on {machine or 'this machine'}.{noise}"

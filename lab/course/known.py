"""What evidence says of a round to anybody, for rounds whose answer may be seen. No Streamlit."""

from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from engine.log import Log
from engine.metrics import summarize
from engine.stall import in_seconds
from lab.course.tables import Table, view_alt, view_table
from lab.scene.decisive import Decisive, decisive
from lab.ui.formatting import in_words
from lessons.evidence import Evidence, Made
from lessons.keys import Key, Unclear, Value
from lessons.lesson import Claim, Lesson, Round
from lessons.question import Bars, Lines

AS_LONG = 0.95  # of another gap, and it is not told besides
GUESS, TIMES = "\1", "\2"  # where the lesson's words speak of the guess, and of how far it was off


class Chart(msgspec.Struct, frozen=True):
    """`alt`: the same in a sentence, `table`: in numbers. `guess`, `key` and `how` the key came about, or `shows`."""

    alt: str
    table: Table
    guess: Value | None = None
    key: Key | None = None
    how: str = ""
    shows: Bars | Lines | None = None


class Tested(msgspec.Struct, frozen=True):
    """A claim on these runs. `holds` None: the repeats disagree. `where`: on whose."""

    says: str
    holds: bool | None
    where: str


class Known(NamedTuple):
    """`explains`: with marks where it speaks of the guess. `moments`: what decided the first and the last of the runs,
    in the repeat that gave the answer; empty if no answer stood still."""

    now: Key | Unclear
    explains: str
    repeats: int
    shows: Chart | None
    claims: tuple[Tested, ...]
    made: Made | None
    moments: tuple[Decisive, ...]


def known(lesson: Lesson, asked: Round, evidence: Evidence, *, of_class: bool = False) -> Known:
    """Everything that the evidence says about a round."""
    now = asked.finding(evidence)
    explains = ""
    if isinstance(now, Key):
        said = {"guess": GUESS, "times": TIMES, "measured": in_words(asked.answer, now.value)}
        explains = lesson.answer(asked, evidence, now, said)
    shown = asked.shown(evidence, now.repeat if isinstance(now, Key) else None)
    where = "in the computation" if asked.computed else "on the class's runs" if of_class else "on your runs"
    return Known(
        now,
        explains,
        len(evidence.repeats),
        Chart(view_alt(shown), view_table(shown), shows=shown) if shown is not None else None,
        tuple(_tested(claim, evidence, now, where) for claim in lesson.claims if claim.about == asked.name),
        evidence.made,
        _moments(asked, evidence, now),
    )


def _moments(asked: Round, evidence: Evidence, now: Key | Unclear) -> tuple[Decisive, ...]:
    if not asked.has_runs or asked.computed or not evidence.logs:
        return ()
    repeat = now.repeat if isinstance(now, Key) else 0
    names = list(dict.fromkeys((next(iter(evidence.logs)), list(evidence.logs)[-1])))
    logs = [evidence.logs[name][min(repeat, len(evidence.logs[name]) - 1)] for name in names]
    told = decisive(logs)
    if not any(one.waited for one in told):
        return ()
    titles = [asked.run_says.format(name) for name in names]
    return tuple(
        replace(one, title=title, says=one.says + _besides(log, one))
        for title, log, one in zip(titles, logs, told, strict=True)
    )


def _besides(log: Log, told: Decisive) -> str:
    """The longest gap of the run, of which the lesson's words may speak, where that is longer than what is told: it has
    another cause, or came when gaps had become so long that it was no stall."""
    longest_s = summarize(log.events).metrics.max_stall_s
    longer = told.waited and told.longest_s < AS_LONG * longest_s
    return f"; the longest gap of the run was {in_seconds(longest_s)}" if longer else ""


def _tested(claim: Claim, evidence: Evidence, now: Key | Unclear, where: str) -> Tested:
    holds = claim.holds(evidence, now.repeat if isinstance(now, Key) else None)
    return Tested(claim.otherwise or claim.says if holds is False else claim.says, holds, where)

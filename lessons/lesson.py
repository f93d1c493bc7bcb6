"""What a lesson is: rounds of guess, run, compare and understand, and claims that are tested.

A *round* asks one question. The learner's guess is locked (`lessons/book.py`); only then is the evidence gathered
(`lessons/evidence.py`) and the key computed from it. So no number in a lesson is typed in, and none can be read early.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from engine.scenario import Scenario
from lessons.evidence import Evidence
from lessons.keys import Key
from lessons.question import Answer, Bars, Lines
from lessons.words import table

TABLE = "<!-- words -->"  # where a text has the table of the three languages


@dataclass(frozen=True)
class Knob:
    """The one thing that the learner changes: its name, what it may be, and how each value is called."""

    label: str
    values: tuple[float, ...]
    words: Callable[[float], str] = "{:g}".format


@dataclass(frozen=True)
class Round:
    """One question and what answers it.

    `runs(setting)` names the scenarios to run, each of them `repeats` times with different seeds; a round without runs
    is answered from the evidence of the rounds before, or by `key` alone. `setting` is the knob's value, 0 without one.
    `numbers` are the words that the answer's text may use in braces, besides {guess}, {measured} and {times}.
    """

    name: str
    asks: str
    answer: Answer
    key: Callable[[Evidence], Key]
    reasons: tuple[str, ...] = ()
    runs: Callable[[float], Mapping[str, Scenario]] = lambda setting: {}
    repeats: int = 3
    knob: Knob | None = None
    numbers: Callable[[Evidence], Mapping[str, str]] = lambda evidence: {}
    view: Callable[[Evidence], Bars | Lines] | None = None
    needs_machine: bool = False

    @property
    def has_runs(self) -> bool:
        return bool(self.runs(self.knob.values[0] if self.knob else 0.0))


@dataclass(frozen=True)
class Claim:
    """A sentence of cause and effect, and the assertion that it is. Read against the evidence of the round `about`."""

    says: str
    about: str
    holds: Callable[[Evidence], bool]


@dataclass(frozen=True)
class Lesson:
    """`title` is a question or a paradox, `minutes` what it takes; `folder` holds `text.md`.

    text.md has a part for each moment, under these headings:

        ## Opening            what one needs to know first
        ## <round> question   before the guess          ## <round> answer     after it, with {numbers}
        ## Limits             what this shows and what it does not
        ## In the cluster     the same for those who run the machines
    """

    folder: Path
    title: str
    minutes: int
    rounds: tuple[Round, ...]
    claims: tuple[Claim, ...] = ()

    @property
    def slug(self) -> str:
        """`l04_cut_it_small` is "cut-it-small"."""
        return self.folder.name.partition("_")[2].replace("_", "-")

    @property
    def number(self) -> int:
        return int(self.folder.name.partition("_")[0][1:])

    def round(self, name: str) -> Round:
        return next(one for one in self.rounds if one.name == name)

    def sources(self, asked: Round) -> tuple[Round, ...]:
        """The rounds whose evidence answers this one: itself, and those before it if it has no runs of its own."""
        return (asked,) if asked.has_runs else self.rounds[: self.rounds.index(asked) + 1]

    def text(self, part: str) -> str:
        """The part under that heading; "" if there is none."""
        return self.parts().get(part, "")

    def parts(self) -> dict[str, str]:
        """All of text.md, by heading."""
        return self._parts

    @cached_property
    def _parts(self) -> dict[str, str]:
        _, *pieces = re.split(r"^## +(.+)$", (self.folder / "text.md").read_text("utf-8"), flags=re.MULTILINE)
        return {
            heading.strip(): body.strip().replace(TABLE, table())
            for heading, body in zip(pieces[::2], pieces[1::2], strict=True)
        }

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
from lessons.evidence import CannotTell, Evidence
from lessons.keys import Finding, Key, Unclear, cut_of, ends, trusted
from lessons.question import Answer, Bars, Lines
from lessons.words import table

TABLE = "<!-- words -->"  # where a text has the table of the three languages
ONLY_IF = re.compile(r"\[(not )?([a-z-]+)\] ")  # how a paragraph begins that depends on a claim


@dataclass(frozen=True)
class Knob:
    """The one thing that the learner changes: its name, what it may be, and how each value is called."""

    label: str
    values: tuple[float, ...]
    words: Callable[[float], str] = "{:g}".format


@dataclass(frozen=True)
class FreeKnob:
    """What the learner may turn once a question is answered, as often as they like: the simulator redraws at once.

    `runs(value)` are the scenarios with the knob at `value`; `at` is where the real runs had it. `numbers` are shown
    beside each other for the real repeat and for the simulated one, with their units in their names. `says`: one or
    two sentences, what to look for.
    """

    knob: Knob
    at: float
    says: str
    runs: Callable[[float], Mapping[str, Scenario]]
    numbers: Callable[[Evidence], Mapping[str, float]]


View = Callable[[Evidence, int | None], Bars | Lines]


@dataclass(frozen=True)
class AsCook:
    """The round once more, by the learner's own hands: what to try in the game, at which `level`, with which orders
    (`seed`). `says`: one or two sentences."""

    level: int
    seed: int
    says: str


@dataclass(frozen=True)
class Round:
    """One question and what answers it.

    `runs(setting)` names the scenarios to run, each of them `repeats` times with different seeds, and as often again
    while they carry no verdict, until there are `most_repeats`; a round without runs is answered from the evidence of
    the rounds before, or by `key` alone. `setting` is the knob's value, 0 without one.
    `key` may raise CannotTell: then this evidence carries no verdict. `numbers` are the words that the answer's text
    may use in braces, besides {guess}, {measured} and {times}, all of one repeat. `timed` False: nothing in the answer
    depends on time, so that one run is as good as ten, and a disturbed one as good as any. `computed`: the
    answer follows from formulas or a simulation, not from runs. `free`: a knob for afterwards. `cook`: a game.
    `run_says`: what a run is called where its name says too little, with {} for the name.
    """

    name: str
    asks: str
    answer: Answer
    key: Callable[[Evidence], Key]
    reasons: tuple[str, ...] = ()
    runs: Callable[[float], Mapping[str, Scenario]] = lambda setting: {}
    repeats: int = 3
    most_repeats: int = 0
    knob: Knob | None = None
    numbers: Callable[[Evidence], Mapping[str, str]] = lambda evidence: {}
    view: View | None = None
    needs_machine: bool = False
    timed: bool = True
    computed: bool = False
    free: FreeKnob | None = None
    cook: AsCook | None = None
    run_says: str = "{}"

    def finding(self, evidence: Evidence) -> Finding:
        """What this evidence answers, or why it does not."""
        try:
            return self.key(evidence)
        except CannotTell as why:
            return Unclear(str(why))

    def more_repeats(self, evidence: Evidence) -> range:
        """Those to make after the ones in this evidence."""
        made = len(evidence.repeats)
        undecided = made < self.most_repeats and isinstance(self.finding(evidence), Unclear)
        return range(made, made + self.repeats if undecided else made)

    def shown(self, evidence: Evidence, told: int | None = None) -> Bars | Lines | None:
        """What else the evidence shows, of the repeat `told`, which the answer is taken from; None if there is nothing,
        or not enough of it."""
        try:
            return self.view(evidence, told) if self.view else None
        except CannotTell:
            return None

    @property
    def has_runs(self) -> bool:
        return bool(self.runs(self.knob.values[0] if self.knob else 0.0))


@dataclass(frozen=True)
class Claim:
    """A sentence of cause and effect, and the test of it on one repeat of the round `about`.

    `otherwise` is said where the test fails: what this learner's runs show instead. By `name` a text refers to it.
    """

    says: str
    about: str
    test: Callable[[Evidence], bool]
    otherwise: str = ""
    name: str = ""

    def holds(self, evidence: Evidence, told: int | None = None) -> bool | None:
        """Whether the repeats that count show it, or none of them does. None: they disagree, or do not say; or all were
        disturbed, and would not have shown the same without. Of six repeats one does not count, as in a key.

        `told`: the repeat whose numbers stand beside the claim. None, too, where that one shows something else.
        """
        try:
            samples = trusted(evidence.each(lambda repeat: float(self.test(repeat))))
        except CannotTell:
            return None
        for holds in (True, False):
            others = [one.repeat for one in samples if set(ends(one)) != {float(holds)}]
            if len(others) <= cut_of(samples):
                return None if told in others else holds
        return None


@dataclass(frozen=True)
class Lesson:
    """`title` is a question or a paradox, `minutes` what it takes; `folder` holds `text.md`.

    text.md has a part for each moment, under these headings:

        ## Opening            what one needs to know first
        ## <round> question   before the guess          ## <round> answer     after it, with {numbers}
        ## Limits             what this shows and what it does not
        ## In the cluster     the same for those who run the machines

    In an answer, a paragraph that begins with [name] stands only where the claim of that name holds on the learner's
    own evidence, one that begins with [not name] only where it does not. Where repeats disagree, neither stands.
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
        """The rounds whose evidence answers this one: itself; all before it if it is measured, but not by runs of its
        own; none if it is computed."""
        if asked.has_runs or asked.computed:
            return (asked,) if asked.has_runs else ()
        return self.rounds[: self.rounds.index(asked) + 1]

    def answer(self, asked: Round, evidence: Evidence, key: Key, said: Mapping[str, str]) -> str:
        """The answer's text around the numbers of the key's repeat. `said`: what else it may name in braces."""
        one = evidence.repeats[min(key.repeat, len(evidence.repeats) - 1)]
        try:
            words = {**asked.numbers(one), **said}
        except CannotTell as why:
            return str(why)
        holds = {claim.name: claim.holds(evidence, key.repeat) for claim in self.claims if claim.about == asked.name}
        stands = []
        for paragraph in self.text(f"{asked.name} answer").split("\n\n"):
            if (condition := ONLY_IF.match(paragraph)) is None:
                stands.append(paragraph)
            elif holds[condition[2]] is (condition[1] is None):
                stands.append(paragraph[condition.end() :])
        return "\n\n".join(stands).format_map(words)

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

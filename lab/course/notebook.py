"""A lesson in Jupyter, with the guess lock, kitchen and comparison of the browser.

A notebook is run from top to bottom, again and again. So no cell stops the ones below it: what is missing is said, a
lock that exists is said, and nothing is run or revealed that was not guessed.
"""

import atexit
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from html import escape
from pathlib import Path
from types import EllipsisType
from typing import Any

from IPython.display import HTML, Markdown, display

from engine.errors import BadInput
from engine.live.process.front import Front
from engine.log import Log
from lab.course.chart_html import STYLE, drawn_html
from lab.course.known import Chart, Tested
from lab.course.moments_html import moments_html
from lab.course.view import Reveal, Untold, round_view
from lab.scene.bundle import SCENE
from lab.scene.export_html import export_kitchens, kitchen as scene
from lab.scene.share_card import share_card
from lab.ui.formatting import in_words, plain
from lessons import lesson as lesson_called
from lessons.book import Book, Entry, Guess, Outcome, now
from lessons.evidence import Evidence, Turn
from lessons.keys import Key, Value, judged
from lessons.lesson import Round
from lessons.live import gather, kitchen
from lessons.notebooks import PICTURE
from lessons.question import Confidence

BOOK = "SPLIT_KITCHEN_BOOK"  # where the guesses are kept; a file in the home folder unless set
FRAME = '<iframe title="{title}" style="width:100%;height:660px;border:0" srcdoc="{page}"></iframe>'


class Kitchen:
    """The browser's kitchen, replaying finished runs: a page in a frame, with all that it needs, so that it also plays
    in an exported notebook without a network."""

    def __init__(self, runs: Mapping[str, Log]) -> None:
        kitchens = [
            scene(log.events, name, id=f"k{n}") | {"simulated": not log.recorded_at}
            for n, (name, log) in enumerate(runs.items())
        ]
        title = "The kitchen: " + " and ".join(runs)
        self._frame = FRAME.format(title=escape(title), page=escape(export_kitchens(kitchens, title)))
        self._title = title

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": self._title, "text/html": self._frame}


class Still:
    """What decided these runs, on their own seconds, as a picture: for who reads the notebook where no script runs."""

    def __init__(self, logs: Sequence[Log]) -> None:
        self._picture = share_card(logs, fluid=True)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": "The decisive moments of the runs", "image/svg+xml": self._picture}


class Kit:
    """One lesson's rounds: `commit` a guess, `run`, `reveal`, in this order; each guess only once."""

    def __init__(self, slug: str, book: Book | None = None) -> None:
        found = lesson_called(slug)
        if found is None:
            raise BadInput("lesson", slug, "the name of a lesson")
        self._lesson = found
        self._book = book or Book(os.environ.get(BOOK, Path.home() / ".split-kitchen" / "notebooks.sqlite"), "notebook")
        self._own: dict[str, Evidence] = {}  # of each round's own runs
        self._ran: set[str] = set()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": f"{self._lesson.title} ({self._lesson.minutes} minutes)", "image/svg+xml": PICTURE}

    def commit(
        self,
        name: str,
        value: str | float | Sequence[float | EllipsisType] | EllipsisType = ...,
        *,
        setting: float = 0.0,
        sure: Confidence | EllipsisType = ...,
        reason: str = "",
    ) -> None:
        """Lock a guess. An ellipsis is none. Says what is missing or wrong, and what is locked already."""
        asked = self._round(name)
        if (entry := self._entry(asked)) is not None:
            _say(f"{_locked(asked, entry, 'is locked since')} It can't be changed; this cell has changed nothing.")
            return
        blank = value is ... or (isinstance(value, Sequence) and any(part is ... for part in value))
        missing = ["your guess"] * blank + ["how sure you are"] * (sure is ...)
        if blank or isinstance(sure, EllipsisType) or isinstance(value, EllipsisType):
            _say(f"Not locked yet: {' and '.join(missing)} still missing. Put it in place of `...`, and run this cell.")
            return
        try:
            entry = self._book.commit(self._lesson.slug, asked, Guess(_value(value), sure, reason, setting))
        except BadInput as wrong:
            _say(f"Not locked: {plain(str(wrong))}")
            return
        _say(_locked(asked, entry, "is locked,"))

    def run(self, name: str) -> Kitchen | None:
        """Make the round's runs, and show the first and the last of them. Without a guess nothing is run."""
        asked = self._round(name)
        entry = self._entry(asked)
        if entry is None:
            _say("No guess is locked, so nothing is run.")
            return None
        wanted = [one for one in self._lesson.sources(asked) if one.has_runs]
        if unguessed := [f"“{one.asks}”" for one in wanted if self._entry(one) is None]:
            _say("This is answered from earlier runs. Guess and run first: " + " ".join(unguessed))
            return None
        self._own.pop(name, None)
        for one in wanted:
            if one.name not in self._own:
                self._own[one.name] = self._gathered(one)
        self._ran.add(name)
        if not asked.has_runs:
            _say("Nothing to run here: the answer follows from earlier runs or from a computation.")
            return None
        runs = self._own[name].logs
        shown = {run: runs[run][0] for run in (next(iter(runs)), list(runs)[-1])}
        display(Still(list(shown.values())))
        return Kitchen(shown)

    def reveal(self, name: str) -> None:
        """Guess and measurement on one axis, and why; nothing before the guess and the run."""
        asked = self._round(name)
        entry = self._entry(asked)
        if entry is None:
            _say("No guess is locked, so nothing is revealed.")
            return
        if name not in self._ran:
            _say(f'Nothing is run yet: run `kit.run("{name}")` first, then this cell.')
            return
        evidence = Evidence()
        for one in self._lesson.sources(asked):
            evidence = self._own.get(one.name, Evidence()).joined(evidence)
        evidence = replace(evidence, setting=entry.guess.setting)
        found = round_view(self._lesson, asked, entry, evidence).found
        if isinstance(found, Untold):
            again = f'run `kit.run("{name}")` and this cell again.'
            _say(f"**This machine could not tell.** {found.why} Your guess is not scored: {again}")
            if found.shows is not None:
                _draw(asked, found.shows)
        elif found is not None:
            self._settle(asked, entry, found, evidence)
            _reveal(asked, found)

    def _settle(self, asked: Round, entry: Entry, found: Reveal, evidence: Evidence) -> None:
        """Keep the outcome, unless there is one: the first counts."""
        key = found.chart.key
        if entry.outcome is None and isinstance(key, Key):
            where = "" if asked.computed else next((logs[0].machine for logs in evidence.logs.values() if logs), "")
            self._book.settle(self._lesson.slug, asked.name, Outcome(key, judged(entry.guess.value, key), where, now()))

    def _gathered(self, asked: Round) -> Evidence:
        """The round's own runs, made now; what an earlier kernel ran is run again."""
        entry = self._entry(asked)
        assert entry is not None
        progress = _Progress(asked)
        evidence = gather(_front(), asked, entry.guess.setting, progress)
        progress.over()
        return evidence

    def _round(self, name: str) -> Round:
        names = [asked.name for asked in self._lesson.rounds]
        if name not in names:
            raise BadInput("round", name, "one of " + ", ".join(names))
        return self._lesson.round(name)

    def _entry(self, asked: Round) -> Entry | None:
        return self._book.entry(self._lesson.slug, asked.name)


# ---- what a cell says


def _say(text: str) -> None:
    display(Markdown(text))


def _locked(asked: Round, entry: Entry, how: str) -> str:
    guess = entry.guess
    return f"Your guess {how} {entry.at[:16].replace('T', ' ')} UTC: **{in_words(asked.answer, guess.value)}**, " + (
        f"{guess.confidence}."
    )


def _draw(asked: Round, chart: Chart) -> None:
    _html(drawn_html(asked, chart))


def _html(markup: str) -> None:
    display(HTML(f"<style>{STYLE}</style>{markup}"))


def _reveal(asked: Round, found: Reveal) -> None:
    _say(f"### {plain(found.headline)}")
    _draw(asked, found.chart)
    if found.unclear:
        _say(f"Your result stays as it was measured first. The runs at hand could not tell: {found.unclear}")
    _say(found.explains)
    if found.shows is not None:
        _draw(asked, found.shows)
    if found.moments:
        _html(f'{moments_html(asked, found)}<script type="module">{SCENE}</script>')
    if (cook := found.cook) is not None:
        _say(
            f"{cook.says} In the lab this is the page *Be the cook*, level {cook.level}, orders number {cook.seed}; in "
            "the notebook `be-the-cook.ipynb` you write what you would do there."
        )
    _say("\n\n".join([*map(_tested, found.claims), *filter(None, (found.made, found.noise))]))


def _tested(claim: Tested) -> str:
    how = "Your repeats disagree" if claim.holds is None else f"{'Holds' if claim.holds else 'Not so'} {claim.where}"
    return f"**{how}:** {claim.says}"


class _Progress:
    """One line of a cell, which says which run is on."""

    def __init__(self, asked: Round) -> None:
        self._asked = asked
        self._line: Any = None
        self._of = 0

    def __call__(self, turn: Turn, number: int, of: int) -> None:
        self._of = of
        self._write(f"Run {number + 1} of {of}: {self._asked.run_says.format(turn.name)}")

    def over(self) -> None:
        self._write(f"{self._of} runs made.")

    def _write(self, says: str) -> None:
        if self._line is None:
            self._line = display(Markdown(plain(says)), display_id=True)
        else:
            self._line.update(Markdown(plain(says)))


@cache
def _front() -> Front:
    """The workers, up until the notebook's kernel ends."""
    up = kitchen()
    front = up.__enter__()
    atexit.register(up.__exit__, None, None, None)
    return front


def _value(value: str | float | Sequence[float | EllipsisType]) -> Value:
    if isinstance(value, str):
        return value
    try:
        return tuple(float(part) for part in value) if isinstance(value, Sequence) else (float(value),)  # type: ignore[arg-type]
    except (TypeError, ValueError) as wrong:
        raise BadInput("guess", value, "a number, or a list of numbers") from wrong

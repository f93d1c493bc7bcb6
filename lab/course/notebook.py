"""A lesson in Jupyter, with the guess lock, kitchen and comparison of the browser."""

import atexit
import os
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.display import HTML, Markdown, display

from engine.errors import BadInput
from engine.live.process.front import Front
from engine.log import Log
from lab.course.reveal import guess_figure, guess_table, view_figure, view_table
from lab.scene.bundle import SCENE
from lab.scene.export_html import kitchen as scene
from lab.ui.formatting import in_words, times, verdict
from lessons import lesson as lesson_called
from lessons.book import Book, Entry, Guess, Outcome, now
from lessons.evidence import Evidence, Turn
from lessons.keys import Unclear, Value, judged
from lessons.lesson import Round
from lessons.live import gather, kitchen
from lessons.notebooks import PICTURE
from lessons.question import Choice, Confidence

BOOK = "SPLIT_KITCHEN_BOOK"  # where the guesses are kept; a file in the home folder unless set


class Kitchen(anywidget.AnyWidget):  # type: ignore[misc]
    """The browser's kitchen, replaying finished runs; a picture where no widget can be shown."""

    _esm = SCENE
    data = traitlets.Dict().tag(sync=True)

    def __init__(self, runs: Mapping[str, Log]) -> None:
        kitchens = [scene(log.events, name, id=f"k{n}") for n, (name, log) in enumerate(runs.items())]
        super().__init__(data={"kitchens": kitchens, "can": []})

    def _repr_mimebundle_(self, **asked: Any) -> Any:
        bundle = super()._repr_mimebundle_(**asked)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return {"text/plain": "The kitchen, replayed", "image/svg+xml": PICTURE, **data}, metadata


class Kit:
    """One lesson's rounds: `commit` a guess, `run`, `reveal`, in this order; each guess only once."""

    def __init__(self, slug: str, book: Book | None = None) -> None:
        found = lesson_called(slug)
        if found is None:
            raise BadInput("lesson", slug, "the name of a lesson")
        self._lesson = found
        self._book = book or Book(os.environ.get(BOOK, Path.home() / ".split-kitchen" / "notebooks.sqlite"), "notebook")
        self._evidence: dict[str, Evidence] = {}

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": f"{self._lesson.title} ({self._lesson.minutes} minutes)", "image/svg+xml": PICTURE}

    def commit(
        self,
        name: str,
        value: str | float | Sequence[float],
        *,
        setting: float = 0.0,
        sure: Confidence = "guessing",
        reason: str = "",
    ) -> None:
        """Lock a guess. Raises BadInput for an invalid guess, or if there is one already."""
        guess = Guess(_value(value), sure, reason, setting)
        entry = self._book.commit(self._lesson.slug, self._round(name), guess)
        display(Markdown(f"Locked at {entry.at}: **{in_words(self._round(name).answer, guess.value)}**, {sure}."))

    def run(self, name: str) -> Kitchen | None:
        """Make the round's runs, and show the first and the last of them. Raises BadInput without a guess."""
        asked, entry = self._round(name), self._locked(name)
        if not asked.has_runs:
            self._evidence[name] = self._earlier(asked)
            return None
        evidence = gather(_front(), asked, entry.guess.setting, _tell)
        self._evidence[name] = evidence.joined(self._earlier(asked))
        names = list(evidence.logs)
        return Kitchen({run: evidence.logs[run][0] for run in dict.fromkeys((names[0], names[-1]))})

    def reveal(self, name: str) -> None:
        """Guess and measurement on one axis, and why. Raises BadInput before the guess and the run."""
        asked, entry = self._round(name), self._locked(name)
        evidence = self._evidence.get(name)
        if evidence is None:
            raise BadInput("round", name, f'one that has been run: kit.run("{name}")')
        found = asked.finding(evidence)
        if isinstance(found, Unclear):
            self._unclear(asked, found)
            return
        key = found
        how = judged(entry.guess.value, key)
        where = "" if asked.computed else next((logs[0].machine for logs in evidence.logs.values() if logs), "")
        self._book.settle(self._lesson.slug, name, Outcome(key, how, where, now()))
        answer, guess = asked.answer, entry.guess.value
        made = "computed" if asked.computed else "measured"
        display(Markdown(f"**{verdict(answer, guess, key, how)}**"))
        if not isinstance(answer, Choice):
            display(guess_figure(answer, guess, key, made))
        display(HTML(_table(guess_table(answer, guess, key, made))))
        if (view := asked.shown(evidence)) is not None:
            display(view_figure(view), HTML(_table(view_table(view))))
        words = {
            "guess": in_words(answer, guess),
            "measured": in_words(answer, key.value),
            "times": times(answer, guess, key, how),
        }
        display(Markdown(self._lesson.answer(asked, evidence, key, words)))

    def _unclear(self, asked: Round, found: Unclear) -> None:
        """No verdict: the guess stays locked, and the cells can be run again."""
        again = f'run `kit.run("{asked.name}")` and this cell again.'
        display(Markdown(f"**This machine could not tell.** {found.why} Your guess is not scored: {again}"))

    def _earlier(self, asked: Round) -> Evidence:
        """The evidence of the rounds before; what an earlier kernel ran is run again."""
        joined = Evidence()
        for before in [one for one in self._lesson.sources(asked) if one is not asked]:
            if before.name not in self._evidence and self._book.entry(self._lesson.slug, before.name):
                self.run(before.name)
            joined = self._evidence.get(before.name, Evidence()).joined(joined)
        return joined

    def _round(self, name: str) -> Round:
        names = [asked.name for asked in self._lesson.rounds]
        if name not in names:
            raise BadInput("round", name, "one of " + ", ".join(names))
        return self._lesson.round(name)

    def _locked(self, name: str) -> Entry:
        entry = self._book.entry(self._lesson.slug, name)
        if entry is None:
            raise BadInput("guess", "missing", f'locked before the run: kit.commit("{name}", …)')
        return entry


@cache
def _front() -> Front:
    """The workers, up until the notebook's kernel ends."""
    up = kitchen()
    front = up.__enter__()
    atexit.register(up.__exit__, None, None, None)
    return front


def _tell(turn: Turn, number: int, of: int) -> None:
    print(f"\rRun {number + 1} of {of}: {turn.name}", end="", flush=True)  # noqa: T201 (a notebook's progress)


def _value(value: str | float | Sequence[float]) -> Value:
    if isinstance(value, str):
        return value
    return tuple(map(float, value)) if isinstance(value, Sequence) else (float(value),)


def _table(columns: Mapping[str, Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in zip(*columns.values(), strict=True)
    )
    return f"<table><tr>{head}</tr>{rows}</table>"

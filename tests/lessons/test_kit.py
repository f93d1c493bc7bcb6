"""The guess lock in a notebook: no cell stops the ones below it, and none reveals what was not guessed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput
from lab.course import notebook
from lab.course.notebook import Kit
from lessons import all_lessons
from lessons.book import Book
from lessons.lesson import Lesson
from lessons.question import Choice
from tests.lessons.guesses import guess_of
from tests.lessons.simulated import gathered

SLUG, ROUND = "at-scale", "check"  # a computed round: it needs no engine


class Screen:
    """What the cells have displayed, instead of a notebook."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def __call__(self, *things: Any, **_: Any) -> None:
        self.shown.extend(things)

    def __str__(self) -> str:
        return "\n".join(str(getattr(thing, "data", thing)) for thing in self.shown)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr(notebook, "display", screen)
    return screen


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "book.sqlite", "me")


@pytest.fixture
def kit(book: Book) -> Kit:
    return Kit(SLUG, book)


def commit(kit: Kit, lesson: Lesson, name: str) -> None:
    guess = guess_of(lesson.round(name))
    value = guess.value if isinstance(guess.value, str) else list(guess.value)
    kit.commit(name, value, setting=guess.setting, sure="guessing")


def test_without_a_guess_nothing_runs_and_nothing_is_revealed(kit: Kit, screen: Screen, book: Book) -> None:
    kit.commit(ROUND)
    kit.commit(ROUND, ...)
    kit.commit(ROUND, 5.0, sure=...)
    kit.commit(ROUND, [5.0, ...], sure="sure")
    assert kit.run(ROUND) is None
    kit.reveal(ROUND)
    assert book.entries() == []
    assert "your guess and how sure you are still missing" in str(screen)
    assert "nothing is run" in str(screen)
    assert "nothing is revealed" in str(screen)


def test_nothing_is_revealed_before_it_was_run(kit: Kit, screen: Screen) -> None:
    kit.commit(ROUND, 5.0, sure="sure")
    kit.reveal(ROUND)
    assert "Nothing is run yet" in str(screen)
    assert "omputed:" not in str(screen)


def test_a_locked_guess_is_said_and_cannot_be_replaced(kit: Kit, screen: Screen, book: Book) -> None:
    kit.commit(ROUND, 5.0, sure="sure")
    kit.commit(ROUND, 6.0, sure="guessing")
    (entry,) = book.entries()
    assert (entry.guess.value, entry.guess.confidence) == ((5.0,), "sure")
    assert "is locked since" in str(screen)
    assert "can't be changed" in str(screen)


@pytest.mark.parametrize("wrong", ["many", [1.0, 2.0], 1e9, ["a"], None])
def test_an_invalid_guess_is_said_and_locks_nothing(kit: Kit, screen: Screen, book: Book, wrong: Any) -> None:
    kit.commit(ROUND, wrong, sure="sure")
    assert "Not locked: guess" in str(screen)
    assert book.entries() == []


def test_an_unknown_name_lists_the_valid_ones(kit: Kit, book: Book) -> None:
    with pytest.raises(BadInput, match="pools, check"):
        kit.commit("chek", 5.0)
    with pytest.raises(BadInput, match="name of a lesson"):
        Kit("no-lesson", book)


def test_run_all_again_in_a_new_kernel_says_the_lock_and_keeps_the_outcome(screen: Screen, book: Book) -> None:
    for _ in range(2):
        kit = Kit(SLUG, book)
        kit.commit(ROUND, 5.0, sure="sure")
        kit.run(ROUND)
        kit.reveal(ROUND)
        kit.commit(ROUND, 9.0, sure="sure")
        (entry,) = book.entries()
        assert entry.guess.value == (5.0,)
        assert entry.outcome is not None
    assert str(screen).count("### ") == 2, "revealed each time"


def test_what_earlier_runs_answer_asks_for_them_first(
    screen: Screen, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "_front", lambda: None)
    whole = next(one for one in all_lessons() if sum(asked.has_runs for asked in one.rounds) > 1)
    first, second = [asked for asked in whole.rounds if asked.has_runs][:2]
    later = replace(second, runs=lambda setting: {}, computed=False)  # none of the course does this today
    lesson = replace(whole, rounds=(replace(second, name=first.name), later))
    monkeypatch.setattr(notebook, "lesson_called", lambda slug: lesson)
    made: list[str] = []

    def gather(front: object, asked: Any, *_: object) -> Any:
        made.append(asked.name)
        return gathered(lesson, asked)

    monkeypatch.setattr(notebook, "gather", gather)
    kit = Kit(lesson.slug, book)
    commit(kit, lesson, later.name)
    kit.run(later.name)
    assert "Guess and run first" in str(screen)
    assert made == []
    wanted = [one.name for one in lesson.sources(later) if one.has_runs]
    for name in wanted:
        commit(kit, lesson, name)
    kit.run(later.name)
    kit.reveal(later.name)
    assert made == wanted
    entry = book.entry(lesson.slug, later.name)
    assert entry is not None
    assert entry.outcome is not None


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.slug)
def test_no_answer_is_on_screen_in_the_kernel_or_on_disk_before_guess_and_run(
    lesson: Lesson, book: Book, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_early(*_: object) -> None:
        pytest.fail("the engine was asked before the guess was locked")

    monkeypatch.setattr(notebook, "gather", too_early)
    kit = Kit(lesson.slug, book)
    for asked in lesson.rounds:
        kit.run(asked.name)
        kit.reveal(asked.name)
        assert [entry.outcome for entry in book.entries()] == [None] * lesson.rounds.index(asked)
        commit(kit, lesson, asked.name)
        kit.reveal(asked.name)
    said = f"{screen}\n{kit._repr_mimebundle_()}"
    for asked in lesson.rounds:
        assert not [line for line in filter(None, lesson.text(f"{asked.name} answer").splitlines()) if line in said]
    assert len(screen.shown) == 4 * len(lesson.rounds), "one sentence a cell"
    assert b'"key"' not in book.export()
    assert not kit._own


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.slug)
def test_what_is_revealed_can_be_read_where_no_script_runs(
    lesson: Lesson, book: Book, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kitchen's still, the sentence, and every number of the charts as a table."""
    monkeypatch.setattr(notebook, "_front", lambda: None)
    monkeypatch.setattr(
        notebook,
        "gather",
        lambda front, asked, *_: gathered(lesson, asked) if asked.has_runs else pytest.fail("nothing to run"),
    )
    kit = Kit(lesson.slug, book)
    for asked in lesson.rounds:
        commit(kit, lesson, asked.name)
        kitchen = kit.run(asked.name)
        kit.reveal(asked.name)
        if asked.has_runs:
            assert kitchen is not None
            assert "srcdoc" in kitchen._repr_mimebundle_()["text/html"]
    stills = [one for one in screen.shown if isinstance(one, notebook.Still)]
    assert len(stills) == sum(asked.has_runs for asked in lesson.rounds)
    assert all("<svg" in one._repr_mimebundle_()["image/svg+xml"] for one in stills)
    assert str(screen).count("### ") == len(lesson.rounds)
    assert str(screen).count("ch-table") >= len(lesson.rounds)
    assert sum(not isinstance(asked.answer, Choice) for asked in lesson.rounds) <= str(screen).count('role="img"')

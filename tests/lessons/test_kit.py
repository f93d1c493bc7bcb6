"""The guess lock in a notebook."""

from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput
from lab.course import notebook
from lab.course.notebook import Kit
from lessons import all_lessons
from lessons.book import Book
from lessons.lesson import Lesson
from tests.lessons.guesses import guess_of

SLUG, ROUND = "at-scale", "check"  # a computed round: it needs no engine


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(SLUG, Book(tmp_path / "book.sqlite", "me"))


def test_without_a_guess_nothing_runs(kit: Kit) -> None:
    with pytest.raises(BadInput, match="locked before the run"):
        kit.run(ROUND)
    with pytest.raises(BadInput, match="locked before the run"):
        kit.reveal(ROUND)


def test_nothing_is_revealed_before_it_was_run(kit: Kit) -> None:
    kit.commit(ROUND, 5.0)
    with pytest.raises(BadInput, match="has been run"):
        kit.reveal(ROUND)


def test_a_locked_guess_cannot_be_replaced(kit: Kit) -> None:
    kit.commit(ROUND, 5.0)
    with pytest.raises(BadInput, match="yours is locked"):
        kit.commit(ROUND, 6.0)


@pytest.mark.parametrize("wrong", ["many", [1.0, 2.0], 1e9])
def test_an_invalid_guess_is_rejected(kit: Kit, wrong: str | float | list[float]) -> None:
    with pytest.raises(BadInput, match="guess"):
        kit.commit(ROUND, wrong)


def test_an_unknown_name_lists_the_valid_ones(kit: Kit, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="pools, check"):
        kit.commit("chek", 5.0)
    with pytest.raises(BadInput, match="name of a lesson"):
        Kit("no-lesson", Book(tmp_path / "book.sqlite", "me"))


def test_a_guess_cannot_change_after_the_reveal(kit: Kit) -> None:
    kit.commit(ROUND, 5.0)
    kit.run(ROUND)
    kit.reveal(ROUND)
    with pytest.raises(BadInput, match="yours is locked"):
        kit.commit(ROUND, 9.0)


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.slug)
def test_no_answer_is_on_screen_in_the_kernel_or_on_disk_before_guess_and_run(
    lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []

    def too_early(*_: object) -> None:
        pytest.fail("the engine was asked before the guess was locked")

    monkeypatch.setattr(notebook, "display", lambda *things: shown.extend(things))
    monkeypatch.setattr(notebook, "gather", too_early)
    book = Book(tmp_path / "book.sqlite", "me")
    kit = Kit(lesson.slug, book)
    for asked in lesson.rounds:
        for early in (kit.run, kit.reveal):
            with pytest.raises(BadInput, match="locked before the run"):
                early(asked.name)
        assert [entry.outcome for entry in book.entries()] == [None] * lesson.rounds.index(asked)
        guess = guess_of(asked)
        value = guess.value if isinstance(guess.value, str) else list(guess.value)
        kit.commit(asked.name, value, setting=guess.setting)
        with pytest.raises(BadInput, match="has been run"):
            kit.reveal(asked.name)
    said = "\n".join(str(getattr(thing, "data", thing)) for thing in (*shown, kit._repr_mimebundle_()))
    for asked in lesson.rounds:
        assert not [line for line in filter(None, lesson.text(f"{asked.name} answer").splitlines()) if line in said]
    assert len(shown) == len(lesson.rounds), "only that the guess is locked"
    assert b'"key"' not in book.export()
    assert not any(isinstance(kept, notebook.Kitchen) for kept in vars(kit).values())
    assert not kit._evidence

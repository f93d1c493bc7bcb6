"""The guess lock, as it holds in a notebook."""

from pathlib import Path

import pytest

from engine.errors import BadInput
from lab import notebook
from lab.notebook import Kit
from lessons import all_lessons
from lessons.book import Book
from lessons.lesson import Lesson

SLUG, ROUND = "at-scale", "check"  # a round that is computed: it takes no engine


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(SLUG, Book(tmp_path / "book.sqlite", "me"))


def test_without_a_guess_nothing_runs(kit: Kit) -> None:
    with pytest.raises(BadInput, match="locked before the run"):
        kit.run(ROUND)
    with pytest.raises(BadInput, match="locked before the run"):
        kit.reveal(ROUND)


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.slug)
def test_a_notebook_s_state_holds_no_answer_before_the_guess(
    lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In no round of any lesson: no worker is started, nothing is gathered, shown or written down."""

    def asked_too_early() -> None:
        raise AssertionError("the engine was asked before the guess was locked")

    monkeypatch.setattr(notebook, "_front", asked_too_early)
    kept = Book(tmp_path / "book.sqlite", "me")
    kit = Kit(lesson.slug, kept)
    for asked in lesson.rounds:
        for act in (kit.run, kit.reveal):
            with pytest.raises(BadInput, match="locked before the run"):
                act(asked.name)
    assert kit._evidence == {}
    assert kept.export() == b""
    assert capsys.readouterr().out == ""
    assert set(kit._repr_mimebundle_()) == {"text/plain", "image/svg+xml"}


def test_nothing_is_revealed_that_was_not_run(kit: Kit) -> None:
    kit.commit(ROUND, 5.0)
    with pytest.raises(BadInput, match="has been run"):
        kit.reveal(ROUND)


def test_a_guess_is_locked_for_good(kit: Kit) -> None:
    kit.commit(ROUND, 5.0)
    with pytest.raises(BadInput, match="yours is locked"):
        kit.commit(ROUND, 6.0)


@pytest.mark.parametrize("wrong", ["many", [1.0, 2.0], 1e9])
def test_what_is_no_answer_is_refused(kit: Kit, wrong: str | float | list[float]) -> None:
    with pytest.raises(BadInput, match="guess"):
        kit.commit(ROUND, wrong)


def test_an_unknown_name_says_what_there_is(kit: Kit, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="crowd, more, check"):
        kit.commit("chek", 5.0)
    with pytest.raises(BadInput, match="name of a lesson"):
        Kit("no-lesson", Book(tmp_path / "book.sqlite", "me"))


def test_after_the_reveal_a_guess_can_not_change(kit: Kit) -> None:
    kit.commit(ROUND, 5.0)
    kit.run(ROUND)
    kit.reveal(ROUND)
    with pytest.raises(BadInput, match="yours is locked"):
        kit.commit(ROUND, 9.0)

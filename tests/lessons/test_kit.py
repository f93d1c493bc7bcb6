"""The guess lock, as it holds in a notebook."""

from pathlib import Path

import pytest

from engine.errors import BadInput
from lab.notebook import Kit
from lessons.book import Book

SLUG, ROUND = "at-scale", "check"  # a round that is computed: it takes no engine


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(SLUG, Book(tmp_path / "book.sqlite", "me"))


def test_without_a_guess_nothing_runs(kit: Kit) -> None:
    with pytest.raises(BadInput, match="locked before the run"):
        kit.run(ROUND)
    with pytest.raises(BadInput, match="locked before the run"):
        kit.reveal(ROUND)


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

"""Notebooks are generated from the lessons, contain no results, and run from top to bottom."""

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from lessons import all_lessons
from lessons.book import Book, Guess
from lessons.lesson import Lesson
from lessons.live import FAST
from lessons.notebooks import FOLDER, file_name, notebook
from lessons.notebooks.page import FILE
from tests.lessons.guesses import guess_of
from tests.patience import PATIENCE_S

each_lesson = pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.slug)


@each_lesson
def test_it_is_what_its_lesson_generates(lesson: Lesson) -> None:
    assert (FOLDER / file_name(lesson)).read_bytes() == notebook(lesson), "run: python -m lessons.notebooks"


@each_lesson
def test_it_is_valid_and_contains_one_picture_and_no_answer(lesson: Lesson) -> None:
    book = nbformat.reads(notebook(lesson).decode(), as_version=4)
    nbformat.validate(book)
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [list(output.data) for output in outputs] == [["image/svg+xml"]]
    text = notebook(lesson).decode()
    assert not any(lesson.text(f"{asked.name} answer")[:60] in text for asked in lesson.rounds)


def test_there_are_no_others() -> None:
    assert {path.name for path in FOLDER.glob("*.ipynb")} == {*map(file_name, all_lessons()), FILE.name}


@each_lesson
def test_no_guess_is_filled_in(lesson: Lesson) -> None:
    book = nbformat.reads(notebook(lesson).decode(), as_version=4)
    commits = [cell.source for cell in book.cells if cell.source.startswith("kit.commit(")]
    assert len(commits) == len(lesson.rounds)
    for said in commits:
        call = ast.parse(said).body[0].value
        parts = [call.args[1], next(word.value for word in call.keywords if word.arg == "sure")]
        for part in parts:
            blanks = part.elts if isinstance(part, ast.List) else [part]
            assert {ast.unparse(one) for one in blanks} == {"..."}


def run_all(lesson: Lesson) -> nbformat.NotebookNode:
    book = nbformat.reads(notebook(lesson).decode(), as_version=4)
    NotebookClient(book, timeout=int(PATIENCE_S), kernel_name="python3").execute()
    return book


def html_of(book: nbformat.NotebookNode) -> str:
    html: str = HTMLExporter().from_notebook_node(book)[0]
    return html


def test_run_all_stops_nowhere_and_reveals_only_what_was_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A computed round, so that no engine is needed; the second time its outcome is there."""
    monkeypatch.setenv("SPLIT_KITCHEN_BOOK", str(tmp_path / "book.sqlite"))
    lesson = next(one for one in all_lessons() if one.slug == "at-scale")
    Book(tmp_path / "book.sqlite", "notebook").commit(lesson.slug, lesson.round("check"), Guess((5.0,), "sure"))
    for _ in range(2):
        html = html_of(run_all(lesson))
        assert html.count("nothing is revealed") == len(lesson.rounds) - 1
        assert html.count("is locked since") == 1
        assert html.count('role="img"') == 1
        assert 'class="ch-table"' in html


@pytest.mark.claims
@pytest.mark.live
@each_lesson
def test_a_lesson_from_top_to_bottom_twice(lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FAST, "1")
    monkeypatch.setenv("SPLIT_KITCHEN_BOOK", str(tmp_path / "book.sqlite"))
    book = Book(tmp_path / "book.sqlite", "notebook")
    for asked in lesson.rounds:
        book.commit(lesson.slug, asked, guess_of(asked))
    for _ in range(2):
        html = html_of(run_all(lesson))
        assert html.count("is locked since") == len(lesson.rounds)
        assert html.count("<iframe") == sum(asked.has_runs for asked in lesson.rounds)

"""Notebooks are generated from the lessons, contain no results, and run from top to bottom."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from lessons import all_lessons
from lessons.lesson import Lesson
from lessons.live import FAST
from lessons.notebooks import FOLDER, file_name, notebook
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
    assert {path.name for path in FOLDER.glob("*.ipynb")} == set(map(file_name, all_lessons()))


@pytest.mark.claims
@pytest.mark.live
@each_lesson
def test_it_runs_from_top_to_bottom(lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FAST, "1")
    monkeypatch.setenv("SPLIT_KITCHEN_BOOK", str(tmp_path / "book.sqlite"))
    book = nbformat.reads(notebook(lesson).decode(), as_version=4)
    NotebookClient(book, timeout=int(PATIENCE_S), kernel_name="python3").execute()
    shown = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("text/html" in output.get("data", {}) for output in shown) >= len(lesson.rounds)

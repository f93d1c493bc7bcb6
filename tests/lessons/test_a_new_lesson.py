"""A lesson is one folder; nothing else needs to know about it."""

import subprocess
import sys
from pathlib import Path

import pytest

import lessons
from lessons.notebooks import FOLDER, file_name, notebook
from tests.lab.conftest import with_sample

LESSON = """
from pathlib import Path

from lessons.keys import number
from lessons.lesson import Lesson, Round
from lessons.question import Number

LESSON = Lesson(
    Path(__file__).parent,
    title="Is this one new?",
    minutes=1,
    rounds=(Round("check", "How many?", Number("", 1, 100), key=lambda evidence: number([12.0])),),
)
"""


def test_a_new_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "l13_made_up"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "lesson.py").write_text(LESSON)
    (folder / "text.md").write_text("## Opening\nHello.\n")
    monkeypatch.setattr(lessons, "__path__", [*lessons.__path__, str(tmp_path)])
    lessons.all_lessons.cache_clear()
    try:
        found = lessons.lesson("made-up")
    finally:
        lessons.all_lessons.cache_clear()
    assert found is not None
    assert (found.number, found.title) == (13, "Is this one new?")
    assert found.text("Opening") == "Hello."
    assert file_name(found) == "13-made-up.ipynb"
    assert b"Is this one new?" in notebook(found)


def test_the_command_writes_its_notebook_and_leaves_the_others_unchanged(tmp_path: Path) -> None:
    """test_a_lesson_by_keyboard goes through the same lesson in the app."""
    folder = with_sample(tmp_path / "project") / "lessons" / "notebooks"
    subprocess.run([sys.executable, "-m", "lessons.notebooks"], cwd=tmp_path / "project", check=True)
    assert "99-a-sample.ipynb" in {path.name for path in folder.glob("*.ipynb")}
    for path in FOLDER.glob("*.ipynb"):
        assert (folder / path.name).read_bytes() == path.read_bytes()

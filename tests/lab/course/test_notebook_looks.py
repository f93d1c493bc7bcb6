"""A lesson's cells as a browser shows them, exported and offline: accessible in both of Jupyter's colours, wide and
narrow."""

from pathlib import Path
from typing import Any, Literal

import nbformat
import pytest
from IPython.core.formatters import DisplayFormatter
from nbconvert import HTMLExporter
from playwright.sync_api import Browser

from lab.course import notebook
from lab.course.notebook import Kit
from lessons import all_lessons
from lessons.book import Book
from tests.lab.looks import faults
from tests.lessons.guesses import guess_of
from tests.lessons.simulated import gathered

# A number with its decisive moments, a drawn curve, a choice, and an answer that is computed.
ROUNDS = {"one-station": ("freeze", "check"), "cut-it-small": ("curve",), "at-scale": ("pools",)}
OURS = ".jp-OutputArea-output"  # the page around them is nbconvert's


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[nbformat.NotebookNode]:
    """What guess, run and reveal display, on simulated runs."""
    shown: list[Any] = []
    formats = DisplayFormatter().format

    def display(*things: Any, **_: Any) -> None:
        for thing in things:
            data, metadata = formats(thing)
            shown.append(nbformat.v4.new_output("display_data", data, metadata=metadata))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebook, "display", display)
        patch.setattr(notebook, "_front", lambda: None)
        for lesson in all_lessons():
            patch.setattr(notebook, "gather", lambda _, asked, *__, of=lesson: gathered(of, asked))
            kit = Kit(lesson.slug, Book(Path(tmp_path_factory.mktemp("book"), "book.sqlite"), "me"))
            for name in ROUNDS.get(lesson.slug, ()):
                guess = guess_of(lesson.round(name))
                value = guess.value if isinstance(guess.value, str) else list(guess.value)
                kit.commit(name, value, setting=guess.setting, sure="sure")
                display(*filter(None, [kit.run(name)]))
                kit.reveal(name)
    return [nbformat.v4.new_code_cell("kit.reveal(...)", outputs=shown)]


@pytest.mark.browser
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_guess_run_and_reveal(
    browser: Browser, tmp_path: Path, cells: list[nbformat.NotebookNode], theme: Literal["light", "dark"], width: int
) -> None:
    html, _ = HTMLExporter(theme=theme).from_notebook_node(nbformat.v4.new_notebook(cells=cells))
    file = tmp_path / "lesson.html"
    file.write_text(html)
    with browser.new_context(
        offline=True, viewport={"width": width, "height": 844}, color_scheme=theme, reduced_motion="reduce"
    ) as window:
        page = window.new_page()
        page.goto(file.as_uri())
        assert page.locator(f"{OURS} .ch-table").count() >= sum(map(len, ROUNDS.values()))
        assert page.locator(f"{OURS} iframe").count() == 3
        assert page.locator(f"{OURS} .sk-still").count() > 0
        assert faults(page, within=OURS) == []
        assert (
            page.locator(OURS).evaluate_all("all => all.filter((one) => one.scrollWidth > one.clientWidth).length") == 0
        )

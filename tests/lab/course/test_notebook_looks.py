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

# What is around an output in VS Code: a document without a background of its own, in which the editor's shows. Its
# rules for tables, its element names and what tells its theme are those of src/vs/workbench/contrib/notebook there.
VS_CODE = """<!doctype html><html lang="en" style="--vscode-editor-foreground: {ink}"><head><title>notebook</title>
<style>
body {{ background: transparent; color: var(--vscode-editor-foreground); font: 13px system-ui, sans-serif; margin: 0 }}
table, thead, tr, th, td, tbody {{ border: none !important; border-spacing: 0; border-collapse: collapse }}
table, th, tr {{ vertical-align: middle; text-align: right }} th, td {{ padding: 4px 8px }}
thead {{ font-weight: bold; background-color: rgba(130, 130, 130, .16) }} tbody th {{ font-weight: normal }}
tr:nth-child(even) {{ background-color: rgba(130, 130, 130, .08) }}
#container > div > div:not(.preview) > div {{ overflow-x: auto }}
</style></head>
<body class="vscode-{theme}" data-vscode-theme-kind="vscode-{theme}"><div id="container">{cells}</div></body></html>"""
EDITOR = {"light": ("#ffffff", "#3b3b3b"), "dark": ("#1f1f1f", "#cccccc")}  # paper and ink of its own two themes


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


@pytest.mark.browser
@pytest.mark.parametrize(("theme", "system"), [("light", "dark"), ("dark", "light")])
def test_in_vs_code_whatever_the_system_wears(
    browser: Browser, tmp_path: Path, cells: list[nbformat.NotebookNode], theme: str, system: Literal["light", "dark"]
) -> None:
    paper, ink = EDITOR[theme]
    outputs = [output.data["text/html"] for cell in cells for output in cell.outputs if "text/html" in output.data]
    shown = "".join(f'<div><div><div class="output">{html}</div></div></div>' for html in outputs)
    file = tmp_path / "webview.html"
    file.write_text(VS_CODE.format(ink=ink, theme=theme, cells=shown))
    with browser.new_context(offline=True, viewport={"width": 900, "height": 844}, color_scheme=system) as window:
        page = window.new_page()
        page.goto(file.as_uri())
        page.locator(".sk-still").first.wait_for()
        assert set(page.locator(".sk").evaluate_all("all => all.map((one) => one.dataset.theme)")) == {theme}
        page.add_style_tag(content=f"html {{ background: {paper} }}")  # the editor, as it shows through
        assert faults(page, within=".output") == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 900

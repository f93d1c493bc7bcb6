"""Pages about the code that would otherwise rot: what they name is there, and what is there they name."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = [
    path.relative_to(ROOT).as_posix()
    for package in ("engine", "lab", "lessons")
    for path in sorted((ROOT / package).rglob("*.py"))
]
EMPTY = 5  # an __init__.py of fewer lines says nothing of its own
NAMED = [
    path
    for path in MODULES
    if not re.match(r"lessons/l\d", path)
    and not (path.endswith("__init__.py") and len((ROOT / path).read_text().splitlines()) < EMPTY)
]


@pytest.mark.parametrize("path", NAMED)
def test_the_architecture_page_has_a_line_for_it(path: str) -> None:
    assert f"- `{path}`: " in (ROOT / "docs/architecture.md").read_text()


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_files_that_a_page_names_are_there(page: str) -> None:
    text = (ROOT / page).read_text()
    named = set(re.findall(r"`((?:engine|lab|lessons|assets|tests|docs)/[\w./-]+)`", text))
    linked = {link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link}
    base = (ROOT / page).parent
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert [link for link in linked if not (base / link).exists()] == []


def test_commands_in_the_readme_exist() -> None:
    from lab.web.cli import cli

    named = set(re.findall(r"split-kitchen ([a-z]+)", (ROOT / "README.md").read_text()))
    assert named <= set(cli.commands)


def test_make_targets_in_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z-]+)`?", (ROOT / "README.md").read_text())) <= targets

"""What the documentation names exists: paths, links, commands, options, make targets, variables, Python names.

Each check is a function from a page's text to what is wrong with it, and is itself tried on a page that is wrong.
"""

import ast
import pkgutil
import re
import shlex
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from lab.web.cli import cli
from tests.click_groups import commands

ROOT = Path(__file__).parents[1]
RECORDS = sorted((ROOT / "docs/decisions").glob("0*.md"))
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *(ROOT / "docs").rglob("*.md")]
TOP = r"\.streamlit|assets|deploy|docs|engine|lab|lessons|tests"
SOURCES = [ROOT / "Dockerfile", *(ROOT / "deploy").rglob("*.yaml"), *ROOT.glob("compose*.yaml")] + [
    path for folder in ("engine", "lab", "lessons") for path in (ROOT / folder).rglob("*.py")
]


def code(text: str) -> Iterator[str]:
    """Each line of a fenced block (continued lines joined, what explains them left off), and each inline span."""
    fence = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
    for block in fence.findall(text):
        for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines():
            yield re.split(r"\s{4,}", line.strip())[0]
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", fence.sub("", text)))


def missing_paths(text: str, folder: Path = ROOT) -> list[str]:
    """Files named in code from the root on, `*` allowed, and files that are linked to from `folder`."""
    named = {path for one in code(text) for path in re.findall(rf"(?<![\w./:-])(?:{TOP})/[\w./*-]*", one)}
    linked = {link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link}
    return sorted(
        [name for name in named if not any(ROOT.glob(name.rstrip("/.")))]
        + [link for link in linked if not (folder / link).exists()]
    )


def wrong_commands(text: str) -> list[str]:
    """Lines that `split-kitchen` would not take; its name may be left off, as in `bench class`."""
    return [line for line in map(_arguments, code(text)) if line and not _taken(shlex.split(line))]


def _arguments(line: str) -> str:
    _, program, arguments = line.rpartition("split-kitchen ")
    if program:
        return arguments
    return line if line.split(maxsplit=1)[:1] and line.split()[0] in commands(cli) and "=" not in line else ""


def _taken(words: list[str]) -> bool:
    command: click.Command = cli
    options: set[str] = {"--help", "--version"}
    while True:
        options |= {name for given in command.params for name in (*given.opts, *given.secondary_opts)}
        if not isinstance(command, click.Group) or not words or not re.fullmatch("[a-z][a-z-]*", words[0]):
            break
        if words[0] not in commands(command):
            return False
        command = commands(command)[words.pop(0)]
    return {word.partition("=")[0] for word in words if word.startswith("--")} <= options


def missing_targets(text: str) -> list[str]:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {target for one in code(text) for target in re.findall(r"^make ([a-z-]+)", one)}
    return sorted(named - targets)


@cache
def _source() -> str:
    return "\n".join(path.read_text("utf-8") for path in SOURCES)


def unread_variables(text: str) -> list[str]:
    return sorted(name for name in set(re.findall(r"\bSPLIT_KITCHEN_[A-Z_]+", text)) if name not in _source())


def missing_names(text: str) -> list[str]:
    """Modules that `python -m` is to run, and dotted names as `engine.grammar.check`."""
    named = {name for one in code(text) for name in re.findall(r"^(?:engine|lab|lessons|tests)(?:\.\w+)+$", one)}
    named |= {name for one in code(text) for name in re.findall(r"python -m ((?:engine|lab|lessons|tests)[\w.]*)", one)}
    return sorted(name for name in named if not _is_there(name))


def _is_there(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


CHECKS: dict[str, Callable[[str], list[str]]] = {
    "see `engine/nowhere.py`": missing_paths,
    "see [it](docs/nowhere.md#there)": missing_paths,
    "```\nsplit-kitchen fry\n```": wrong_commands,
    "`bench nothing`": wrong_commands,
    "`run --nonsense 3`": wrong_commands,
    "`make dinner`": missing_targets,
    "`SPLIT_KITCHEN_NONSENSE`": unread_variables,
    "`python -m engine.nowhere`": missing_names,
    "`engine.grammar.nothing`": missing_names,
}


@pytest.mark.parametrize("text", CHECKS)
def test_a_page_that_is_wrong_is_found_out(text: str) -> None:
    assert len(CHECKS[text](text)) == 1


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_page_names_exists(path: Path) -> None:
    text = path.read_text("utf-8")
    assert missing_paths(text, path.parent) == []
    for check in (wrong_commands, missing_targets, unread_variables, missing_names):
        assert check(text) == []


# ---- decisions


def test_the_index_lists_every_record_by_its_title() -> None:
    listed = re.findall(r"^- \[(.+)\]\((.+)\)$", (ROOT / "docs/decisions/README.md").read_text(), flags=re.MULTILINE)
    titles = [(path.read_text().splitlines()[0].removeprefix("# "), path.name) for path in RECORDS]
    assert sorted(listed) == sorted(titles)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem[:4])
def test_a_record_has_its_number_a_status_and_three_parts(path: Path) -> None:
    title, _, status, *rest = path.read_text().splitlines()
    assert title.startswith(f"# {int(path.name[:4])}. ")
    superseded = re.fullmatch(r"Status: superseded by \[\d+\]\((\S+)\)", status)
    assert status == "Status: accepted" or (superseded and (path.parent / superseded[1]).exists())
    assert [line for line in rest if line.startswith("#")] == ["## Context", "## Decision", "## Consequences"]


def test_records_that_the_code_names_are_there() -> None:
    named = {int(number) for number in re.findall(r"\b(?:decision|record) (\d+)", _source())}
    assert named <= {int(path.name[:4]) for path in RECORDS}


# ---- the tree


@pytest.mark.parametrize(
    "path",
    [path for folder in ("engine", "lab") for path in sorted((ROOT / folder).rglob("__init__.py"))],
    ids=lambda path: str(path.parent.relative_to(ROOT)),
)
def test_a_package_says_what_it_is_in_its_first_line(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    assert said.partition("\n")[0].endswith((".", ":"))

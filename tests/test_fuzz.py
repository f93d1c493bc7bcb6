"""Bad values and bad files: exit code 2 and one sentence, soon, and never a traceback. `make fuzz` tries more."""

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from lab.web.cli import cli
from lab.web.settings import Settings
from tests.fuzz.kinds import attempts, kinds
from tests.fuzz.options import Good, bad_values, bases, command_lines, good_things, leaves
from tests.fuzz.readers import READERS, that_read, unknown
from tests.fuzz.seeds import ROOT
from tests.fuzz.tried import tried, tried_call
from tests.test_deploy import SETTING

SETTINGS = sorted(set(SETTING.findall((ROOT / "lab" / "web" / "settings.py").read_text("utf-8"))))
COMMANDS = [" ".join(path) for path, _ in leaves(cli)]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Good]:
    with good_things(tmp_path_factory.mktemp("good")) as good:
        yield good


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_refuses_bad_values_in_one_sentence(command: str, good: Good, tmp_path: Path) -> None:
    for base in bases(command, good):  # else each bad value would be refused for what is wrong beside it
        said = tried((*command.split(), *base.words))
        assert said.accepted, (base.words, said.wrong)
    bad = {line: wrong for line in command_lines(tmp_path, good, command) if (wrong := tried(line).wrong)}
    assert not bad


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_of_the_lab_refuses_bad_values_in_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in bad_values(tmp_path):
        said = {"SPLIT_KITCHEN_DATA": str(tmp_path / "data"), "SPLIT_KITCHEN_MODEL": "tiny-llama", name: value}
        monkeypatch.chdir(tmp_path)
        assert tried_call(partial(starts, said)) == "", value


def starts(environment: dict[str, str]) -> None:
    Settings.of_environment(environment).checked()


GROUPS = (
    *("log", "packed", "outside", "trace-", "metrics", "config", "prompts", "policy"),
    *("weighed", "watched", "traced", "model", "docs", "data", "cache"),
)


@pytest.mark.parametrize("group", GROUPS)
def test_every_file_that_is_damaged_is_refused_in_one_sentence(group: str, tmp_path: Path) -> None:
    found = [kind for kind in kinds(tmp_path) if kind.name.startswith(group)]
    assert found
    bad = {}
    for kind in found:
        for what, attempt in attempts(tmp_path, kind, random.Random(f"7 {kind.name}")):
            if wrong := attempt():
                bad[kind.name, what] = wrong
    assert not bad


def test_no_kind_of_file_and_no_reader_is_left_out(tmp_path: Path) -> None:
    names = [kind.name for kind in kinds(tmp_path, slow=True)]
    assert [name for name in names if not name.startswith((*GROUPS, "small.gguf", "typed"))] == []
    assert that_read() == READERS.keys()
    assert unknown(names) == []

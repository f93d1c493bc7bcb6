"""Bad values and bad files: exit code 2 and one sentence, soon, and never a traceback. `make fuzz` tries more."""

import random
from pathlib import Path

import pytest

from lab.web.cli import cli
from tests.fuzz.files import damaged_lines, kinds
from tests.fuzz.options import command_lines, commands
from tests.fuzz.seeds import model_folder, recording, watched_folder
from tests.fuzz.tried import tried


@pytest.mark.parametrize("command", [" ".join(path) for path, _ in commands(cli)])
def test_every_option_refuses_bad_values_in_one_sentence(command: str, tmp_path: Path) -> None:
    model_folder(tmp_path)  # made now, if it never was: that takes a process
    lines = list(command_lines(tmp_path, recording(tmp_path), watched_folder(tmp_path), command))
    bad = {line: wrong for line in lines if (wrong := tried(line))}
    assert not bad


FILES = ("log", "azure", "burst", "mooncake", "metrics", "config", "prompts", "watched", "model")


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_is_damaged_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    found = [kind for kind in kinds(tmp_path) if kind.name.startswith(name)]
    assert found
    bad = {}
    for kind in found:
        for damage, line in damaged_lines(tmp_path, kind, random.Random(f"7 {kind.name}")):
            if wrong := tried(line):
                bad[kind.name, damage, line[0]] = wrong
    assert not bad

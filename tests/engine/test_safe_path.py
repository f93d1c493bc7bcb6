"""A command imports nothing from the current folder, which may be anyone's."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).with_name("split-kitchen"))
NAMES = ("numpy", "random", "torch", "engine", "msgspec")


@pytest.mark.live
def test_modules_in_the_current_folder_are_left_alone(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write({name!r})\n")
    line = [COMMAND, "run", "--model", "tiny-llama", "--requests", "1", "--prompt-tokens", "16", "--output-tokens", "2"]
    ran = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert not (tmp_path / "imported").exists(), (tmp_path / "imported").read_text()
    assert ran.returncode == 0, ran.stderr


def test_every_python_that_is_started_is_started_so() -> None:
    """-P keeps the current folder off the path. A peer under another Python starts in our own folder instead."""
    bare = re.compile(r'sys\.executable,\s*"-[mc]"')
    files = [path for part in ("engine", "lab", "lessons") for path in (ROOT / part).rglob("*.py")]
    assert len(files) > 100
    assert [str(path) for path in files if bare.search(path.read_text())] == []

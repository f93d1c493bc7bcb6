"""An interpreter with a stand-in for vLLM: the modules in `fake/`."""

import sys
from pathlib import Path

FAKE = Path(__file__).with_name("fake")
BREAKS = 13  # the stand-in dies of a prompt of so many tokens


def python_with(modules: Path, folder: Path) -> str:
    """A program in `folder` that is this Python with those modules, too."""
    program = folder / "python"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{modules}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    return str(program)

"""Writes constraints.txt: what the lab runs with, as this environment has it. `python -m tests.lock`, or `make lock`.

The image is built from that file alone, so that the same packages go into it next year. Development tools and extras
are not in it.
"""

import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FILE = ROOT / "constraints.txt"
HEAD = "# What the lab runs with: `make lock` writes this file. The image is built from it.\n"
# torch's CPU wheels need nothing of CUDA; its others bring what they were built with, by number
LEFT_OUT = ("nvidia-", "cuda-", "triton")


def direct() -> list[Requirement]:
    """The dependencies in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(line) for line in project["dependencies"]]


def closure(wanted: list[Requirement]) -> dict[str, str]:
    """The installed version of these and of everything they require, by name."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    queue = [(one, "") for one in wanted]
    while queue:
        one, extra = queue.pop()
        if one.marker is not None and not one.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(one.name)
        installed = distribution(name)
        found[name] = installed.version.partition("+")[0]  # torch 2.13.0+cpu satisfies ==2.13.0
        for wish in ("", *one.extras):
            if (name, wish) not in seen:
                seen.add((name, wish))
                queue += [(Requirement(line), wish) for line in installed.requires or ()]
    return found


def main() -> None:
    versions = closure(direct()).items()
    own = "nvidia-ml-py"
    lines = [f"{name}=={is_at}" for name, is_at in sorted(versions) if name == own or not name.startswith(LEFT_OUT)]
    FILE.write_text(HEAD + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

"""The files that browsers run, draw and style with."""

import hashlib
from pathlib import Path

ASSETS = Path(__file__).parents[2] / "assets"


def asset(name: str) -> str:
    """The text of a file in assets/."""
    return (ASSETS / name).read_text("utf-8")


def kept_at(name: str, text: str) -> str:
    """Where browsers find this text, below the lab's own address. It changes with the content, so they keep it for
    ever (`lab/web/class_routes.py` gives it out)."""
    stem, _, kind = name.partition(".")
    return f"lab/static/{stem}.{hashlib.sha256(text.encode()).hexdigest()[:16]}.{kind}"

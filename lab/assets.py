"""What the lab gives browsers to run and to draw with."""

import json
from pathlib import Path

ASSETS = Path(__file__).parent.parent / "assets"
PARTS = ("log", "nodes", "stations", "timeline", "kitchen", "player", "hosts")


def asset(name: str) -> str:
    return (ASSETS / name).read_text("utf-8")


def _scene() -> str:
    """Its parts are files to be read in one sitting; pages, notebooks and exports each take one module."""
    parts = [asset(f"kitchen/{name}.js") for name in PARTS]
    return "\n".join([*parts, f"const CSS = {json.dumps(asset('kitchen/looks.css'), ensure_ascii=False)};\n"])


SCENE = _scene()

"""What the lab gives browsers to run and to draw with."""

import json

from lab.ui.js_component import asset

PARTS = ("log", "nodes", "stations", "timeline", "kitchen", "player", "hosts")


def _scene() -> str:
    """Its parts are files to be read in one sitting; pages, notebooks and exports each take one module."""
    parts = [asset(f"kitchen/{name}.js") for name in PARTS]
    return "\n".join([*parts, f"const CSS = {json.dumps(asset('kitchen/looks.css'), ensure_ascii=False)};\n"])


SCENE = _scene()

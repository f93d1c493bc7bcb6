"""What the lab gives browsers to run and to draw with."""

import json

from lab.ui.assets import asset, kept_at

PARTS = (
    "words",
    "nodes",
    "log",
    "state",
    "flights",
    "cook",
    "tickets",
    "pass",
    "plates",
    "room",
    "counter",
    "floor",
    "stacked",
    "tiles",
    "sentence",
    "lanes",
    "xray",
    "chips",
    "stills",
    "moments",
    "controls",
    "kitchen",
    "patterns",
    "player",
    "view",
    "stage",
    "hosts",
)
STYLES = ("palette", "looks")


def _scene() -> str:
    """Its parts are files to be read in one sitting; pages, notebooks and exports each take one module."""
    parts = [asset(f"kitchen/{name}.js") for name in PARTS]
    css = "".join(asset(f"kitchen/{name}.css") for name in STYLES)
    return "\n".join([f"const CSS = {json.dumps(css, ensure_ascii=False)};", *parts])


SCENE = _scene()
SCENE_AT = kept_at("kitchen.js", SCENE)

"""A run as one HTML file: the scene's module, the motions and nothing else. It replays offline, from disk or mail."""

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

from engine.events import Event
from lab.scene.bundle import SCENE
from lab.scene.motions import motions
from lab.scene.spans import Motion

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; }}
body {{ margin: 0 auto; max-width: 1440px; padding: 16px; background: light-dark(#fff, #0e1117);
  color: light-dark(#1f2328, #e6edf3); }}
h1 {{ font-size: 20px; margin: 0 0 14px; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<div id="kitchen"></div>
<noscript>This recording is drawn by a script; please allow scripts for this file.</noscript>
</main>
<script type="application/json" id="data">{data}</script>
<script type="module">
{module}
createKitchens(document.getElementById("kitchen")).update(JSON.parse(document.getElementById("data").textContent));
const frame = window.frameElement;  // in a notebook: as high as what is drawn, and dark where JupyterLab is
if (frame) {{
  const light = frame.ownerDocument.body.dataset.jpThemeLight;
  if (light) document.documentElement.style.colorScheme = light === "true" ? "light" : "dark";
  new ResizeObserver(() => {{ frame.style.height = `${{document.body.offsetHeight}}px`; }}).observe(document.body);
}}
</script>
</body>
</html>
"""


def kitchen(
    run: Iterable[Event] | Sequence[Motion], title: str, *, id: str = "a", note: str = "", deployment: str = ""
) -> dict[str, Any]:
    """A recorded run in the form that the scene takes; `run` is a log or motions already made of it.

    The scene takes {"kitchens": [...], "can": [...]}, and may be told more:

    can       what the page lets one do to a run that is open: "link", "cancel", "kill"
    intro     one sentence above the kitchens; "" for none, absent for the usual one
    speed     of a replay, or of watching a run that goes on; 1 if absent
    links     the slowest and the fastest link on the belt's slider, in bytes/s; absent, those of CPUs
    ceiling   the most that the road between two stations was measured to carry, in bytes/s, marked on that slider
    scale     how much larger than its pixels, for a wall; `wall`: only what can be read from far away

    Of a kitchen, beside what stands below: `run` (the id of a live one), `seq` (of the last motion that it has),
    `simulated`, `ruler` ([{"label", "bytes_per_s"}, ...]: real fabrics on the belt's slider), and `machine` (runs on
    different ones are not compared; absent, the note tells).
    """
    drawn: list[Any] = list(run)
    if drawn and not isinstance(drawn[0], dict):
        drawn = motions(drawn)
    return {
        "id": id,
        "title": title,
        "deployment": deployment,
        "stream": None,
        "motions": drawn,
        "live": False,
        "note": note,
    }


def export_kitchens(kitchens: Sequence[dict[str, Any]], title: str) -> str:
    """One or two recorded kitchens, by one clock, as a page of its own."""
    return PAGE.format(
        title=html.escape(title),
        data=inert({"kitchens": list(kitchens), "can": []}),
        module=SCENE,
    )


def inert(value: object) -> str:
    """JSON that no HTML parser can mistake for markup: a prompt may well say "</script>"."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")

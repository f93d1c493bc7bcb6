"""What a visitor sees until Streamlit's page is there, which takes a second or more: the page's shell, and on the front
page a recorded kitchen, which moves at once and then takes its place in Streamlit's page.
"""

import asyncio
from functools import cache
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

import streamlit as st
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from lab.scene.bundle import SCENE_AT
from lab.scene.choices import beside_each_other
from lab.scene.export_html import inert
from lab.scene.recordings import recorded, replayed
from lab.scene.words import HEADING, TITLES, intro
from lab.ui.assets import asset
from lab.web.packed import GZIP, packed, takes_gzip

INDEX = (Path(st.__file__).parent / "static" / "index.html").read_text("utf-8")
TITLE, ROOT = "<title>Streamlit</title>", '<div id="root"></div>'
SCRIPTS, STYLE = '<script type="module"', '<link rel="stylesheet"'
STREAMLIT = INDEX[INDEX.index(SCRIPTS) : INDEX.index(STYLE)]  # its script and fifty modules; its style follows
FRESH = {"Cache-Control": "no-cache"}
# What runs before Streamlit is inline, and Streamlit waits for the scene: it would load among those fifty modules.
ADDRESS = asset("address.js")
OPENING = asset("opening.js")
SHELL = INDEX.replace(TITLE, f"<title>Split Kitchen</title>\n    <script>{ADDRESS}</script>")
# The sizes and colours of the page that follows, so that nothing moves when it comes.
COVER = Template("""
    <link rel="modulepreload" id="opening-scene" href="./$scene">
    <style>
      #opening { position: fixed; inset: 0; z-index: 1000000; overflow: auto; background: #fff; color: #2f2d2b;
        color-scheme: light; --st-font: "Source Sans", sans-serif; font: 16px/1.6 var(--st-font); }
      #opening > div { max-width: 1360px; margin: auto; padding: 3.6rem 1rem 3rem; box-sizing: border-box; }
      #opening :is(h1, p) { margin: 0; } #opening h1 { font-size: 1.5rem; line-height: 1.2; font-weight: 700; }
      #opening-says { padding: 1rem 0; height: 187.6px; box-sizing: border-box; }
      @media (min-width: 641px) { #opening-says { height: 154.4px; } }
      @media (min-width: 900px) { #opening > div { padding-inline: 5rem; } #opening-says { height: 106.4px; } }
      @media (prefers-color-scheme: dark) { #opening { background: #171614; color: #edebe8; color-scheme: dark; } }
    </style>
    <div id="opening"><div>
      <h1>$heading</h1>
      <p id="opening-says" role="status">The lab is opening; until then a recorded run plays.</p>
      <div id="opening-kitchen"></div>
    </div></div>
    <script type="application/json" id="opening-data">$data</script>
    <template id="streamlit">$streamlit</template>
    <script type="module">$opening</script>""")


async def front_page(request: Request) -> Response:
    """The address says which kitchens it shows, as everywhere in the lab."""
    asked = parse_qs(request.url.query)
    kinds = beside_each_other(*(asked.get(name, [""])[-1] for name in ("kitchen", "beside")))
    page = _page(tuple(kinds))
    if not takes_gzip(request):
        return HTMLResponse(page, headers=FRESH)
    body = await asyncio.to_thread(_packed, tuple(kinds))  # Streamlit's middleware leaves this address out
    return HTMLResponse(body, headers=FRESH | GZIP)


@cache
def _packed(kinds: tuple[str, ...]) -> bytes:
    return packed(_page(kinds).encode())


@cache
def _page(kinds: tuple[str, ...]) -> str:
    logs = [recorded(kind) for kind in kinds]
    kitchens = [replayed(TITLES[kind], log) for kind, log in zip(kinds, logs, strict=True)]
    data = inert({"kitchens": kitchens, "can": [], "intro": intro(logs[0])})
    cover = COVER.substitute(scene=SCENE_AT, heading=HEADING, data=data, streamlit=STREAMLIT, opening=OPENING)
    return SHELL.replace(STREAMLIT, "").replace(ROOT, ROOT + cover)


async def any_page(_: Request) -> Response:
    """The shell of every other page; Streamlit tells them apart, and unknown ones too."""
    return HTMLResponse(SHELL, headers=FRESH)

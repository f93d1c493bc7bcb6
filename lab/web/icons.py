"""Streamlit's font of icons, with those alone that the lab can show: it is the heaviest thing on a first visit.

A page names an icon in letters, which the font joins into a picture; one that it lacks stays letters. So which are left
in it is read from the code that names them, the lab's and Streamlit's, and read again when either is another.
"""

import hashlib
import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import streamlit as st

import lab
import lessons
from engine.files import write_whole
from engine.live.this_machine import cache_folder

STATIC = Path(st.__file__).parent / "static" / "static"
FONT = next(STATIC.glob("media/MaterialSymbols-Rounded.*.woff2"), STATIC)
NAMED = re.compile(r":material/([a-z0-9_]+):")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"
HASH_BYTES = 32

log = logging.getLogger(__name__)


@cache
def icon_font() -> bytes | None:
    """The smaller font, as woff2. Made once for this machine, where its cache can be written; else at each start. None
    if it can't be made: the whole font does as well."""
    try:
        return _kept_or_made(FONT)
    except Exception:
        log.exception("The font of icons stays as large as it is")
        return None


def _kept_or_made(whole: Path) -> bytes:
    key = hashlib.sha256(repr((whole.name, st.__version__, sorted(own_icons()))).encode()).hexdigest()[:16]
    path = cache_folder() / f"icons-{key}.woff2"
    with suppress(OSError):
        kept = path.read_bytes()
        if _whole(font := kept[HASH_BYTES:]) == kept:
            return font
    font = with_only(whole.read_bytes(), own_icons() | streamlits_icons())
    with suppress(OSError):  # a cache that is read-only, or full
        write_whole(path, _whole(font))
    return font


def _whole(font: bytes) -> bytes:
    """As it is kept: a disk may damage it."""
    return hashlib.sha256(font).digest() + font


def own_icons() -> frozenset[str]:
    """Every icon that a page of the lab, or a lesson's text, names."""
    folders = [Path(next(iter(package.__path__))) for package in (lab, lessons)]
    files = (file for folder in folders for kind in ("*.py", "*.md") for file in folder.rglob(kind))
    return frozenset(name for file in files for name in NAMED.findall(file.read_text("utf-8")))


def streamlits_icons() -> frozenset[str]:
    """Every icon that Streamlit's own pages name."""
    files = (STATIC / "js").glob("*.js")
    return frozenset(name for file in files for name in NAMED.findall(file.read_text("utf-8")))


def with_only(font: bytes, names: Iterable[str]) -> bytes:
    """The font with the icons of these names, as woff2; names that it does not know are left out."""
    from fontTools import subset  # only where a font is made: once for a machine
    from fontTools.ttLib import TTFont

    options = subset.Options(flavor="woff2", layout_closure=False)  # else every icon that its letters can spell stays
    with TTFont(BytesIO(font), recalcTimestamp=False) as whole:
        wanted = {name: glyph for name, glyph in icons_in(whole).items() if name in set(names)}
        less = subset.Subsetter(options)
        less.populate(glyphs=wanted.values(), text=LETTERS)
        less.subset(whole)
        made = BytesIO()
        subset.save_font(whole, made, options)
    return made.getvalue()


def icons_in(font: Any) -> dict[str, str]:
    """Every icon that a font (fontTools' TTFont) can draw: its name, and its glyph."""
    letters = {glyph: chr(code) for code, glyph in font.getBestCmap().items()}
    found: dict[str, str] = {}
    for lookup in font["GSUB"].table.LookupList.Lookup:
        for table in lookup.SubTable:
            table = getattr(table, "ExtSubTable", table)
            for first, ligatures in getattr(table, "ligatures", {}).items():
                for one in ligatures:
                    glyphs = [first, *one.Component]
                    if all(glyph in letters for glyph in glyphs):
                        found["".join(letters[glyph] for glyph in glyphs)] = one.LigGlyph
    return found

"""The smaller font of icons: every icon that a page can name is in it, drawn as in the whole font."""

import urllib.error
import urllib.request
from io import BytesIO
from pathlib import Path

import pytest
from fontTools.pens.recordingPen import RecordingPen
from fontTools.ttLib import TTFont

from lab.web.icons import FONT, icon_font, icons_in, own_icons, streamlits_icons, with_only
from tests.lab.conftest import Lab
from tests.lab.web.test_class_pages import fetched
from tests.patience import PATIENCE_S

MOST_BYTES = 40_000


def drawn(font: TTFont, glyph: str) -> object:
    pen = RecordingPen()
    font.getGlyphSet()[glyph].draw(pen)
    return pen.value


@pytest.fixture(scope="module")
def whole() -> TTFont:
    return TTFont(FONT)


@pytest.fixture(scope="module")
def less() -> bytes:
    return with_only(FONT.read_bytes(), own_icons() | streamlits_icons())


def test_every_icon_that_a_page_names_is_drawn_as_in_the_whole_font(whole: TTFont, less: bytes) -> None:
    font = TTFont(BytesIO(less))
    before, after = icons_in(whole), icons_in(font)
    assert len(own_icons()) > 20
    assert own_icons() <= before.keys(), "no such icon"
    assert "keyboard_double_arrow_left" in streamlits_icons()
    named = (own_icons() | streamlits_icons()) & before.keys()
    assert named <= after.keys()
    for name in sorted(named):
        outline = drawn(font, after[name])
        assert outline == drawn(whole, before[name]), name
        assert outline, f"{name} is blank"


def test_it_is_small(less: bytes) -> None:
    assert len(less) < MOST_BYTES
    assert not {"rocket", "pets"} & icons_in(TTFont(BytesIO(less))).keys()  # nobody names them


def test_it_is_made_once_and_made_again_where_it_was_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLIT_KITCHEN_CACHE", str(tmp_path))
    made = icon_font.__wrapped__()
    (file,) = tmp_path.glob("icons-*.woff2")
    kept = file.read_bytes()
    with monkeypatch.context() as nothing_to_make_it_of:
        nothing_to_make_it_of.setattr("lab.web.icons.with_only", lambda font, names: pytest.fail("it is kept"))
        assert icon_font.__wrapped__() == made
    file.write_bytes(kept[:-100])
    assert icon_font.__wrapped__() == made
    assert file.read_bytes() == kept


def test_where_it_cannot_be_made_the_whole_font_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPLIT_KITCHEN_CACHE", str(tmp_path))
    monkeypatch.setattr("lab.web.icons.FONT", tmp_path)  # another Streamlit, with another font
    assert icon_font.__wrapped__() is None


@pytest.mark.live
def test_a_browser_gets_it_in_place_of_streamlits_and_asks_whether_its_own_is_the_same(lab: Lab) -> None:
    body, headers = fetched(lab, f"static/media/{FONT.name}")
    assert headers["Content-Type"] == "font/woff2"
    assert headers["Cache-Control"] == "no-cache"
    assert own_icons() <= icons_in(TTFont(BytesIO(body))).keys()
    again = urllib.request.Request(f"{lab.url}/static/media/{FONT.name}", headers={"If-None-Match": headers["ETag"]})
    with pytest.raises(urllib.error.HTTPError) as same:
        urllib.request.urlopen(again, timeout=PATIENCE_S)
    assert same.value.code == 304

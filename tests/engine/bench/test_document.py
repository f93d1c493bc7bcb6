"""The page that `bench all` writes comes entirely from findings."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

from engine.bench.document import kept, nearness, write
from engine.bench.figure import Figure, found

FIGURES = [
    Figure("copy", 9e9, "B/s", "memcpy", 1e10, least=0.8),
    Figure("a | b", 3.0, "s", most=2.0),
    Figure("just so", 4.0, "s"),
]


def test_a_page_a_picture_and_json_say_the_same(tmp_path: Path) -> None:
    benches = [found("one", "a machine", FIGURES, ["A note."]), found("two", "a machine", [], ["Not measured: no."])]
    page, picture, data = write(tmp_path, benches)
    text = page.read_text()
    assert "| copy | 9 GB/s | 10 GB/s | memcpy | 0.90 | ≥ 0.8 | reached |" in text
    assert "| a \\| b | 3 s |  |  |  | ≤ 2 s | missed |" in text
    assert "Of 2 figures with a goal, 1 reach it." in text
    assert "- A note." in text
    assert "- Not measured: no." in text
    assert (tmp_path / "pictures" / "performance.svg") == picture
    bars = [r for r in ET.parse(picture).iter("{http://www.w3.org/2000/svg}rect") if r.get("x")]
    assert len(bars) == 2  # of the figures with a goal
    assert kept(tmp_path) == benches
    assert [one["bench"] for one in json.loads(data.read_text())] == ["one", "two"]


def test_nearness_is_one_at_the_goal() -> None:
    assert nearness(Figure("a", 8.0, "s", "b", 10.0, least=0.8)) == 1
    assert nearness(Figure("a", 4.0, "s", most=2.0)) == 0.5
    assert nearness(Figure("a", 1.0, "s", most=2.0)) == 2
    assert nearness(Figure("a", 0.0, "%", most=2.0)) > 1

"""Charts of HTML: what is said of a row lies beside its marks, never on them."""

import re

import pytest

from lab.course.chart_html import chart_html
from lab.course.known import Chart
from lessons.question import Bars, Lines, Number

ANSWER = Number(unit="ms", low=1, high=10_000)


def rows(values: dict[str, tuple[float, ...]], log: bool) -> list[tuple[bool, float, list[float]]]:
    """Of each row: whether its number ends at its place instead of beginning there, the place, and those of repeats."""
    drawn = chart_html(ANSWER, Chart("", {}, shows=Bars("ms", values, log=log)))
    return [
        (
            said[1] == " inside",
            float(said[2]),
            [float(at) for at in re.findall(r'ch-repeat" style="left:([\d.]+)%', row)],
        )
        for row in drawn.split('<div class="ch-row">')
        if (said := re.search(r'ch-says([^"]*)" style="left:([\d.]+)%', row))
    ]


@pytest.mark.parametrize("repeats", [(1050.0, 1280.0, 1600.0), (1000.0, 1228.0, 1230.0), (1600.0,) * 3])
@pytest.mark.parametrize("log", [False, True])
def test_a_number_is_beside_its_marks(repeats: tuple[float, ...], log: bool) -> None:
    (_, after, early), (ends, before, late) = rows({"without it": (400.0, 450.0), "with the giant": repeats}, log)
    assert after == max(early)
    assert ends
    assert before == min(late)


def axis(view: Lines) -> list[str]:
    """What stands along the x axis."""
    drawn = chart_html(ANSWER, Chart("", {}, shows=view))
    return re.findall(r">([^<]+)</span>", drawn[drawn.index('class="ch-axis"') :])


def test_series_at_the_same_few_x_have_these_along_their_axis() -> None:
    at = (1.0, 2.0, 4.0, 8.0, 16.0)
    line = tuple((x, x) for x in at)
    assert axis(Lines("batch", "ms", {"a": line, "b": line})) == ["1", "2", "4", "8", "16"]
    assert axis(Lines("batch", "ms", {"a": line, "b": line[1:]})) == ["1", "2", "5", "10"]

"""What is drawn of finished runs."""

import pytest
from msgspec.structs import replace

from engine.events import TokenMade
from engine.log import Log
from lab.kitchen.charts import gaps_figure
from lab.scene.recordings import recorded


@pytest.fixture
def log() -> Log:
    return recorded("disaggregated")


def test_every_tick_of_the_gaps_is_a_number_that_can_be_read(log: Log) -> None:
    axis = gaps_figure([log]).layout.yaxis
    assert len(axis.tickvals) >= 3
    assert [float(text.replace(",", "")) for text in axis.ticktext] == pytest.approx(list(axis.tickvals))


def test_tokens_that_came_at_once_or_alone_are_drawn_without_a_gap(log: Log) -> None:
    at_once = replace(log, events=tuple(replace(e, t=0.0) if isinstance(e, TokenMade) else e for e in log.events))
    gaps = gaps_figure([at_once]).data[0].y
    assert len(gaps) > 0
    assert set(gaps) == {0.0}
    alone = replace(log, events=tuple(e for e in log.events if not isinstance(e, TokenMade)))
    assert len(gaps_figure([alone]).data[0].y) == 0

"""What is drawn of finished runs."""

import pytest
from msgspec.structs import replace

from engine.causes import causes
from engine.events import HandoffEnded, Recalled, TokenMade
from engine.log import Log
from engine.stall import longest
from lab.kitchen.charts import gaps_figure, results_table
from lab.kitchen.results import stalls_in_words
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


def test_a_tray_that_failed_is_not_behind_the_words_all_verified(log: Log) -> None:
    assert "8, all verified" in results_table([log])["Two stations and a pass"]
    wrong = next(event for event in log.events if isinstance(event, HandoffEnded))
    again = Recalled(wrong.t, wrong.request, "the checksum does not match")
    events = tuple(replace(e, verified=False) if e is wrong else e for e in log.events)
    failed = replace(log, events=(*events, again))
    assert "7 of 8 verified; begun again: 1" in results_table([failed])["Two stations and a pass"]


def test_the_table_and_the_sentence_tell_the_same_longest_stall() -> None:
    for kind in ("colocated", "chunked", "disaggregated"):
        run = recorded(kind)
        stall = longest(causes(run.events))
        assert stall
        (sentence,) = stalls_in_words([run])
        table = results_table([run])
        row = table["Kitchen"].index("Longest stall")
        (title,) = [name for name in table if name != "Kitchen"]
        assert table[title][row] in sentence
        assert sentence.startswith(f"**{title}**")

"""The rounds of the game that lessons lead to show what the lesson has measured."""

import pytest

from engine.causes import causes
from engine.metrics import summarize
from engine.stall import longest
from lab.course.round_html import cook_html
from lab.play.game import Play, play, played_by
from lab.play.pace import shipped
from lab.play.par import as_policy
from lab.play.puzzle import LEVELS, Puzzle, puzzle
from lessons import all_lessons, lesson
from lessons.lesson import AsCook

PACES = ["recorded", "h100"]


def led_to(slug: str, round: str) -> AsCook:
    found = lesson(slug)
    assert found is not None
    cook = found.round(round).cook
    assert cook is not None
    return cook


def played(given: Puzzle, policy: str) -> Play:
    return play(given, played_by(given, as_policy(given, policy)).made)


def giant(given: Puzzle) -> str:
    return f"r{max(given.drafts, key=lambda draft: draft.prompt_tokens).number + 1}"


@pytest.mark.parametrize("pace", PACES)
def test_a_giant_that_is_prepped_whole_freezes_others_and_in_portions_it_does_not(pace: str) -> None:
    whole, cut = led_to("one-station", "freeze"), led_to("cut-it-small", "curve")
    assert (whole.level, whole.seed) == (cut.level, cut.seed), "the same orders, so that one can compare"
    given = puzzle(whole.level, whole.seed, shipped(pace))
    at_once, in_portions = played(given, "prefill_first"), played(given, "chunked")
    worst = longest(causes(at_once.events))
    assert worst is not None
    assert worst.cause.kind == "prefill"
    assert giant(given) in worst.cause.requests
    before, after = (summarize(one.events) for one in (at_once, in_portions))
    assert after.metrics.max_stall_s < 0.6 * before.metrics.max_stall_s
    assert after.metrics.ttft_s.mean > before.metrics.ttft_s.mean, "it has a price"


def test_every_way_into_the_game_is_one() -> None:
    cooks = [(one, asked.cook) for one in all_lessons() for asked in one.rounds if asked.cook]
    assert cooks
    for one, cook in cooks:
        assert 1 <= cook.level <= len(LEVELS)
        assert f'href="play?level={cook.level}&amp;seed={cook.seed}&amp;from={one.slug}"' in cook_html(cook, one.slug)

"""What a learner is measured against was played by the same rules, and can be played again."""

from itertools import pairwise
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from engine.metrics import summarize
from engine.scenario import Kind
from engine.sim.run import simulate
from engine.stall import in_seconds
from lab.play.answer import Asked, answer
from lab.play.card import card
from lab.play.game import play, played_by, served_by
from lab.play.moment import moment, turn
from lab.play.pace import shipped
from lab.play.par import as_policy, frontier, searched
from lab.play.puzzle import MOST_SEED, Puzzle, puzzle
from lab.play.score import Score, score, so_far
from lab.play.standing import standing
from lab.play.words import STALL, TTFT, numbers, told as as_words, verdict
from tests.lab.play.test_game import PACE, PLAYED_BY


def moves_of(puzzle: Puzzle, policy: str) -> tuple[str, ...]:
    return played_by(puzzle, as_policy(puzzle, policy)).made


@settings(max_examples=4, deadline=None)
@given(level=st.integers(1, 2), seed=st.integers(0, MOST_SEED))
def test_what_is_found_is_as_good_as_it_says_and_beaten_by_no_policy(level: int, seed: int) -> None:
    given_ = puzzle(level, seed, PACE)
    found = searched(given_, tries=10)
    assert all(score(play(given_, one.made).events) == one.score for one in found)
    assert not any(one.score.beats(other.score) for one in found for other in found)
    assert all(one.score.ttft_s < other.score.ttft_s for one, other in pairwise(found))
    rivals: list[Kind] = ["colocated", "chunked"] if level == 1 else ["disaggregated"]
    for kind in rivals:
        theirs = score(served_by(given_, kind).events)
        assert any(one.score.beats(theirs) or not theirs.beats(one.score) for one in found)
        assert not any(theirs.beats(one.score) for one in found)


def test_the_search_finds_the_same_whenever_it_is_asked() -> None:
    given_ = puzzle(1, 5, PACE)
    assert searched(given_, tries=5) == searched(given_, tries=5)
    assert frontier(given_) is frontier(puzzle(1, 5, PACE))


@pytest.mark.parametrize(("level", "policy", "kind"), PLAYED_BY)
def test_scores_are_those_of_simulate(level: int, policy: str, kind: Kind) -> None:
    given_ = puzzle(level, 7, PACE)
    mine = score(play(given_, moves_of(given_, policy)).events)
    deployment = msgspec.structs.replace(given_.level.deployment, kind=kind, chunk=PACE.portion)
    metrics = summarize(simulate(given_.served_by(deployment), given_.worker, given_.drafts).events).metrics
    assert (mine.ttft_s, mine.stall_s) == (metrics.ttft_s.mean, metrics.max_stall_s)


@pytest.mark.parametrize(
    ("mine", "other", "better"),
    [
        ((1, 1), (1, 2), True),
        ((1, 1), (2, 1), True),
        ((1, 1), (1, 1), False),
        ((1, 2), (2, 1), False),
        ((1, 1), (1.0001, 1.0001), False),
    ],
)
def test_who_beats_whom(mine: tuple[float, float], other: tuple[float, float], better: bool) -> None:
    one, two = (Score(ttft, ttft, stall, 1.0) for ttft, stall in (mine, other))
    assert one.beats(two) is better
    assert not (better and two.beats(one))


def test_a_headline_names_the_best_that_was_found_beside_the_policies_that_are_beaten() -> None:
    mine, policy, best = (Score(ttft, ttft, stall, 1.0) for ttft, stall in ((2, 1), (3, 2), (1, 1)))
    assert verdict(mine, {"chunked prefill": policy}, best, searched=True) == (
        "You did better than chunked prefill in both scores. A search found a round that is better still."
    )
    assert verdict(mine, {"chunked prefill": policy}, None, searched=True).startswith("Nothing that we found")
    said = numbers(mine, {"prefill first": Score(0.5, 0.5, 9, 1)})
    assert "Prefill first has first tokens after 0.50 s, but stalls for 9.00 s." in said


def test_what_two_digits_do_not_show_makes_nobody_better() -> None:
    """A page that says 0.76 s of both must not say that one of them is earlier."""
    mine, calmer, alike = (
        Score(ttft_s, 1.0, stall_s, 2.0) for ttft_s, stall_s in ((0.758, 0.67), (0.763, 0.49), (0.761, 0.673))
    )
    assert calmer.beats(mine)
    assert not calmer.beats_in_both(mine)
    assert mine.is_like(alike)
    assert not mine.beats(alike)


def test_only_who_is_better_in_both_scores_is_said_to_be() -> None:
    mine, equal, ahead, apart = (Score(ttft, ttft, stall, 1.0) for ttft, stall in ((2, 1), (1, 1), (1, 0.5), (1, 2)))
    said = [verdict(mine, {"one": other}, None, searched=False) for other in (equal, ahead, apart)]
    assert said == [
        "One did better in at least one score and no worse in the other.",
        "One did better in both scores.",
        "You beat none of the schedulers below in both scores, and none beats you.",
    ]


def test_waits_that_go_on_count_while_one_plays() -> None:
    given_ = puzzle(1, 2, PACE)
    start = play(given_, ())
    assert so_far(start).served == 0
    whole = moves_of(given_, "prefill_first")
    for count in range(len(whole)):
        before, after = so_far(play(given_, whole[:count])), so_far(play(given_, whole[: count + 1]))
        assert (after.stall_s or 0) >= (before.stall_s or 0)
        assert after.served >= before.served


@pytest.mark.parametrize("thorough", [True, False])
@pytest.mark.parametrize(("level", "policy"), [(1, "prefill_first"), (2, "prefill_only")])
def test_another_choice_at_the_move_that_decided_makes_a_round_better(
    level: int, policy: str, *, thorough: bool
) -> None:
    given_ = puzzle(level, 4, PACE)
    made = moves_of(given_, policy)
    mine, found = score(play(given_, made).events), turn(given_, made, thorough=thorough)
    assert found is not None
    here = play(given_, made[: found.before])
    assert {found.chosen.move, found.instead.move} <= {move.move for move in here.open}
    assert found.chosen.move == made[found.before] != found.instead.move
    assert found.score.beats(mine)


def test_the_blame_falls_on_the_large_tray_before_the_small_ones_and_not_on_what_waits_behind_it() -> None:
    """Of two moves one is left over when the large tray is on its way: to go back there mends nothing."""
    given_ = puzzle(2, 1, shipped("recorded"))
    made = moves_of(given_, "prefill_only")
    found = turn(given_, made, thorough=True)
    assert found is not None
    assert (found.before, made[0], found.chosen.act) == (0, "3", "whole")
    told = moment(play(given_, made), "best")
    assert told.back == 0
    assert "prep all of order 3" in told.chose


@pytest.mark.parametrize(("level", "policy"), [(1, "prefill_first"), (2, "prefill_only")])
def test_a_hint_names_the_move_and_not_what_would_be_better(level: int, policy: str) -> None:
    given_ = puzzle(level, 4, PACE)
    made = moves_of(given_, policy)
    hinted, thorough = moment(play(given_, made), "hint"), moment(play(given_, made), "best")
    assert hinted.back is not None
    here = {move.move: as_words(move) for move in play(given_, made[: hinted.back]).open}
    mine = here.pop(made[hinted.back])
    for says in (hinted.chose, hinted.there):
        assert mine in says
        assert not any(other in says for other in here.values())
    assert "reaches" in thorough.chose
    assert "reaches" not in hinted.chose
    assert (hinted.instead, thorough.instead in here) == ("", True)
    assert thorough.there.startswith("Here you chose: ")
    assert any(f"“{other}”" in thorough.there for other in map(as_words, play(given_, made[: thorough.back]).open))


@pytest.mark.parametrize("level", [1, 2])
def test_a_round_that_nothing_beats_says_what_was_good_and_blames_no_move(level: int) -> None:
    given_ = puzzle(level, 1, PACE)
    for one in frontier(given_):
        told = moment(play(given_, one.made), "best")
        assert (told.chose, told.back) == ("", None)
        assert "What made it good" in told.says


def test_what_is_told_as_the_best_does_not_depend_on_the_learners_round() -> None:
    given_ = puzzle(1, 1, PACE)
    rounds = [play(given_, one.made) for one in frontier(given_)]
    best = {
        next(mark.score for mark in standing(one, look_for_par=True).marks if mark.watch == "best") for one in rounds
    }
    assert len(best) == 1


def test_a_round_that_beats_the_learners_is_in_the_table_and_can_be_watched() -> None:
    """The one of all, which does not depend on the learner's round, may be worse in one of the scores."""
    for seed in range(1, 8):
        given_ = puzzle(1, seed, PACE)
        made = moves_of(given_, "prefill_first")
        mine = score(play(given_, made).events)
        rows = {mark.watch: mark for mark in standing(play(given_, made), look_for_par=True).marks}
        beating = [mark for watch, mark in rows.items() if watch in ("best", "better") and mark.score.beats(mine)]
        assert bool(beating) is any(one.score.beats(mine) for one in frontier(given_))
        if "better" in rows:
            told = answer(Asked(1, seed, "test", made, watch="better", search="best"), lambda _: PACE)
            assert score(list(play(given_, made).events)).beats(rows["better"].score) is False
            assert [kitchen["id"] for kitchen in told.kitchens] == ["you", "better"]


def test_a_round_that_is_over_tells_how_good_it_was_and_may_be_compared() -> None:
    asked = Asked(moves=moves_of(puzzle(1, 1, PACE), "prefill_first"), pace="test")
    told = answer(asked, lambda _: PACE)
    assert told.result is not None
    assert told.result.searched == ""
    assert told.asks == ""
    assert told.buttons == ()
    assert [what for what, _ in told.so_far] == [TTFT, STALL]
    compared = answer(Asked(moves=asked.moves, pace="test", watch="chunked", search="best"), lambda _: PACE)
    assert [kitchen["id"] for kitchen in compared.kitchens] == ["you", "chunked"]
    assert compared.result is not None
    assert "the best found" in compared.result.chart


@settings(max_examples=12, deadline=None)
@given(level=st.integers(1, 2), seed=st.integers(0, MOST_SEED))
def test_the_first_move_is_explained_and_no_other(level: int, seed: int) -> None:
    begun = answer(Asked(level, seed, "test"), lambda _: PACE)
    assert all(f"{order}" in begun.asks for button in begun.buttons for order in button.orders)
    assert begun.asks.endswith("to begin.")
    after = answer(Asked(level, seed, "test", (begun.buttons[0].move,)), lambda _: PACE)
    assert after.asks == ""


@pytest.mark.parametrize(("level", "policy"), [(1, "prefill_first"), (2, "prefill_only")])
def test_a_card_says_where_a_round_lies(level: int, policy: str) -> None:
    over = play(puzzle(level, 1, PACE), moves_of(puzzle(level, 1, PACE), policy))
    drawn = ElementTree.fromstring(card(over, "http://a.school/play?level=1&seed=1"))
    said = " ".join(drawn.itertext())
    assert "the best found" in said
    assert "http://a.school/play?level=1&seed=1" in said
    assert in_seconds(score(over.events).ttft_s) in said

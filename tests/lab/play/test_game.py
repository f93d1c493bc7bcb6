"""A round is a pure function of its moves, and the engine's own policies are among those who can play it."""

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from engine.errors import BadInput
from engine.events import Deployed, Event, Finished, HandoffEnded, HandoffStarted, StepEnded, StepStarted
from engine.grammar import check
from engine.metrics import summarize
from engine.policy import Job
from engine.scenario import Kind
from engine.sim.cost import LinearCost
from lab.play.game import Play, play, played_by, served_by
from lab.play.moves import step_of
from lab.play.pace import Pace, shipped
from lab.play.par import as_policy
from lab.play.puzzle import LEVELS, MOST_SEED, puzzle

PACE = Pace("test", "", "", LinearCost(0.02, 0.03, 0.0016, 1e-7, 0.001, 1e-6), 23_040)
LEVEL = st.integers(1, len(LEVELS))
SEED = st.integers(0, MOST_SEED)
PLAYED_BY: list[tuple[int, str, Kind]] = [
    (1, "prefill_first", "colocated"),
    (1, "chunked", "chunked"),
    (2, "prefill_only", "disaggregated"),
]


def told(events: Sequence[Event]) -> list[Event]:
    """Without the roles' names, and simultaneous events in one order, as leaps tell the end of a step otherwise."""
    return sorted((one for one in events if not isinstance(one, Deployed)), key=lambda one: (one.t, repr(one)))


def played_at_random(level: int, seed: int, data: Any) -> Play:
    """With moves that are offered."""
    now = play(puzzle(level, seed, PACE), ())
    while not now.over:
        move = data.draw(st.sampled_from([one.move for one in now.open]))
        now = play(now.puzzle, (*now.made, move))
    return now


@pytest.mark.parametrize(("level", "policy", "kind"), PLAYED_BY)
@settings(max_examples=12, deadline=None)
@given(seed=SEED)
def test_playing_a_policy_by_hand_gives_its_log_event_by_event(level: int, policy: str, kind: Kind, seed: int) -> None:
    given_ = puzzle(level, seed, PACE)
    mine, its = play(given_, played_by(given_, as_policy(given_, policy)).made), served_by(given_, kind)
    assert mine.over
    assert told(mine.events) == told(its.events)
    assert summarize(mine.events) == summarize(its.events)


@settings(max_examples=20, deadline=None)
@given(level=LEVEL, seed=SEED, data=st.data())
def test_every_way_through_a_round_serves_every_order(level: int, seed: int, data: Any) -> None:
    over = played_at_random(level, seed, data)
    check(over.events)
    served = {event.request: event for event in over.events if isinstance(event, Finished)}
    assert len(served) == len(over.puzzle.drafts)
    for draft in over.puzzle.drafts:
        assert served[f"r{draft.number + 1}"].output_tokens == draft.output_tokens


@settings(max_examples=12, deadline=None)
@given(level=LEVEL, seed=SEED, data=st.data())
def test_a_step_takes_what_its_button_says(level: int, seed: int, data: Any) -> None:
    now = play(puzzle(level, seed, PACE), ())
    for _ in range(data.draw(st.integers(0, 8))):
        if not now.over:
            now = play(now.puzzle, (*now.made, data.draw(st.sampled_from(now.open)).move))
    for move in (one for one in now.open if one.seconds and one.act != "send"):
        left = deque([*now.made, move.move])
        events = played_by(now.puzzle, lambda ask: left.popleft() if left else ask.offered[0].move).events  # noqa: B023
        mine = [one for one in events if isinstance(one, StepStarted | StepEnded) and one.worker == "worker-0"]
        place = next(n for n, one in enumerate(mine) if isinstance(one, StepStarted) and one.t >= now.t)
        begun, ended = mine[place : place + 2]
        assert ended.t - begun.t == pytest.approx(move.seconds, abs=2e-9)


@settings(max_examples=12, deadline=None)
@given(level=LEVEL, seed=SEED, data=st.data())
def test_a_move_adds_to_what_has_happened_and_undoing_it_takes_only_that_away(level: int, seed: int, data: Any) -> None:
    over = played_at_random(level, seed, data)
    for count in range(len(over.made)):
        before = play(over.puzzle, over.made[:count])
        assert not before.over
        assert before.t == over.made_s[count]
        assert set(before.events) <= set(over.events)
        assert not {event for event in over.events if event.t < before.t} - set(before.events)


@settings(max_examples=20, deadline=None)
@given(level=LEVEL, seed=SEED, said=st.lists(st.text("0123456789:,ps", max_size=6), max_size=12))
def test_whatever_is_said_is_played_or_refused(level: int, seed: int, said: list[str]) -> None:
    with suppress(BadInput):
        play(puzzle(level, seed, PACE), said)


def test_the_tray_that_is_chosen_is_the_next_on_the_pass() -> None:
    given_ = puzzle(2, 1, PACE)
    now = play(given_, ())
    while now.open[0].act != "send":
        now = play(given_, (*now.made, now.open[0].move))
    landed = [event for event in now.events if isinstance(event, HandoffEnded)]
    assert landed[-1].t == now.t  # the pass has just become free
    for move in now.open:
        after = play(given_, (*now.made, move.move)).events
        started = [event.request for event in after if isinstance(event, HandoffStarted)]
        assert started[len(landed)] == f"r{move.orders[0]}"
    with pytest.raises(BadInput, match="one of s"):
        play(given_, (*now.made, "s1"))


def test_plating_on_is_plating_until_somebody_comes_or_is_served() -> None:
    start = play(puzzle(1, 3, PACE), ())
    now = start
    while not any(move.act == "plate-on" for move in now.open):
        now = play(now.puzzle, (*now.made, now.open[0].move))
    on = play(now.puzzle, (*now.made, "pp"))
    step_by_step = now
    while step_by_step.t < on.t:
        step_by_step = play(now.puzzle, (*step_by_step.made, "p"))
    assert step_by_step.events == on.events


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (["9"], "each of them once"),
        (["x"], "such as"),
        (["2:0"], "1 to"),
        (["1"] * 500, "at most 400"),
    ],
)
def test_a_move_that_cannot_be_made_says_why(made: list[str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        play(puzzle(1, 1, shipped("recorded")), made)


@pytest.mark.parametrize("move", ["p", "pp", "1p"])
def test_nothing_is_plated_before_there_is_a_plate(move: str) -> None:
    waiting = [Job(request) for request in puzzle(1, 1, PACE).requests]
    with pytest.raises(BadInput, match="nothing to plate"):
        step_of(move, waiting, [])


@pytest.mark.parametrize(("level", "seed", "pace"), [(0, 1, "recorded"), (1, -1, "recorded"), (1, 1, "no such")])
def test_what_is_no_puzzle_is_refused(level: int, seed: int, pace: str) -> None:
    with pytest.raises(BadInput):
        puzzle(level, seed, shipped(pace))


@pytest.mark.parametrize("pace", ["recorded", "h100"])
def test_every_pace_that_ships_makes_an_even_game(pace: str) -> None:
    """A large prompt lasts long beside a token, and its tray long beside a small one's prep, or nothing is at stake."""
    given_ = shipped(pace)
    assert given_._prep_s(64) > 10 * given_.cost.step_s((), 4, 4 * 128 * given_.scale)
    assert (
        0.25 < given_.link_bytes_per_s / (64 * 16 * given_.scale * given_.kv_bytes_per_token / given_._prep_s(64)) < 4
    )

"""Pages are drawn one after the other, and none of them can hold up the rest for good."""

import threading
from collections.abc import Callable

import pytest

from lab.ui.page_turns import PageTurns
from tests.patience import PATIENCE_S


def beside(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def test_no_two_are_drawn_at_once() -> None:
    turns = PageTurns(PATIENCE_S)
    inside: list[int] = []
    most: list[int] = []

    def page() -> None:
        with turns.in_turn():
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.01)
            inside.pop()

    pages = [beside(page) for _ in range(10)]
    for one in pages:
        one.join(PATIENCE_S)
    assert most == [1] * 10


def test_a_page_that_fails_or_reruns_gives_up_its_turn() -> None:
    turns = PageTurns(PATIENCE_S)
    with turns.in_turn():
        assert turns.busy()
    with pytest.raises(KeyError), turns.in_turn():
        raise KeyError
    assert not turns.busy()
    drawn = threading.Event()

    def page() -> None:
        with turns.in_turn():
            drawn.set()

    beside(page)
    assert drawn.wait(PATIENCE_S)


def test_a_page_waits_for_no_turn_within_its_own() -> None:
    turns = PageTurns(2 * PATIENCE_S)
    drawn = threading.Event()

    def page() -> None:
        with turns.in_turn():
            with turns.in_turn():
                pass
            assert not turns._turn.acquire(blocking=False)  # the page goes on, and the turn is still its own
        with turns.in_turn():
            drawn.set()

    beside(page)
    assert drawn.wait(PATIENCE_S)


def test_a_page_that_waits_for_a_disk_lets_others_draw_and_then_goes_on_alone() -> None:
    turns = PageTurns(2 * PATIENCE_S)
    drawn = threading.Event()

    def page() -> None:
        with turns.in_turn():
            drawn.set()

    with turns.in_turn():
        with turns.out_of_turn():
            beside(page)
            assert drawn.wait(PATIENCE_S)
        assert not turns._turn.acquire(blocking=False)
    assert turns._turn.acquire(blocking=False)
    turns._turn.release()
    with turns.out_of_turn():  # without a turn there is none to give
        assert turns._turn.acquire(blocking=False)
        turns._turn.release()


def test_nobody_waits_for_ever_and_nobody_gives_up_a_turn_of_another() -> None:
    turns = PageTurns(0.01)
    with turns.in_turn():
        drawn = threading.Event()

        def page() -> None:
            with turns.in_turn():
                drawn.set()

        beside(page).join(PATIENCE_S)
        assert drawn.is_set()
        assert not turns._turn.acquire(blocking=False)  # it is still this one's
    assert turns._turn.acquire(blocking=False)

"""Pages are drawn one after the other, and none of them can hold up the rest for good."""

import threading
from collections.abc import Callable

import pytest

from lab.ui import page_turns as turn
from lab.ui.page_turns import in_turn, out_of_turn
from tests.patience import PATIENCE_S


def beside(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def test_no_two_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "LONGEST_S", PATIENCE_S)
    inside: list[int] = []
    most: list[int] = []

    def page() -> None:
        with in_turn():
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.01)
            inside.pop()

    pages = [beside(page) for _ in range(10)]
    for one in pages:
        one.join(PATIENCE_S)
    assert most == [1] * 10


def test_a_page_that_fails_or_is_drawn_anew_gives_its_turn_on() -> None:
    with in_turn():
        assert turn.busy()
    with pytest.raises(KeyError), in_turn():
        raise KeyError
    assert not turn.busy()
    drawn = threading.Event()

    def page() -> None:
        with in_turn():
            drawn.set()

    beside(page)
    assert drawn.wait(PATIENCE_S)


def test_a_page_waits_for_no_turn_within_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "LONGEST_S", 2 * PATIENCE_S)
    drawn = threading.Event()

    def page() -> None:
        with in_turn():
            with in_turn():
                pass
            assert not turn._turn.acquire(blocking=False)  # the page goes on, and the turn is still its own
        with in_turn():
            drawn.set()

    beside(page)
    assert drawn.wait(PATIENCE_S)


def test_who_waits_for_a_disk_lets_others_be_drawn_and_then_goes_on_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "LONGEST_S", 2 * PATIENCE_S)
    drawn = threading.Event()

    def page() -> None:
        with in_turn():
            drawn.set()

    with in_turn():
        with out_of_turn():
            beside(page)
            assert drawn.wait(PATIENCE_S)
        assert not turn._turn.acquire(blocking=False)
    assert turn._turn.acquire(blocking=False)
    turn._turn.release()
    with out_of_turn():  # without a turn there is none to give
        assert turn._turn.acquire(blocking=False)
        turn._turn.release()


def test_nobody_waits_for_ever_and_nobody_gives_on_a_turn_that_was_not_his(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "LONGEST_S", 0.01)
    monkeypatch.setattr(turn, "_turn", threading.Semaphore())
    with in_turn():
        drawn = threading.Event()

        def page() -> None:
            with in_turn():
                drawn.set()

        beside(page).join(PATIENCE_S)
        assert drawn.is_set()
        assert not turn._turn.acquire(blocking=False)  # it is still this one's
    assert turn._turn.acquire(blocking=False)

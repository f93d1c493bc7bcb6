"""A stall in the kitchen's words, and as a motion."""

import pytest

from engine.causes import causes
from engine.stall import Cause, Stall
from lab.scene.motions import motions
from lab.scene.stall_words import headline, kitchen_says
from tests.lab.scene.test_motions import RUNS

SENTENCES = {
    Cause("prefill", "r4", ("r4",), "worker-0", 1024): "while order 4's 1,024 tokens were in prep.",
    Cause("prefill", "r8", ("r4", "r8"), "worker-0", 2048): "while the 2,048 tokens of orders 4 and 8 were in prep.",
    Cause("mixed", "r4", ("r4",), "worker-0", 127): "while 127 tokens of order 4 were prepped in the same step.",
    Cause("tray-ahead", "r4", ("r4",), "worker-0", 1024, 23_600_000): (
        "while tray 4, 23.6 MB, filled the pass ahead of them."
    ),
    Cause("recall", "r1", ("r1",), why="worker-1 is down"): "until they had been prepped once more: worker-1 is down.",
    Cause(
        "left-out", "r2", ("r2",), "worker-0", 12
    ): "while the policy left them out of 12 steps with tokens for others.",
    Cause("none"): "for no reason in this kitchen.",
}


@pytest.mark.parametrize(("cause", "ends"), SENTENCES.items(), ids=[cause.kind for cause in SENTENCES])
def test_sentences(cause: Cause, ends: str) -> None:
    stall = Stall(1.0, 2.8, "worker-0", ("r1", "r2", "r3"), "next", cause)
    assert kitchen_says(stall) == f"Orders 1, 2 and 3 stood still for 1.80 s {ends}"


def test_its_own_tray_before_its_first_token() -> None:
    stall = Stall(1.0, 1.4, "worker-1", ("r4",), "first", Cause("tray", "r4", ("r4",), "worker-0", 1024, 23_600_000))
    assert kitchen_says(stall) == (
        "Order 4 waited for a first token for 0.40 s while its own tray, 23.6 MB, crossed the pass."
    )


@pytest.mark.parametrize("run", RUNS)
def test_every_stall_is_a_motion_with_its_sentence(run: str) -> None:
    log = RUNS[run]()
    drawn = motions(log)
    numbers = {order["request"]: str(order["number"]) for order in drawn if order["kind"] == "order"}
    stalls = [motion for motion in drawn if motion["kind"] == "stall"]
    found = causes(log)
    assert len(stalls) == len(found)
    assert found or run in ("chunked", "three by two")  # whose gaps are all much alike
    for motion, stall in zip(stalls, found, strict=True):
        assert motion["says"] == kitchen_says(stall, numbers.__getitem__)
        assert motion["orders"] == list(stall.requests)
        assert motion["cause"]["kind"] == stall.cause.kind
        assert all(numbers[order] in motion["says"] for order in motion["orders"])


HEADLINES = [
    ([(1.10, ("r1", "r3"), Cause("prefill", "r8", ("r8",)))], "Order 8 froze two answers for 1.10 s"),
    (
        [(0.3, ("r2",), Cause("mixed", "r4", ("r4",))), (0.341, ("r2",), Cause("mixed", "r4", ("r4",)))],
        "Portions of order 4 gave one answer gaps of up to 0.34 s",
    ),
    ([(0.55, ("r4",), Cause("tray", "r4", ("r4",)))], "Order 4 waited for 0.55 s while its tray crossed"),
    (
        [(0.55, ("r4",), Cause("tray", "r4", ("r4",))), (0.3, ("r6", "r7"), Cause("tray-ahead", "r4", ("r4", "r5")))],
        "Tray 4 kept three answers waiting for up to 0.55 s",
    ),
    ([(2.0, ("r1",), Cause("recall", why="worker-1 is down"))], "A fault kept one answer waiting for 2.00 s"),
    ([(2.0, ("r1",), Cause("none"))], "One answer stood still for 2.00 s, for no reason in this kitchen"),
]


@pytest.mark.parametrize(("stalls", "says"), HEADLINES, ids=[says for _, says in HEADLINES])
def test_headlines(stalls: list[tuple[float, tuple[str, ...], Cause]], says: str) -> None:
    known = {f"r{n}": f"{n}" for n in range(1, 9)}
    found = [Stall(0.0, seconds, "w", orders, "next", cause) for seconds, orders, cause in stalls]
    assert headline(found, known.__getitem__) == says

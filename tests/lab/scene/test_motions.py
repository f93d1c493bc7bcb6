"""The fold works for anything that a kitchen can do, and the browser can draw its result at any moment."""

import json
import random
from collections.abc import Callable

import pytest

from engine.events import (
    Arrived,
    Dispatched,
    Event,
    Finished,
    HandoffAccepted,
    HandoffEnded,
    HandoffMoved,
    HandoffOffered,
    HandoffStarted,
    Recalled,
    StepEnded,
    StepStarted,
    TokenMade,
    WorkerDown,
)
from engine.link import LinkSpec
from engine.plan import Slice
from engine.scenario import KINDS, Kind
from lab.scene.motions import Motions, motions
from lab.scene.spans import PLACES, Motion, merged, shortened
from tests.lab.fake_kitchen import Kitchen, cook, deployment, requests


def bad_evening(kitchen: Kitchen) -> None:
    """Both workers die in turn, an order is cancelled, the link narrows, and the deployment changes."""
    kitchen.at(2.2, lambda: kitchen.kill("worker-0"))
    kitchen.at(4.4, lambda: kitchen.kill("worker-1"))
    kitchen.at(2.5, lambda: kitchen.router.cancel("r4", kitchen.t))
    kitchen.at(3.0, lambda: kitchen.router.set_link(LinkSpec(5e6, 0.002), kitchen.t))
    kitchen.at(7.0, lambda: kitchen.router.deploy(deployment("chunked"), kitchen.t))


RUNS: dict[str, Callable[[], list[Event]]] = {
    "colocated": lambda: cook("colocated"),
    "chunked": lambda: cook("chunked"),
    "disaggregated": lambda: cook("disaggregated"),
    "three by two": lambda: cook("disaggregated", requests(40, every_s=0.1), workers=5, prefill_workers=3),
    "four cooks": lambda: cook("colocated", requests(40, every_s=0.1), workers=4),
    "faults": lambda: cook("disaggregated", happenings=bad_evening),
    "co-located faults": lambda: cook("colocated", happenings=bad_evening),
}


@pytest.fixture(scope="module", params=RUNS)
def log(request: pytest.FixtureRequest) -> list[Event]:
    return RUNS[request.param]()


def of_kind(drawn: list[Motion], kind: str) -> list[Motion]:
    return [motion for motion in drawn if motion["kind"] == kind]


def open_at(spans: list[Motion], t: float) -> list[Motion]:
    return [span for span in spans if span["t0"] <= t and (span["t1"] is None or t < span["t1"])]


def test_every_span_ends_and_no_time_runs_backwards(log: list[Event]) -> None:
    for motion in motions(log):
        if "id" not in motion or motion["kind"] == "worker":
            continue
        assert motion["t1"] is not None, motion
        assert motion["t1"] >= motion["t0"], motion


def test_every_update_fits_what_was_said_before(log: list[Event]) -> None:
    """A browser that joins them by id gets the same as the whole log at once; only known trays move."""
    fold = Motions().fold
    updates = [update for event in log for update in fold(event)]
    assert merged(updates) == motions(log)
    known: set[str] = set()
    for update in updates:
        if "id" in update:
            assert update["id"] in known or "t0" in update, update
            known.add(update["id"])
        elif update["kind"] == "moved":
            assert update["tray"] in known
    assert json.loads(json.dumps(updates)) == updates


def test_at_any_moment_an_order_is_in_one_place(log: list[Event]) -> None:
    """Whole trays: waiting, in prep, on the pass, on a plate; between two of them at most for a blink."""
    drawn = motions(log)
    spans = [span for kind in PLACES for span in of_kind(drawn, kind)]
    by_request: dict[str, list[Motion]] = {}
    for span in spans:
        by_request.setdefault(span["request"], []).append(span)
    for order in of_kind(drawn, "order"):
        mine = by_request[order["request"]]
        for step in range(200):
            t = order["t0"] + (order["t1"] - order["t0"]) * step / 200
            assert len(open_at(mine, t)) <= 1, (order, t, open_at(mine, t))


def test_tokens_are_all_there_and_on_the_plate_of_their_worker(log: list[Event]) -> None:
    drawn = motions(log)
    tokens = of_kind(drawn, "token")
    assert len(tokens) == sum(isinstance(event, TokenMade) for event in log)
    assert {order["reason"] for order in of_kind(drawn, "order")} <= {"length", "stop", "cancelled"}
    for order in of_kind(drawn, "order"):
        mine = [token for token in tokens if token["request"] == order["request"]]
        assert [token["index"] for token in mine] == list(range(order["output_tokens"]))
    plates = of_kind(drawn, "plate")
    for token in tokens:
        if token["index"] and not any(role == "prefill_only" for _, role in roles_at(drawn, token["t"])):
            mine = [p for p in plates if p["request"] == token["request"] and p["worker"] == token["worker"]]
            assert any(p["t0"] <= token["t"] <= p["t1"] for p in mine), token


def roles_at(drawn: list[Motion], t: float) -> list[list[str]]:
    roles: list[list[str]] = [point for point in of_kind(drawn, "deployed") if point["t"] <= t][-1]["roles"]
    return roles


def test_prep_pieces_cover_each_prompt(log: list[Event]) -> None:
    """Unless it was given up in between, the pieces of a prep run from its start to all its tokens, without a gap."""
    drawn = motions(log)
    steps = of_kind(drawn, "step")
    troubled = {point["request"] for point in of_kind(drawn, "recalled")}
    for prep in of_kind(drawn, "prep"):
        if prep["request"] in troubled:
            continue
        done = 0
        for step in steps:
            for request, start, tokens in step["pieces"]:
                if request == prep["request"]:
                    assert start == done
                    assert prep["t0"] <= step["t0"]
                    assert step["t1"] <= prep["t1"]
                    done += tokens
        assert done == prep["tokens"]


def test_deployments_look_as_they_should() -> None:
    def modes(kind: Kind) -> set[tuple[str, str]]:
        return {(step["worker"], step["mode"]) for step in of_kind(motions(cook(kind)), "step")}

    assert {mode for _, mode in modes("colocated")} == {"prefill", "decode"}
    assert "mixed" in {mode for _, mode in modes("chunked")}
    assert modes("disaggregated") == {("worker-0", "prefill"), ("worker-1", "decode")}
    trays = {kind: len(of_kind(motions(cook(kind)), "tray")) for kind in KINDS}
    assert trays == {"colocated": 0, "chunked": 0, "disaggregated": 12}


def test_trays_carry_what_was_measured() -> None:
    log = cook("disaggregated", link=LinkSpec(20e6, 0.002))
    drawn = motions(log)
    for tray, ended in zip(
        sorted(of_kind(drawn, "tray"), key=lambda tray: tray["t1"]),
        [event for event in log if isinstance(event, HandoffEnded)],
        strict=True,
    ):
        assert tray["nbytes"] == ended.nbytes
        assert tray["achieved"] == ended.bytes_per_s
        assert tray["verified"] is True
        assert (
            tray["t0"] <= tray["accepted"] <= tray["started"] <= tray["started"] + tray["seconds"] <= tray["t1"] + 1e-5
        )
        moved = [point for point in of_kind(drawn, "moved") if point["tray"] == tray["id"]]
        assert moved[-1]["bytes"] == tray["nbytes"]
        assert all(tray["started"] <= point["t"] <= tray["t1"] for point in moved)


def test_events_of_different_workers_may_come_in_any_order() -> None:
    """Within a stream order is kept; which stream is heard first must not change what can be seen, only when."""
    log = cook("disaggregated", requests(6))
    streams: dict[str, list[Event]] = {}
    for event in log:
        streams.setdefault(getattr(event, "worker", "router"), []).append(event)
    rng = random.Random(3)
    for _ in range(20):
        heard: list[Event] = []
        late = {name: rng.uniform(0, 0.03) for name in streams}
        tagged = [(event.t + late[name], n, event) for name, s in streams.items() for n, event in enumerate(s)]
        heard = [event for _, _, event in sorted(tagged, key=lambda item: item[:2])]
        drawn = motions(heard)
        assert {m["request"] for m in of_kind(drawn, "order")} == {f"r{n}" for n in range(6)}
        assert len(of_kind(drawn, "token")) == sum(isinstance(event, TokenMade) for event in log)
        assert all(m["t1"] is not None for m in drawn if "id" in m and m["kind"] != "worker")


def test_a_dead_worker_holds_nothing_and_its_orders_queue_again() -> None:
    log: list[Event] = [
        Arrived(0.0, "a", 100, 5),
        Dispatched(0.0, "a", "p"),
        StepStarted(0.1, "p", (Slice("a", 0, 60),), 0, 7, 100),
        WorkerDown(0.2, "p", "killed"),
        Recalled(0.2, "a", "p is down"),
        Dispatched(0.3, "a", "q"),
        StepStarted(0.3, "q", (Slice("a", 0, 100),), 0, 7, 100),
        StepEnded(0.5, "q"),
        TokenMade(0.5, "q", "a", 0, 1, "hi"),
    ]
    drawn = motions(log)
    lost, again = of_kind(drawn, "prep")
    assert (lost["worker"], lost["t1"]) == ("p", 0.2)
    assert (again["worker"], again["t0"], again["t1"]) == ("q", 0.3, 0.5)
    assert [(step["worker"], step.get("cut")) for step in of_kind(drawn, "step")] == [("p", True), ("q", None)]
    first, second = of_kind(drawn, "ticket")
    assert (first["again"], second["again"], second["worker"], second["t1"]) == (False, True, "q", 0.3)
    (plate,) = of_kind(drawn, "plate")
    assert (plate["worker"], plate["t1"]) == ("q", None)


def test_an_order_with_tokens_is_prepped_with_them() -> None:
    fold = Motions().fold
    for event in (
        Arrived(0, "a", 10, 5),
        StepStarted(0, "p", (Slice("a", 0, 10),), 0, 1, 9),
        StepEnded(1, "p"),
        TokenMade(1, "p", "a", 0, 1),
        TokenMade(2, "p", "a", 1, 1),
        Recalled(3, "a", "p is down"),
    ):
        fold(event)
    (closed, prep, step, *_) = fold(StepStarted(4, "q", (Slice("a", 0, 12),), 0, 1, 9))
    assert closed["kind"] == "ticket"
    assert (prep["kind"], prep["tokens"]) == ("prep", 12)
    assert step["mode"] == "prefill"


def test_the_last_prompt_token_again_is_plating() -> None:
    """Where the decode worker makes the first token, its first slice lies in the prompt, and is decode all the same."""
    log: list[Event] = [
        Arrived(0, "a", 10, 5),
        StepStarted(0, "p", (Slice("a", 0, 10),), 0, 1, 9),
        StepEnded(1, "p"),
        HandoffOffered(1, "a", "p", "d", 500),
        HandoffEnded(2, "a", "p", "d", 500, 1.0, 500.0, None, True),
        StepStarted(2, "d", (Slice("a", 9, 1),), 0, 1, 9),
    ]
    drawn = motions(log)
    assert [step["mode"] for step in of_kind(drawn, "step")] == ["prefill", "decode"]
    assert [(plate["worker"], plate["t0"]) for plate in of_kind(drawn, "plate")][-1] == ("d", 2)


def test_a_tray_that_did_not_match_brings_no_plate() -> None:
    log: list[Event] = [
        Arrived(0, "a", 10, 5),
        HandoffOffered(1, "a", "p", "d", 500),
        HandoffStarted(1, "a", "p", "d", 500, "shm", 1e6),
        HandoffMoved(1.5, "a", "p", "d", 250),
        HandoffEnded(2, "a", "p", "d", 500, 1.0, 500.0, 1e6, False),
        Recalled(2, "a", "the checksum does not match"),
    ]
    drawn = motions(log)
    assert of_kind(drawn, "plate") == []
    assert of_kind(drawn, "tray")[0]["verified"] is False
    assert len(of_kind(drawn, "ticket")) == 2


def test_what_comes_after_the_end_opens_nothing() -> None:
    log: list[Event] = [
        Arrived(0, "a", 10, 5),
        HandoffOffered(1, "a", "p", "d", 500),
        Finished(1.2, "a", "cancelled", 0),
        HandoffAccepted(1.3, "a", "p", "d"),
        HandoffEnded(1.4, "a", "p", "d", 500, 0.1, 5e3, None, True),
        StepStarted(1.5, "d", (Slice("a", 10, 1),), 0, 1, 9),
        Dispatched(1.6, "a", "p"),
    ]
    still = [m["kind"] for m in motions(log) if m.get("t1", 0) is None]
    assert still == ["step"]


def test_prompts_are_shortened() -> None:
    assert shortened("a  b\nc") == "a b c"
    assert len(shortened("word " * 100)) == 90

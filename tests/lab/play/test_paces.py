"""Whose step times a round is played with, and that it keeps them."""

import msgspec
import pytest

from engine.errors import BadInput
from engine.events import StepEnded
from engine.log import Log
from lab.play.paces import HERE, Paces
from lab.scene.recordings import recorded


def names(paces: Paces) -> list[str]:
    return [pace.name for pace in paces.offered()]


def slowed(log: Log) -> Log:
    """Something else had the cores for nearly all of its time."""
    events = [msgspec.structs.replace(e, cpu_s=1e-6) if isinstance(e, StepEnded) else e for e in log.events]
    return msgspec.structs.replace(log, events=tuple(events))


def test_without_runs_of_its_own_a_lab_has_those_that_ship() -> None:
    assert names(Paces(lambda _: [])) == ["recorded", "h100"]


def test_a_labs_own_runs_come_first_and_a_round_keeps_the_pace_that_it_began_with() -> None:
    logs = [recorded("disaggregated")]
    paces = Paces(lambda _: logs)
    first = names(paces)[0]
    assert first.startswith(HERE)
    assert names(paces)[0] == first
    logs.append(recorded("chunked"))
    second = names(paces)[0]
    assert second not in (first, "recorded")
    assert paces.of(first).cost != paces.of(second).cost
    logs.clear()
    assert names(paces)[0] == second


def test_runs_that_cannot_tell_do_not_count() -> None:
    assert names(Paces(lambda _: [recorded("colocated")]))[0] == "recorded"  # no tray
    assert names(Paces(lambda _: [slowed(recorded("disaggregated"))]))[0] == "recorded"
    assert names(Paces(lambda _: [msgspec.structs.replace(recorded("disaggregated"), events=())]))[0] == "recorded"


def test_a_pace_that_is_not_known_any_more_is_refused_in_a_sentence() -> None:
    with pytest.raises(BadInput, match="begin another round"):
        Paces(lambda _: []).of(HERE + "00000000")

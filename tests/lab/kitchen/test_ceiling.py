"""What a road carries at most: said only of trays that no link held back, and marked where the link is set."""

from typing import Literal

import pytest
from msgspec.structs import replace

from engine.events import Event, HandoffEnded, HandoffStarted
from engine.link import LinkSpec
from engine.scenario import Deployment, Scenario, TransportName
from lab.kitchen.controls import ceiling_says
from lab.runs.ceiling import carried, fastest_of
from lab.runs.run_feed import Run

SPLIT = Scenario(Deployment("disaggregated"), LinkSpec(None, 0.0))


def tray(request: str, bytes_per_s: float, link: float | None = None, transport: TransportName = "shm") -> list[Event]:
    nbytes, seconds = 1_000_000, 1_000_000 / bytes_per_s
    return [
        HandoffStarted(0.0, request, "worker-0", "worker-1", nbytes, transport, link),
        HandoffEnded(seconds, request, "worker-0", "worker-1", nbytes, seconds, bytes_per_s, link, True),
    ]


def test_the_fastest_tray_counts_that_no_link_held_back() -> None:
    events = [*tray("r1", 2e9), *tray("r2", 3e9), *tray("r3", 9e9, link=10e9), *tray("r4", 1e9, transport="tcp")]
    assert carried(SPLIT, events) == {"shm": 3e9, "tcp": 1e9}
    assert carried(SPLIT, []) == {}


@pytest.mark.parametrize(("ship", "said"), [("whole", {"shm": 2e9}), ("layers", {})])
def test_a_tray_that_waits_for_its_prefill_says_nothing_of_the_road(
    ship: Literal["whole", "layers"], said: dict[str, float]
) -> None:
    scenario = replace(SPLIT, deployment=replace(SPLIT.deployment, ship=ship))
    assert carried(scenario, tray("r1", 2e9)) == said


def test_a_run_knows_it_once_it_is_over() -> None:
    run = Run("one", SPLIT)
    run.events += tray("r1", 2e9)
    assert run.carried == {}
    run.end()
    assert run.carried == {"shm": 2e9}


def test_of_all_runs_the_best_counts() -> None:
    runs = [{"shm": 2e9}, {}, {"shm": 3e9, "tcp": 1e9}]
    assert fastest_of(runs, "shm") == 3e9
    assert fastest_of(runs, "nixl") is None


def test_a_link_beyond_it_is_called_so() -> None:
    measured = "Measured here: 3 GB/s at most, unpaced, over shm."
    assert ceiling_says(3e9, 1e9, "shm") == ceiling_says(3e9, None, "shm") == measured
    assert ceiling_says(3e9, 10e9, "shm") == f"{measured} The link that is set cannot be reached."

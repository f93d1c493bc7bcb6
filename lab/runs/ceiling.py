"""What the road between two workers carries at most: the fastest tray that no link held back, measured in this lab."""

from collections.abc import Iterable, Sequence

from engine.events import Event, HandoffEnded, HandoffStarted
from engine.scenario import Scenario


def carried(scenario: Scenario, events: Sequence[Event]) -> dict[str, float]:
    """Bytes/s of a run's fastest unpaced tray, by transport; empty without one. A tray that leaves layer by layer waits
    for its prefill, and so says nothing of the road."""
    if scenario.deployment.ship == "layers":
        return {}
    over: dict[str, str] = {}
    fastest: dict[str, float] = {}
    for event in events:
        if isinstance(event, HandoffStarted):
            over[event.request] = event.transport
        elif isinstance(event, HandoffEnded) and event.configured_bytes_per_s is None and event.request in over:
            transport = over.pop(event.request)
            fastest[transport] = max(event.bytes_per_s, fastest.get(transport, 0.0))
    return fastest


def fastest_of(runs: Iterable[dict[str, float]], transport: str) -> float | None:
    """The most that any of these runs carried over this transport."""
    return max((run[transport] for run in runs if transport in run), default=None)

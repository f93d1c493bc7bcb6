"""Simulate a kitchen for display, in its own process: `python -m lab.clusters.simulate_kitchen`.

It reads a SimulatedKitchen as JSON from stdin and writes one line of JSON with everything that the scene draws.
"""

import os
import sys
from collections.abc import Sequence

import msgspec

from engine.errors import BadInput
from engine.fleet.sweep.sweep import Refused, Sweep, bench
from engine.scenario import KINDS, Kind, number, one_of, whole
from lab.scene.motions import motions
from lab.scene.spans import Motion

SPAN_S = 15.0  # how long orders arrive, unless that makes too many or too few to watch
FEWEST, MOST = 24, 900  # requests
MOST_EACH = 30  # requests per worker: with more, a congested link takes long to simulate
MOVES = 8  # updates per tray


class SimulatedKitchen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One deployment of a sweep's site under one load. `prefill_workers`: 0 unless it is disaggregated."""

    sweep: Sweep
    kind: Kind
    prefill_workers: int
    rate_per_s: float

    def checked(self) -> "SimulatedKitchen":
        """The kitchen itself. Raises BadInput if it can't be simulated."""
        self.sweep.checked()
        one_of("deployment", self.kind, KINDS)
        number("rate", self.rate_per_s, above=0, unit="requests/s")
        if self.kind == "disaggregated":
            whole("prefill workers", self.prefill_workers, 1, bench(self.sweep).workers - 1)
        return self

    @property
    def requests(self) -> int:
        """How many orders are simulated."""
        most = min(MOST, MOST_EACH * bench(self.sweep).workers)
        return min(most, max(FEWEST, round(SPAN_S * self.rate_per_s)))


class SimulatedRun(msgspec.Struct, frozen=True, tag="seen"):
    """`motions`: JSON, which only the browser reads; the last one ends at `ends_s`."""

    motions: msgspec.Raw
    ends_s: float


def simulated(asked: SimulatedKitchen) -> SimulatedRun:
    """Simulate the kitchen. Raises BadInput."""
    asked.checked()
    record = bench(asked.sweep).record(asked.kind, asked.prefill_workers, asked.rate_per_s, asked.requests)
    ends_s = max(event.t for event in record)
    return SimulatedRun(msgspec.Raw(msgspec.json.encode(condensed(motions(record)))), ends_s)


def condensed(drawn: Sequence[Motion]) -> list[Motion]:
    """The same motions with one entry for all tokens of a step (they have no text), and few updates per tray."""
    out: list[Motion] = []
    sizes = {motion["id"]: motion["nbytes"] for motion in drawn if motion["kind"] == "tray"}
    told: dict[str, int] = {}
    for motion in drawn:
        last = out[-1] if out else {}
        match motion:
            case {"kind": "token", "text": "", "t": t, "worker": worker, "request": request}:
                if last.get("kind") == "leap" and (last["worker"], last["ends"]) == (worker, [t]):
                    last["requests"].append(request)
                else:
                    out.append({"kind": "leap", "t": t, "worker": worker, "requests": [request], "ends": [t]})
            case {"kind": "moved", "tray": tray, "bytes": moved}:
                if moved == sizes[tray] or moved - told.get(tray, 0) >= sizes[tray] / MOVES:
                    told[tray] = moved
                    out.append(motion)
            case _:
                out.append(motion)
    return out


def main() -> None:
    """Serve one kitchen; an invalid one is answered with `Refused`."""
    os.nice(10)  # the lab's pages go first
    said: SimulatedRun | Refused
    try:
        said = simulated(msgspec.json.decode(sys.stdin.buffer.read(), type=SimulatedKitchen))
    except (BadInput, msgspec.DecodeError) as wrong:
        said = Refused(str(wrong))
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")


if __name__ == "__main__":
    main()

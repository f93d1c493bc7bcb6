"""Simulate a kitchen for display, in its own process: `python -m lab.clusters.simulate_kitchen`.

It reads a PlansKitchen as JSON from stdin and writes one line of JSON with everything that the scene draws.
"""

import os
import sys
from collections.abc import Sequence

import msgspec

from engine.errors import BadInput
from engine.fleet.advisor.candidates import Candidate
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.simulation import kind_of, recorded
from engine.fleet.sweep.said import Refused
from engine.scenario import Kind, number
from engine.sim.leap import Happening
from lab.scene.motions import motions
from lab.scene.spans import Motion

SPAN_S = 15.0  # how long orders arrive, unless that makes too many or too few to watch
FEWEST, MOST = 24, 900  # requests
MOST_EACH = 30  # requests per worker: with more, a congested link takes long to simulate
MOVES = 8  # updates per tray


class PlansKitchen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A candidate of the advisor's under the question's load, at `rate_per_s`."""

    question: Question
    candidate: Candidate
    rate_per_s: float

    def checked(self) -> "PlansKitchen":
        """The kitchen itself. Raises BadInput if it can't be simulated."""
        self.question.checked()
        number("rate", self.rate_per_s, above=0, unit="requests/s")
        return self

    @property
    def kind(self) -> Kind:
        """The deployment that it is."""
        return kind_of(self.question, self.candidate)

    @property
    def requests(self) -> int:
        """How many orders are simulated."""
        pools = [pool for pool in (self.candidate.both, self.candidate.prefill, self.candidate.decode) if pool]
        most = min(MOST, MOST_EACH * sum(pool.replicas for pool in pools))
        return min(most, max(FEWEST, round(SPAN_S * self.rate_per_s)))

    def record(self) -> list[Happening]:
        """Everything that happens in it."""
        return recorded(self.question, self.candidate, self.rate_per_s, self.requests)


class SimulatedRun(msgspec.Struct, frozen=True, tag="seen"):
    """`motions`: JSON, which only the browser reads; the last one ends at `ends_s`."""

    motions: msgspec.Raw
    ends_s: float


def simulated(asked: PlansKitchen) -> SimulatedRun:
    """Simulate the kitchen. Raises BadInput."""
    record = asked.checked().record()
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
        said = simulated(msgspec.json.decode(sys.stdin.buffer.read(), type=PlansKitchen))
    except (BadInput, msgspec.DecodeError) as wrong:
        said = Refused(str(wrong))
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")


if __name__ == "__main__":
    main()

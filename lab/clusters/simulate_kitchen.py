"""A simulated kitchen to look at, made in a process of its own: `python -m lab.clusters.simulate_kitchen`.

What is to be watched comes as JSON on stdin; out goes one line of JSON with all that the scene draws.
"""

import os
import sys
from collections.abc import Sequence

import msgspec

from engine.errors import BadInput
from engine.fleet.sweep.sweep import Refused, Sweep, bench
from engine.scenario import KINDS, Kind, number, one_of, whole
from lab.scene.motions import Motion, motions

SPAN_S = 15.0  # of arrivals, unless those are too many or too few to look at
FEWEST, MOST = 24, 900  # requests
MOST_EACH = 30  # requests a worker, else a crowded link takes long to simulate
MOVES = 8  # of a tray, that are told


class Watch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One deployment of a sweep's site under one load. `prefill_workers` 0: it has none."""

    sweep: Sweep
    kind: Kind
    prefill_workers: int
    rate_per_s: float

    def checked(self) -> "Watch":
        """Itself, if it can be simulated; else BadInput with one sentence."""
        self.sweep.checked()
        one_of("deployment", self.kind, KINDS)
        number("rate", self.rate_per_s, above=0, unit="requests/s")
        if self.kind == "disaggregated":
            whole("prefill workers", self.prefill_workers, 1, bench(self.sweep).workers - 1)
        return self

    @property
    def requests(self) -> int:
        most = min(MOST, MOST_EACH * bench(self.sweep).workers)
        return min(most, max(FEWEST, round(SPAN_S * self.rate_per_s)))


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """`motions` as JSON, which only the browser reads. The last one ends at `ends_s`."""

    motions: msgspec.Raw
    ends_s: float


def seen(watch: Watch) -> Seen:
    """Raises BadInput."""
    watch.checked()
    record = bench(watch.sweep).record(watch.kind, watch.prefill_workers, watch.rate_per_s, watch.requests)
    ends_s = max(event.t for event in record)
    return Seen(msgspec.Raw(msgspec.json.encode(gathered(motions(record)))), ends_s)


def gathered(drawn: Sequence[Motion]) -> list[Motion]:
    """The same with tokens of one step said at once (they have no text), and of a tray's way as much as shows."""
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
    os.nice(10)  # whoever only looks at pages goes first
    said: Seen | Refused
    try:
        said = seen(msgspec.json.decode(sys.stdin.buffer.read(), type=Watch))
    except (BadInput, msgspec.DecodeError) as wrong:
        said = Refused(str(wrong))
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")


if __name__ == "__main__":
    main()

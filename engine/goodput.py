"""Which requests met their service level objectives, and how many a second did, live or simulated.

As vLLM and DistServe count: a request is good if it met every SLO set; one that failed or never ended is not.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from engine.errors import BadInput


class Timed(Protocol):
    """`engine.metrics.RequestResult`, or a simulated request."""

    @property
    def ttft_s(self) -> float | None: ...
    @property
    def e2e_s(self) -> float | None: ...
    @property
    def output_tokens(self) -> int: ...
    @property
    def finished(self) -> str: ...


class Slo(msgspec.Struct, frozen=True):
    """Service level objectives, in seconds; None: not set."""

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None

    def checked(self) -> "Slo":
        """The SLOs themselves. Raises BadInput if one is not above 0."""
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if value is not None and not value > 0:
                raise BadInput(field.replace("_s", "").upper() + " SLO", value, "above 0, in seconds")
        return self

    def met_by(self, request: Timed) -> bool:
        """Whether the request finished normally and within every limit that is set."""
        ttft_s, e2e_s = request.ttft_s, request.e2e_s
        if request.finished not in ("stop", "length") or ttft_s is None or e2e_s is None:
            return False
        gaps = request.output_tokens - 1
        tpot_s = (e2e_s - ttft_s) / gaps if gaps > 0 else 0.0
        wanted = ((self.ttft_s, ttft_s), (self.tpot_s, tpot_s), (self.e2e_s, e2e_s))
        return all(limit is None or value <= limit for limit, value in wanted)


def attainment(requests: Sequence[Timed], slo: Slo) -> float:
    """The share of the requests that met every SLO; 0 if there was none."""
    return sum(slo.met_by(request) for request in requests) / len(requests) if requests else 0.0


def goodput_per_s(requests: Sequence[Timed], slo: Slo, span_s: float, gpus: int = 1) -> float:
    """Requests a second that met every SLO, per GPU."""
    return sum(slo.met_by(request) for request in requests) / span_s / gpus if span_s else 0.0

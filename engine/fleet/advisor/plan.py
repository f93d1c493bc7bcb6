"""The deployment that the advisor recommends and the exports write: its pools, GPUs, fabric and load."""

from typing import Literal, get_args

import msgspec

from engine.errors import BadInput
from engine.fleet.catalog.hardware import FabricSpec, GpuSpec, fabric, gpu
from engine.scenario import number, one_of, whole

Verdict = Literal["colocate", "colocate-chunked", "disaggregate", "conditional", "fix-first"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
SAID: dict[Verdict, str] = {
    "colocate": "co-locate, with whole prompts",
    "colocate-chunked": "co-locate, with chunked prefill",
    "disaggregate": "disaggregate (split prefill from decode)",
    "conditional": "disaggregate long prompts only",
    "fix-first": "fix the fabric first",
}
WHOLE = 0  # tokens of a chunk: prompts are not cut, each runs in a step of its own


class Pool(msgspec.Struct, frozen=True):
    """`replicas` workers of `tp` GPUs each. `gpu`: a name from data/gpus.toml."""

    gpu: str
    replicas: int
    tp: int = 1

    @property
    def gpus(self) -> int:
        """How many GPUs the pool has."""
        return self.replicas * self.tp


class Plan(msgspec.Struct, frozen=True):
    """Either `both` (every worker prefills and decodes), or `prefill` and `decode`.

    `model`: its hub id. `chunk_tokens`: the token budget of a step that prefill and decode share, or `WHOLE`. `fabric`:
    a name from data/fabrics.toml. `remote_above_tokens`: with the verdict "conditional", prompts with more uncached
    tokens than this are prefilled elsewhere.
    """

    verdict: Verdict
    model: str
    fabric: str
    isl_tokens: int
    osl_tokens: int
    ttft_slo_s: float
    itl_slo_s: float
    both: Pool | None = None
    prefill: Pool | None = None
    decode: Pool | None = None
    chunk_tokens: int = 2048
    remote_above_tokens: int | None = None

    @property
    def split(self) -> tuple[Pool, Pool] | None:
        """The prefill and the decode pool, if there are two."""
        return (self.prefill, self.decode) if self.prefill and self.decode else None

    @property
    def pools(self) -> dict[str, Pool]:
        """The plan's pools by role: "worker", or "prefill" and "decode"."""
        named = {"worker": self.both, "prefill": self.prefill, "decode": self.decode}
        return {role: pool for role, pool in named.items() if pool}

    @property
    def gpus(self) -> int:
        """How many GPUs the plan has in all."""
        return sum(pool.gpus for pool in self.pools.values())

    @property
    def road(self) -> FabricSpec:
        """The fabric. Raises BadInput if its name is unknown."""
        return fabric(self.fabric)

    @property
    def shape(self) -> str:
        """As people write it: 2P1D (P of TP 4, D of TP 8), or 4 × TP 1."""
        if self.split:
            prefill, decode = self.split
            return f"{prefill.replicas}P{decode.replicas}D (P of TP {prefill.tp}, D of TP {decode.tp})"
        (only,) = self.pools.values()
        return f"{only.replicas} × TP {only.tp}"

    def checked(self) -> "Plan":
        """The plan itself. Raises BadInput if it cannot be built."""
        one_of("verdict", self.verdict, VERDICTS)
        if set(self.pools) not in ({"worker"}, {"prefill", "decode"}):
            raise BadInput("pools", ", ".join(self.pools) or "none", "either both, or prefill and decode")
        if self.verdict in ("disaggregate", "conditional") and not self.split:
            raise BadInput("pools", ", ".join(self.pools), f"prefill and decode when the verdict is {self.verdict}")
        if (self.remote_above_tokens is None) == (self.verdict == "conditional"):
            allowed = "given exactly when the verdict is conditional"
            raise BadInput("remote above tokens", self.remote_above_tokens, allowed)
        for role, pool in self.pools.items():
            whole(f"{role} replicas", pool.replicas, 1, 10_000)
            whole(f"{role} tp", pool.tp, 1, gpu_of(pool).node_gpus)  # across nodes it takes more than these exports
        self._joined()
        if self.chunk_tokens != WHOLE:
            whole("chunk tokens", self.chunk_tokens, 16, 1_000_000)
        whole("isl tokens", self.isl_tokens, 1, 10_000_000)
        whole("osl tokens", self.osl_tokens, 1, 10_000_000)
        number("ttft slo", self.ttft_slo_s, above=0, unit="seconds")
        number("itl slo", self.itl_slo_s, above=0, unit="seconds")
        return self

    def _joined(self) -> None:
        """Raises BadInput if the fabric cannot join the two pools."""
        if not self.split or self.road.kind not in ("nvlink", "pcie") or self.fabric == "nvl72":
            return
        prefill, decode = self.split
        if prefill.gpu != decode.gpu or self.gpus > gpu_of(prefill).node_gpus:
            allowed = f"one that reaches other nodes: {self.shape} on {self.gpus} GPUs does not fit into one"
            raise BadInput("fabric", self.fabric, allowed)


def gpu_of(pool: Pool) -> GpuSpec:
    """The GPU of a pool. Raises BadInput if its name is unknown."""
    return gpu(pool.gpu)

"""A model's shape, and what follows from it: parameters, KV bytes, FLOPs and bytes read. No torch.

A multiply-add counts as 2 FLOPs; attention is causal. Sources: vLLM's analytic model (vllm/v1/metrics/perf.py),
DistServe's appendix A, and DeepSeek-V2's paper for latent attention.
"""

import msgspec

from engine.fleet.catalog.precision import kv_bytes, precision

TABLE_BYTES = 2.0  # of a number in embedding table and head, which quantised checkpoints keep at 16 bits


class Latent(msgspec.Struct, frozen=True):
    """Multi-head latent attention: one latent of `rank` + `rope_dim` per token and layer instead of keys and values."""

    rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int
    query_rank: int = 0


class Experts(msgspec.Struct, frozen=True):
    """Routed experts in `layers` of the layers; `shared_ffn`: the total width of the experts that are always active.

    `precision`: the format of their weights, which may be narrower than the rest of the model.
    """

    layers: int
    count: int
    active: int
    ffn: int
    shared_ffn: int = 0
    precision: str = "bf16"


class ModelShape(msgspec.Struct, frozen=True):
    """`gated`: an FFN has three matrices instead of two. `windowed_layers` see only the last `window` tokens.

    `state_layers` have no KV: linear attention, Mamba, convolutions, cross-attention. Together they keep `state_bytes`
    per sequence, however long it is. `index_bytes`: what a sparse attention's indexer adds per token and layer.
    `precision`: of attention and dense FFNs; embeddings and head stay at 16 bits. `kv_element_bytes`: 2 for a bf16 KV
    cache, 1 for fp8. `exact_params`: counted from the model's classes (0: use the formulas below). `stored_bytes`: of
    all weights, as their files' headers say (0: use the formulas). `assumed`: what the file left open, one sentence
    each.
    """

    name: str
    label: str
    source: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    hub: str = ""
    gated: bool = True
    tied: bool = False
    latent: Latent | None = None
    experts: Experts | None = None
    windowed_layers: int = 0
    window: int = 0
    precision: str = "bf16"
    kv_element_bytes: int = 2
    state_layers: int = 0
    state_bytes: int = 0
    index_bytes: int = 0
    exact_params: int = 0
    stored_bytes: int = 0
    assumed: tuple[str, ...] = ()

    def served(self, precision_name: str = "", kv_dtype: str = "") -> "ModelShape":
        """The same model with weights and KV in other formats; "" keeps the file's. Raises BadInput.

        As in published checkpoints, 4-bit formats of mixture-of-experts models quantise only the routed experts.
        """
        shape = self
        if precision_name:
            shape = msgspec.structs.replace(shape, stored_bytes=0)
            width = precision(precision_name).bytes
            if self.experts:
                experts = msgspec.structs.replace(self.experts, precision=precision_name)
                shape = msgspec.structs.replace(shape, experts=experts)
            if not self.experts or width >= 1:
                shape = msgspec.structs.replace(shape, precision=precision_name)
        return msgspec.structs.replace(shape, kv_element_bytes=kv_bytes(kv_dtype)) if kv_dtype else shape

    @property
    def formats(self) -> str:
        """The formats of weights and KV, in words."""
        kv = "fp8" if self.kv_element_bytes == 1 else "bf16"
        routed = self.experts.precision if self.experts else self.precision
        weights = (
            f"{self.precision} weights" if routed == self.precision else f"{self.precision} weights, {routed} experts"
        )
        return f"{weights} and {kv} KV"

    # ---- parameters

    @property
    def params(self) -> int:
        """All parameters; without `exact_params`, norms and biases are left out (below 0.1 %)."""
        every = self._routed(self.experts.count if self.experts else 0)
        return self.exact_params or self._always_on + self._embeddings + every

    @property
    def active_params(self) -> int:
        """The parameters that one token uses, embeddings included."""
        return self.matmul_params + self._embeddings

    @property
    def matmul_params(self) -> int:
        """The parameters in the layers that one token is multiplied with: no embedding table, no head."""
        return self._always_on + self._routed(self.experts.active if self.experts else 0)

    @property
    def weight_bytes(self) -> float:
        """The size of all weights."""
        if self.stored_bytes:
            return float(self.stored_bytes)
        return self.read_bytes(self.experts.count if self.experts else 0) + self._table_only * TABLE_BYTES

    # ---- KV

    @property
    def kv_bytes_per_token(self) -> int:
        """The KV of one more token, once all windows are full."""
        return self.full_layers * self.kv_bytes_per_layer

    def kv_bytes(self, tokens: int) -> int:
        """The KV of a context of `tokens`, states included: what a handoff sends."""
        seen = min(tokens, self.window)
        windowed = self.windowed_layers * self.kv_bytes_per_layer * seen
        return self.state_bytes + self.kv_bytes_per_token * tokens + windowed

    # ---- work

    @property
    def full_layers(self) -> int:
        """How many layers have full attention."""
        return self.layers - self.windowed_layers - self.state_layers

    def read_bytes(self, experts: float) -> float:
        """Bytes of weights that a step reads if it uses so many experts of every layer; without the embedding table."""
        routed = self._routed(experts) * precision(self.experts.precision).bytes if self.experts else 0.0
        return self._always_on * precision(self.precision).bytes + self.head_params * TABLE_BYTES + routed

    @property
    def dense_params(self) -> int:
        """Parameters in the layers that every token uses: attention, dense FFNs, shared experts, routers."""
        return self._always_on

    @property
    def expert_params(self) -> int:
        """Parameters of one routed expert in each layer that has any."""
        return self._routed(1)

    @property
    def head_params(self) -> int:
        """Parameters of the head, which the embedding table also has."""
        return self.vocab * self.hidden

    @property
    def kv_bytes_per_layer(self) -> int:
        """KV bytes of one token in one layer with attention."""
        if self.latent:
            return (self.latent.rank + self.latent.rope_dim) * self.kv_element_bytes + self.index_bytes
        return 2 * self.kv_heads * self.head_dim * self.kv_element_bytes + self.index_bytes

    def attention_flops(self, *, absorbed: bool) -> float:
        """FLOPs per layer and pair of tokens: score and weighted sum. `absorbed`: on the latents, as in decode."""
        if self.latent is None:
            return 4.0 * self.heads * self.head_dim
        part = self.latent
        if absorbed:
            return 2.0 * self.heads * (2 * part.rank + part.rope_dim)
        return 2.0 * self.heads * (part.nope_dim + part.rope_dim + part.value_dim)

    # ---- parts

    @property
    def _table_only(self) -> int:
        """An embedding table that is only looked up; a tied one is the head as well."""
        return 0 if self.tied else self.head_params

    @property
    def _embeddings(self) -> int:
        return self.head_params + self._table_only

    @property
    def _attention_params(self) -> int:
        if self.latent is None:
            return self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        part = self.latent
        query = self.heads * (part.nope_dim + part.rope_dim)
        queries = part.query_rank * (self.hidden + query) if part.query_rank else self.hidden * query
        down = self.hidden * (part.rank + part.rope_dim)
        up = part.rank * self.heads * (part.nope_dim + part.value_dim)
        return queries + down + up + self.heads * part.value_dim * self.hidden

    @property
    def _always_on(self) -> int:
        if self.exact_params:
            return self.exact_params - self._embeddings - self._routed(self.experts.count if self.experts else 0)
        wide = 3 if self.gated else 2
        dense = (self.layers - (self.experts.layers if self.experts else 0)) * wide * self.hidden * self.ffn
        routers = self.experts.layers * self.hidden * self.experts.count if self.experts else 0
        shared = self.experts.layers * wide * self.hidden * self.experts.shared_ffn if self.experts else 0
        return self.layers * self._attention_params + dense + routers + shared

    def _routed(self, experts: float) -> int:
        """Parameters of so many experts in every layer that has any."""
        if self.experts is None:
            return 0
        return round(self.experts.layers * experts * (3 if self.gated else 2) * self.hidden * self.experts.ffn)

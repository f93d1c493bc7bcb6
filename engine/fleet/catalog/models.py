"""A model's shape, and what follows from it: parameters, KV bytes, FLOPs and bytes read. No torch.

The formulas count a multiply-add as 2 FLOPs and attention causally. Where they come from: vLLM's analytic model
(vllm/v1/metrics/perf.py), DistServe's appendix A, DeepSeek-V2's paper for the latent attention.
"""

import msgspec

from engine.fleet.catalog.precision import kv_bytes, precision

TABLE_BYTES = 2.0  # of a number in embedding table and head, which quantised checkpoints leave as they are


class Latent(msgspec.Struct, frozen=True):
    """Multi-head latent attention: one latent of `rank` + `rope_dim` per token and layer instead of keys and values."""

    rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int
    query_rank: int = 0


class Experts(msgspec.Struct, frozen=True):
    """Routed experts in `layers` of the layers; `shared_ffn` is the width of those that are always on.

    `precision`: what their weights are kept in, which may be narrower than the rest of the model.
    """

    layers: int
    count: int
    active: int
    ffn: int
    shared_ffn: int = 0
    precision: str = "bf16"


class ModelShape(msgspec.Struct, frozen=True):
    """`gated`: three matrices in an FFN instead of two. `windowed_layers` see only the last `window` tokens.

    `state_layers` keep no KV: linear attention, Mamba, convolutions, cross-attention. They hold `state_bytes` a
    sequence, all together, however long it is. `index_bytes`: what a sparse attention's indexer adds per token and
    layer.
    `precision`: of attention and dense FFNs; embeddings and head stay at 16 bits. `kv_element_bytes` is 2 for a bf16 KV
    cache and 1 for an fp8 one. `exact_params`: counted from the model's classes (0: from the formulas below).
    `assumed`: what the file left open, one sentence each.
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
    assumed: tuple[str, ...] = ()

    def served(self, precision_name: str = "", kv_dtype: str = "") -> "ModelShape":
        """The same with weights and KV in another format; "" leaves what the file says. Raises BadInput.

        4-bit formats of mixtures quantise the routed experts alone, as published checkpoints do.
        """
        shape = self
        if precision_name:
            width = precision(precision_name).bytes
            if self.experts:
                experts = msgspec.structs.replace(self.experts, precision=precision_name)
                shape = msgspec.structs.replace(shape, experts=experts)
            if not self.experts or width >= 1:
                shape = msgspec.structs.replace(shape, precision=precision_name)
        return msgspec.structs.replace(shape, kv_element_bytes=kv_bytes(kv_dtype)) if kv_dtype else shape

    @property
    def formats(self) -> str:
        """What weights and KV are kept in, in words."""
        kv = "fp8" if self.kv_element_bytes == 1 else "bf16"
        routed = self.experts.precision if self.experts else self.precision
        weights = (
            f"{self.precision} weights" if routed == self.precision else f"{self.precision} weights, {routed} experts"
        )
        return f"{weights} and {kv} KV"

    # ---- parameters

    @property
    def params(self) -> int:
        """All of them; without `exact_params`, norms and biases are left out (below 0.1 %)."""
        every = self._routed(self.experts.count if self.experts else 0)
        return self.exact_params or self._always_on + self._embeddings + every

    @property
    def active_params(self) -> int:
        """Those that one token meets."""
        return self.matmul_params + self._embeddings

    @property
    def matmul_params(self) -> int:
        """Those in the layers that every token is multiplied with: no embedding table, no head."""
        return self._always_on + self._routed(self.experts.active if self.experts else 0)

    @property
    def weight_bytes(self) -> float:
        return self.read_bytes(self.experts.count if self.experts else 0) + self._table_only * TABLE_BYTES

    # ---- KV

    @property
    def kv_bytes_per_token(self) -> int:
        """What one more token adds, once the windows are full."""
        return self.full_layers * self.kv_bytes_per_layer

    def kv_bytes(self, tokens: int) -> int:
        """Of a context of `tokens`, states included: what a handoff ships."""
        seen = min(tokens, self.window)
        windowed = self.windowed_layers * self.kv_bytes_per_layer * seen
        return self.state_bytes + self.kv_bytes_per_token * tokens + windowed

    # ---- work

    def prefill_flops(self, tokens: int, cached: int = 0) -> float:
        """Of a prompt of `tokens`, the first `cached` of which have their KV already. The head runs once."""
        full, windowed = self._attended(cached, tokens)
        scores = self.attention_flops(absorbed=False) * (full * self.full_layers + windowed * self.windowed_layers)
        return 2.0 * self.matmul_params * (tokens - cached) + scores + 2.0 * self.head_params

    @property
    def full_layers(self) -> int:
        """Layers whose attention sees the whole context."""
        return self.layers - self.windowed_layers - self.state_layers

    def read_bytes(self, experts: float) -> float:
        """Of the weights, if a step touches so many experts of every layer. The embedding table is only looked up."""
        routed = self._routed(experts) * precision(self.experts.precision).bytes if self.experts else 0.0
        return self._always_on * precision(self.precision).bytes + self.head_params * TABLE_BYTES + routed

    @property
    def dense_params(self) -> int:
        """In the layers, met by every token: attention, dense FFNs, shared experts, routers."""
        return self._always_on

    @property
    def expert_params(self) -> int:
        """Of one routed expert in each layer that has some."""
        return self._routed(1)

    @property
    def head_params(self) -> int:
        return self.vocab * self.hidden

    @property
    def kv_bytes_per_layer(self) -> int:
        """Of one token."""
        if self.latent:
            return (self.latent.rank + self.latent.rope_dim) * self.kv_element_bytes + self.index_bytes
        return 2 * self.kv_heads * self.head_dim * self.kv_element_bytes + self.index_bytes

    def attention_flops(self, *, absorbed: bool) -> float:
        """Per layer and pair of tokens: scores and their weighted sum. `absorbed`: on the latents, as decode does."""
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
        """Parameters of so many experts in every layer that has some."""
        if self.experts is None:
            return 0
        return round(self.experts.layers * experts * (3 if self.gated else 2) * self.hidden * self.experts.ffn)

    def _attended(self, start: int, end: int) -> tuple[float, float]:
        """Pairs that the tokens from `start` to `end` attend to in a full and in a windowed layer."""
        full = _pairs(end, end) - _pairs(start, start)
        return full, _pairs(end, self.window) - _pairs(start, self.window)


def _pairs(tokens: int, window: int) -> float:
    """Pairs of a token with itself and those before it, at most `window`, over `tokens` tokens."""
    inside = min(tokens, window)
    return inside * (inside + 1) / 2 + (tokens - inside) * window

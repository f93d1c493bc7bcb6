"""A model's shape, and what follows from it: parameters, KV bytes, FLOPs and bytes read. No torch.

The formulas count a multiply-add as 2 FLOPs and attention causally. Where they come from: vLLM's analytic model
(vllm/v1/metrics/perf.py), DistServe's appendix A, DeepSeek-V2's paper for the latent attention.
"""

from collections.abc import Sequence

import msgspec


class Latent(msgspec.Struct, frozen=True):
    """Multi-head latent attention: one latent of `rank` + `rope_dim` per token and layer instead of keys and values."""

    rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int
    query_rank: int = 0


class Experts(msgspec.Struct, frozen=True):
    """Routed experts in `layers` of the layers; `shared_ffn` is the width of those that are always on."""

    layers: int
    count: int
    active: int
    ffn: int
    shared_ffn: int = 0
    bytes_per_param: float = 2.0


class ModelShape(msgspec.Struct, frozen=True):
    """`gated`: three matrices in an FFN instead of two. `windowed_layers` see only the last `window` tokens.

    `kv_element_bytes` is 2 for a bf16 KV cache and 1 for an fp8 one.
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
    bytes_per_param: float = 2.0
    kv_element_bytes: int = 2

    # ---- parameters

    @property
    def params(self) -> int:
        """All of them, norms and biases left out (below 0.1 %)."""
        return self._always_on + self._embeddings + self._routed(self.experts.count if self.experts else 0)

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
        return self._read_bytes(self.experts.count if self.experts else 0) + self._table_only * self.bytes_per_param

    # ---- KV

    @property
    def kv_bytes_per_token(self) -> int:
        """What one more token adds, once the windows are full."""
        return (self.layers - self.windowed_layers) * self._kv_bytes_per_layer

    def kv_bytes(self, tokens: int) -> int:
        """Of a context of `tokens`: what a handoff ships."""
        seen = min(tokens, self.window)
        return self.kv_bytes_per_token * tokens + self.windowed_layers * self._kv_bytes_per_layer * seen

    # ---- work

    def prefill_flops(self, tokens: int, cached: int = 0) -> float:
        """Of a prompt of `tokens`, the first `cached` of which have their KV already. The head runs once."""
        scores = self._attention_flops(latent_absorbed=False) * self._attended(cached, tokens)
        return 2.0 * self.matmul_params * (tokens - cached) + scores + 2.0 * self._head

    def decode_flops(self, contexts: Sequence[int]) -> float:
        """Of one step that makes a token for each of the contexts."""
        matmuls = self.matmul_params + self._head
        scores = self._attention_flops(latent_absorbed=True)
        return 2.0 * matmuls * len(contexts) + scores * sum(self._attended(c - 1, c) for c in contexts)

    def decode_read_bytes(self, contexts: Sequence[int]) -> float:
        """Of one step: the weights it touches, and everyone's KV. Experts as if tokens chose them independently."""
        touched = 0.0
        if self.experts:
            touched = self.experts.count * (1 - (1 - self.experts.active / self.experts.count) ** len(contexts))
        return self._read_bytes(touched) + sum(self.kv_bytes(context) for context in contexts)

    # ---- parts

    @property
    def _kv_bytes_per_layer(self) -> int:
        if self.latent:
            return (self.latent.rank + self.latent.rope_dim) * self.kv_element_bytes
        return 2 * self.kv_heads * self.head_dim * self.kv_element_bytes

    @property
    def _head(self) -> int:
        return self.vocab * self.hidden

    @property
    def _table_only(self) -> int:
        """An embedding table that is only looked up; a tied one is the head as well."""
        return 0 if self.tied else self._head

    @property
    def _embeddings(self) -> int:
        return self._head + self._table_only

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
        """In the layers: attention, dense FFNs, shared experts, routers."""
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

    def _read_bytes(self, experts: float) -> float:
        """Of the weights that a step reads: the embedding table is only looked up."""
        routed = self._routed(experts) * (self.experts.bytes_per_param if self.experts else 0)
        return (self._always_on + self._head) * self.bytes_per_param + routed

    def _attention_flops(self, *, latent_absorbed: bool) -> float:
        """Per layer and pair of tokens: scores and their weighted sum."""
        if self.latent is None:
            return 4.0 * self.heads * self.head_dim
        part = self.latent
        if latent_absorbed:  # decode works on the latents themselves
            return 2.0 * self.heads * (2 * part.rank + part.rope_dim)
        return 2.0 * self.heads * (part.nope_dim + part.rope_dim + part.value_dim)

    def _attended(self, start: int, end: int) -> float:
        """Pairs, over all layers, that the tokens from `start` to `end` attend to: T squared / 2 without a window."""
        full = _pairs(end, end) - _pairs(start, start)
        windowed = _pairs(end, self.window) - _pairs(start, self.window)
        return (self.layers - self.windowed_layers) * full + self.windowed_layers * windowed


def _pairs(tokens: int, window: int) -> float:
    """Pairs of a token with itself and those before it, at most `window`, over `tokens` tokens."""
    inside = min(tokens, window)
    return inside * (inside + 1) / 2 + (tokens - inside) * window

"""Steps of few rows, which is what decode is: layer by layer through compiled kernels, over transformers' weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import embedding

from engine.live import kernels
from engine.live.kv import KvPool
from engine.plan import Piece

FEW = 16  # rows; with more of them, prompts' large products pay
DTYPES = {torch.float32: np.float32, torch.bfloat16: np.uint32}  # and what a kernel's words of it are


class FewRows:
    """As `Forward`, for steps of at most `FEW` rows. Pieces of any length do: a row is a row."""

    def __init__(self, model: Any, pool: KvPool) -> None:
        decoder = model.model
        self._pool = pool
        self._embedding, self._rotary = decoder.embed_tokens.weight, decoder.rotary_emb
        self._layers = [_weights(layer) for layer in decoder.layers]
        self._kv = [_words(layer) for layer in pool.tensor]
        self._norm, self._head = _floats(decoder.norm.weight), _words(model.lm_head.weight)
        self._scaling = decoder.layers[0].self_attn.scaling
        self._epsilon = decoder.norm.variance_epsilon

    def __call__(self, ids, positions, pieces, on_layer, due) -> torch.Tensor:
        """`ids` and `positions` are [rows]; logits of the rows in `due` come back, [due, vocabulary]."""
        hidden = embedding(ids, self._embedding).float()
        rows = self._rows(hidden, positions, pieces)
        numbers = hidden.numpy()
        for index, (weights, kv) in enumerate(zip(self._layers, self._kv, strict=True)):
            kernels.layer(numbers, weights, kv, rows, self._pool.shape.block_tokens, self._scaling, self._epsilon)
            if on_layer:
                on_layer(index)
        return torch.from_numpy(kernels.logits(hidden[due].numpy(), self._norm, self._head, self._epsilon))

    def _rows(self, hidden, positions, pieces: Sequence[Piece]) -> kernels.Rows:
        block_tokens = self._pool.shape.block_tokens
        at = positions.numpy()
        longest = max(len(piece.blocks) for piece in pieces)
        tables = np.array([[*piece.blocks, *[0] * (longest - len(piece.blocks))] for piece in pieces])
        tables = tables.repeat([len(piece.token_ids) for piece in pieces], 0)
        slots = tables[np.arange(len(at)), at // block_tokens] * block_tokens + at % block_tokens
        cos, sin = (part[0].numpy() for part in self._rotary(hidden[None], positions[None]))
        half = sin.shape[1] // 2
        return kernels.Rows(slots, tables, at + 1, cos, np.concatenate((-sin[:, :half], sin[:, half:]), 1))


def _weights(layer: Any) -> kernels.Weights:
    attention, mlp = layer.self_attn, layer.mlp
    products = (attention.q_proj, attention.k_proj, attention.v_proj)
    return kernels.Weights(
        _floats(layer.input_layernorm.weight),
        *(_words(product.weight) for product in products),
        *(_floats(product.bias) for product in products),
        *(_floats(getattr(attention, name).weight if hasattr(attention, name) else None) for name in ("q_norm", "k_norm")),
        _words(attention.o_proj.weight),
        _floats(layer.post_attention_layernorm.weight),
        *(_words(product.weight) for product in (mlp.gate_proj, mlp.up_proj, mlp.down_proj)),
    )


def _words(tensor: torch.Tensor) -> Any:
    """The same memory, as kernels read it."""
    whole = tensor.detach()
    return (whole.view(torch.int32) if tensor.dtype == torch.bfloat16 else whole).numpy().view(DTYPES[tensor.dtype])


def _floats(tensor: torch.Tensor | None) -> Any:
    return np.empty(0, np.float32) if tensor is None else tensor.detach().float().numpy()

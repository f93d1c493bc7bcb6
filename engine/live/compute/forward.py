"""A decoder's forward pass in few, large operations over the weights: what prefill and large batches run.

It computes what transformers' Llama, Mistral, Qwen2 and Qwen3 modules compute, with some 20 operations a layer in
place of 60. Where activations are fp32, compiled kernels take over the small ones.
"""

from functools import partial
from typing import Any

import torch
from torch.nn.functional import embedding, layer_norm, rms_norm, silu

from engine.live.compute.attention import PagedStep
from engine.live.compute.optimizations import Optimizations
from engine.live.compute.products import Product, Upcast

Rotation = tuple[torch.Tensor, torch.Tensor]  # cosines and signed sines, [rows, 1, dim]


class Forward:
    """Token ids to logits. `model` is transformers' own, or laid out as in `engine.live.compute.weights`.

    `compiled`: a `SmallBatch`, whose kernels compute the vocabulary's product and the small operations; or None.
    """

    def __init__(self, model: Any, optimizations: Optimizations, compiled: Any) -> None:
        decoder = model.model
        self._embedding = decoder.embed_tokens.weight
        self._rotary = decoder.rotary_emb
        self._dtype = torch.float32 if optimizations.upcast_products else self._embedding.dtype
        small, upcast = compiled if self._dtype == torch.float32 else None, Upcast()
        self._layers = [Layer(layer, optimizations, upcast, small) for layer in decoder.layers]
        self._norm = Norm(decoder.norm, small, optimizations)
        self._head = compiled.head if compiled else partial(_head, model.lm_head)

    def __call__(self, ids: torch.Tensor, positions: torch.Tensor, step: PagedStep, due: torch.Tensor) -> torch.Tensor:
        """`ids` and `positions` are [rows]; returns the logits of the rows in `due`, [due, vocabulary]."""
        hidden = embedding(ids, self._embedding).to(self._dtype)
        rotation = self._rotation(hidden, positions)
        for index, layer in enumerate(self._layers):
            hidden = layer(hidden, rotation, step, index)
        return self._head(self._norm(hidden[due])) if len(due) else hidden.new_empty(0, len(self._embedding))

    def _rotation(self, hidden: torch.Tensor, positions: torch.Tensor) -> Rotation:
        cos, sin = self._rotary(hidden[None], positions[None])
        sin = torch.cat((-sin[..., : sin.shape[-1] // 2], sin[..., sin.shape[-1] // 2 :]), -1)
        return cos[0][:, None], sin[0][:, None]


class Layer:
    """One decoder layer: attention and MLP, each behind its norm and added to what came in."""

    def __init__(self, layer: Any, optimizations: Optimizations, upcast: Upcast, small: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self._dim = attention.head_dim
        self._scaling = attention.scaling
        self._before_attention, self._before_mlp = (
            Norm(norm, small, optimizations) for norm in (layer.input_layernorm, layer.post_attention_layernorm)
        )
        self._qkv = Product([attention.q_proj, attention.k_proj, attention.v_proj], optimizations, upcast)
        self._out = Product([attention.o_proj], optimizations, upcast)
        self._gate_and_up = Product([mlp.gate_proj, mlp.up_proj], optimizations, upcast)
        self._down = Product([mlp.down_proj], optimizations, upcast)
        self._gate = small.gate if small else _gate
        self._of_heads = (
            [Norm(norm, None, optimizations) for norm in (attention.q_norm, attention.k_norm)]
            if hasattr(attention, "q_norm")
            else []
        )

    def __call__(self, hidden: torch.Tensor, rotation: Rotation, step: PagedStep, index: int) -> torch.Tensor:
        """[rows, width] in and out; the rows' keys and values lie in the pool from now on."""
        parts = self._qkv(self._before_attention(hidden))
        query, key, value = (part.view(len(hidden), -1, self._dim) for part in parts)
        for norm, part in zip(self._of_heads, (query, key), strict=False):
            part.copy_(norm(part))
        _rope(query, *rotation)
        _rope(key, *rotation)
        attended = step.attend(index, query, key, value, self._scaling).reshape(len(hidden), -1)
        hidden = self._out(attended)[0].add_(hidden)
        gate, up = self._gate_and_up(self._before_mlp(hidden))
        return self._down(self._gate(gate, up))[0].add_(hidden)


class Norm:
    """RMS norm over the last dimension. torch has a kernel for it on GPUs; on CPUs it takes nine operations.

    Layer norm takes one: a row beside its own negative has mean 0, and its variance is the row's mean square.
    """

    def __init__(self, norm: Any, small: Any, optimizations: Optimizations) -> None:
        self._width = len(norm.weight)
        self._fused = optimizations.fused_norm
        self._weight = norm.weight if self._fused else norm.weight.repeat(2)
        self._epsilon = norm.variance_epsilon
        self._compiled = small.norm(norm) if small else None

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        if self._compiled:
            made: torch.Tensor = self._compiled(rows)
            return made
        weight = self._weight.to(rows.dtype)
        if self._fused:
            return rms_norm(rows, weight.shape, weight, self._epsilon)
        both = layer_norm(torch.cat((rows, -rows), -1), weight.shape, weight, None, self._epsilon)
        return both[..., : self._width]


def _gate(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    return silu(gate).mul_(up)


def _head(lm_head: Any, hidden: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = lm_head(hidden.to(lm_head.weight.dtype))
    return logits


def _rope(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> None:
    """Rotary positions of [rows, heads, dim], in place; the two halves of a head pair up, element by element."""
    first, second = heads.chunk(2, -1)
    swapped = torch.cat((second, first), -1)
    heads.mul_(cos).addcmul_(swapped, sin)

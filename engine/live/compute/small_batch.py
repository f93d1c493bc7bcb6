"""The forward pass for small batches, which decode has: layer by layer through compiled kernels."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import embedding

from engine.live.compute.attention import OnLayer
from engine.live.compute.kernels import attention as kernel_attention, layer as kernels
from engine.live.compute.kv import KvPool
from engine.plan import Piece

WORDS = {torch.float32: np.float32, torch.bfloat16: np.uint32}  # the dtype as which kernels read memory


class SmallBatch:
    """As `Forward`, for a handful of rows. Rows of prompts and rows of decode are treated alike."""

    def __init__(self, model: Any, block_tokens: int, kv: torch.Tensor) -> None:
        """`kv` is a pool's [layer, k or v, slot, kv head, dim]."""
        decoder = model.model
        self._block_tokens = block_tokens
        self._embedding, self._rotary = decoder.embed_tokens.weight, decoder.rotary_emb
        self._layers = [_weights(layer) for layer in decoder.layers]
        self._kv = [_words(layer) for layer in kv]
        self._norm, self._head = _floats(decoder.norm.weight), _words(model.lm_head.weight)
        self._scaling = decoder.layers[0].self_attn.scaling
        self._epsilon = decoder.norm.variance_epsilon

    @classmethod
    def tried(cls, model: Any, pool: KvPool) -> "SmallBatch":
        """One whose kernels are compiled and have run. Raises whatever the compiler raises."""
        block_tokens = pool.shape.block_tokens
        scratch, first = torch.zeros_like(pool.tensor[:, :, :block_tokens]), torch.zeros(1, dtype=torch.long)
        with torch.inference_mode():
            cls(model, block_tokens, scratch)(first, first, [Piece("trial", 0, (0,), (0,), None, 0)], None, first)
        return cls(model, block_tokens, pool.tensor)

    @staticmethod
    def covers(model: Any, pool: KvPool) -> bool:
        """Whether kernels fit the model: they take no odd shapes, and biases only where a family has them."""
        dtype = pool.tensor.dtype
        if dtype not in WORDS or pool.shape.block_tokens % kernel_attention.POSITIONS:
            return False
        halves = np.dtype(np.uint32).itemsize // dtype.itemsize
        layer = model.model.layers[0]
        attention, mlp = layer.self_attn, layer.mlp
        plain = (attention.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj, model.lm_head)
        products = (attention.q_proj, attention.k_proj, attention.v_proj, *plain)
        return (
            all(product.bias is None for product in plain)
            and all(product.weight.shape[0] % kernels.OUTS == 0 for product in products)
            and all(product.weight.shape[1] % (kernels.LANES * halves) == 0 for product in products)
            and pool.shape.head_dim % (kernel_attention.DIM_LANES * halves) == 0
        )

    def __call__(
        self,
        ids: torch.Tensor,
        positions: torch.Tensor,
        pieces: Sequence[Piece],
        on_layer: OnLayer | None,
        due: torch.Tensor,
    ) -> torch.Tensor:
        """`ids` and `positions` are [rows]; returns the logits of the rows in `due`, [due, vocabulary]."""
        hidden = embedding(ids, self._embedding).float()
        rows, numbers = self._rows(hidden, positions, pieces), hidden.numpy()
        for index, (weights, kv) in enumerate(zip(self._layers, self._kv, strict=True)):
            kernels.layer(numbers, weights, kv, rows, self._block_tokens, self._scaling, self._epsilon)
            if on_layer:
                on_layer(index)
        normed = kernels.norm(hidden[due].numpy(), self._norm, self._epsilon)
        return self.head(torch.from_numpy(normed))

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Normed [rows, width] to logits, [rows, vocabulary], in fp32."""
        return torch.from_numpy(kernels.product(hidden.float().numpy(), self._head, _floats(None)))

    @staticmethod
    def norm(norm: Any) -> Callable[[torch.Tensor], torch.Tensor]:
        """RMS norm of [rows, width], any number of rows."""
        weight, epsilon = _floats(norm.weight), norm.variance_epsilon
        return lambda rows: torch.from_numpy(kernels.norm(rows.numpy(), weight, epsilon))

    @staticmethod
    def gate(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        """silu(gate) * up for any number of rows, written over `gate`."""
        kernels.swiglu(gate.numpy(), up.numpy())
        return gate

    def _rows(self, hidden: torch.Tensor, positions: torch.Tensor, pieces: Sequence[Piece]) -> kernels.RowPlaces:
        at = positions.numpy()
        longest = max(len(piece.blocks) for piece in pieces)
        padded = np.array([[*piece.blocks, *[0] * (longest - len(piece.blocks))] for piece in pieces])
        tables = padded.repeat([len(piece.token_ids) for piece in pieces], axis=0)
        slots = tables[np.arange(len(at)), at // self._block_tokens] * self._block_tokens + at % self._block_tokens
        cos, sin = (part[0].numpy() for part in self._rotary(hidden[None], positions[None]))
        half = sin.shape[1] // 2
        return kernels.RowPlaces(slots, tables, at + 1, cos, np.concatenate((-sin[:, :half], sin[:, half:]), axis=1))


def product(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """torch's `linear` for a handful of rows in fp32."""
    return torch.from_numpy(kernels.product(rows.numpy(), _words(weight), _floats(None)))


def _weights(layer: Any) -> kernels.LayerWeights:
    attention, mlp = layer.self_attn, layer.mlp
    return kernels.LayerWeights(
        before_attention=_floats(layer.input_layernorm.weight),
        query=_words(attention.q_proj.weight),
        key=_words(attention.k_proj.weight),
        value=_words(attention.v_proj.weight),
        query_bias=_floats(attention.q_proj.bias),
        key_bias=_floats(attention.k_proj.bias),
        value_bias=_floats(attention.v_proj.bias),
        of_query=_floats(attention.q_norm.weight if hasattr(attention, "q_norm") else None),
        of_key=_floats(attention.k_norm.weight if hasattr(attention, "k_norm") else None),
        out=_words(attention.o_proj.weight),
        before_mlp=_floats(layer.post_attention_layernorm.weight),
        gate=_words(mlp.gate_proj.weight),
        up=_words(mlp.up_proj.weight),
        down=_words(mlp.down_proj.weight),
    )


def _words(tensor: torch.Tensor) -> Any:
    """The same memory, in the dtype as which kernels read it."""
    bits = tensor.detach().view(torch.int32 if tensor.dtype == torch.bfloat16 else tensor.dtype)
    return bits.numpy().view(WORDS[tensor.dtype])


def _floats(tensor: torch.Tensor | None) -> Any:
    return np.empty(0, np.float32) if tensor is None else tensor.detach().float().numpy()

"""A model's weights, mapped from its files, under the names of transformers' modules, without those modules.

Importing those modules takes longer than everything else a worker does before it is ready. `Forward` and `SmallBatch`
need nothing but the weights.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors import safe_open
from torch.nn.functional import linear

from engine.live.compute.optimizations import Optimizations
from engine.live.compute.place import HOST, Place
from engine.live.model.catalog import Prepared
from engine.live.model.folder import weight_files

REQUIRED = {"rms_norm_eps", "tie_word_embeddings"}  # in the configuration; there are no defaults here
LAYER = {
    "self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "mlp": ("gate_proj", "up_proj", "down_proj"),
}
NORMS = ("input_layernorm", "post_attention_layernorm")
HEAD_NORMS = ("q_norm", "k_norm")


def served(prepared: Prepared, optimizations: Optimizations, place: Place = HOST) -> Any:
    """The model as a Runner with these optimizations needs it."""
    weights = mapped(prepared, place) if optimizations.lean_forward else None
    if weights is not None:
        return weights
    from engine.live.compute.transformers_model import load  # with transformers

    return load(prepared, place.device)


def mapped(prepared: Prepared, place: Place = HOST) -> Any:
    """The model's weights, or None for a model that only transformers can read. A device gets a copy."""
    folder = Path(prepared.folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    if not config.keys() >= REQUIRED or "quantization_config" in config:
        return None
    rope = _rope(config)
    if not rope or rope.get("rope_type") != "default" or rope.get("partial_rotary_factor", 1) != 1:
        return None
    tensors = _tensors(prepared, place.device)
    if not tensors.keys() >= _needed(prepared.kv_shape.layers, config["tie_word_embeddings"]):
        return None
    head = tensors["model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"]
    dim, epsilon = prepared.kv_shape.head_dim, config["rms_norm_eps"]
    decoder = SimpleNamespace(
        embed_tokens=Linear(tensors["model.embed_tokens.weight"]),
        rotary_emb=Rotary(dim, rope["rope_theta"], place.device),
        layers=[_layer(tensors, f"model.layers.{n}.", dim, epsilon) for n in range(prepared.kv_shape.layers)],
        norm=_norm(tensors["model.norm.weight"], epsilon),
    )
    return SimpleNamespace(model=decoder, lm_head=Linear(head))


class Linear:
    """A matrix product with weights mapped from the model's file: `rows` [rows, in] to [rows, out]."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self.weight, self.bias = weight, bias

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        return linear(rows, self.weight, self.bias)


class Rotary:
    """Cosines and sines of positions, [1, rows, dim] of [1, rows], in the dtype of `like`. As transformers' default."""

    def __init__(self, dim: int, theta: float, device: torch.device) -> None:
        self._speeds = (1.0 / theta ** (torch.arange(0, dim, 2).float() / dim)).to(device)

    def __call__(self, like: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        angles = positions[..., None].float() * self._speeds
        both = torch.cat((angles, angles), -1)
        return both.cos().to(like.dtype), both.sin().to(like.dtype)


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How positions turn heads; None where it isn't said. Older transformers wrote one number for the usual way."""
    if "rope_parameters" not in config and "rope_theta" in config and not config.get("rope_scaling"):
        return {"rope_type": "default", **config}
    rope: Mapping[str, Any] | None = config.get("rope_parameters")
    return rope


def _needed(layers: int, tied: bool) -> set[str]:
    ends = {"model.embed_tokens.weight", "model.norm.weight"} | (set() if tied else {"lm_head.weight"})
    parts = [f"{part}.{name}" for part, names in LAYER.items() for name in names]
    return ends | {f"model.layers.{n}.{name}.weight" for n in range(layers) for name in (*parts, *NORMS)}


def _tensors(prepared: Prepared, device: torch.device) -> Mapping[str, torch.Tensor]:
    """All tensors in the files, by name. Those of the right dtype stay mapped on the host; others are copied."""
    dtype = getattr(torch, prepared.dtype)
    tensors: dict[str, torch.Tensor] = {}
    for file in weight_files(Path(prepared.folder), prepared.variant):
        if file.exists():
            with safe_open(file, "pt") as opened:
                tensors |= {name: opened.get_tensor(name).to(device, dtype) for name in opened.keys()}  # noqa: SIM118
    return tensors


def _layer(tensors: Mapping[str, torch.Tensor], name: str, dim: int, epsilon: float) -> Any:
    def products(part: str) -> dict[str, Linear]:
        at = {product: f"{name}{part}.{product}." for product in LAYER[part]}
        return {product: Linear(tensors[way + "weight"], tensors.get(way + "bias")) for product, way in at.items()}

    of_heads = {norm: f"{name}self_attn.{norm}.weight" for norm in HEAD_NORMS}
    return SimpleNamespace(
        self_attn=SimpleNamespace(
            head_dim=dim,
            scaling=dim**-0.5,
            **products("self_attn"),
            **{norm: _norm(tensors[way], epsilon) for norm, way in of_heads.items() if way in tensors},
        ),
        mlp=SimpleNamespace(**products("mlp")),
        **{norm: _norm(tensors[f"{name}{norm}.weight"], epsilon) for norm in NORMS},
    )


def _norm(weight: torch.Tensor, epsilon: float) -> Any:
    return SimpleNamespace(weight=weight, variance_epsilon=epsilon)

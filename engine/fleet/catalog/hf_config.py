"""Any Hugging Face `config.json` to a `ModelShape`: the shipped models' rows in data/models.toml, or a file of yours.

Read without transformers, whose configuration classes would bring torch. A family that keeps its KV in another way
(state-space, linear or sparse attention, layers of several shapes) is refused, not guessed.
"""

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.fleet.catalog.models import Experts, Latent, ModelShape
from engine.fleet.catalog.tables import named, read_table

TIED = ("gemma", "gemma2", "gemma3_text", "opt", "gpt2")  # families that share the two tables unless they say otherwise
PLAIN_FFN = ("opt", "gpt2", "gpt_neox", "phi", "starcoder2")  # two matrices, no gate
WINDOW_EVERY = {"gpt_oss": 2, "gemma2": 2, "gemma3_text": 6, "cohere2": 4}  # one in so many layers sees everything
KNOWN_LAYERS = {"full_attention", "sliding_attention"}
OTHER_KV = (  # beginnings of keys that tell of a state beside the KV, or of layers whose KV differs in shape
    *("mamba", "ssm", "linear_", "rwkv", "conv_L", "compress_ratios", "index_topk", "sparse_attention", "swa_"),
    *("block_configs", "global_head_dim", "hybrid_layer_pattern", "attention_chunk_size", "interleave_moe"),
)

OUR_KEYS = ("label", "source", "hub")  # of data/models.toml
MOST_BYTES, MOST_LAYERS = 1_000_000, 10_000

Config = Mapping[str, Any]


@functools.cache
def models() -> dict[str, ModelShape]:
    """The models that ship with the lab, by name."""
    return {name: model_shape(row, name) for name, row in read_table("models.toml").items()}


def model(name: str) -> ModelShape:
    """A shipped model by name, or the one whose `config.json` (or folder with one) the name is. Raises BadInput."""
    if name in models():  # first: an advice asks ten thousand times
        return models()[name]
    path = Path(name).expanduser()
    file = path / "config.json" if path.is_dir() else path
    if file.suffix != ".json":
        return named("model", name, models(), other=", or the path of a config.json")
    try:
        data = file.read_bytes()
    except OSError as wrong:
        raise BadInput("model", name, f"a config.json that can be read ({wrong})") from wrong
    return read_config(data, name, file.resolve().parent.name)


def read_config(data: bytes, field: str, name: str) -> ModelShape:
    """The shape in a `config.json` of anybody's; `field` is what an error calls it. Raises BadInput.

    `name` is for one that does not name itself. Names end up in scripts and manifests, so only plain letters stay.
    """
    if len(data) > MOST_BYTES:
        raise BadInput("model", field, f"a config.json of at most {MOST_BYTES / 1e6:g} MB")
    try:
        config = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as wrong:  # not UTF-8, not JSON, or nested without end
        raise BadInput("model", field, f"a config.json that can be read ({wrong})") from wrong
    if not isinstance(config, dict):
        raise BadInput("model", field, "a config.json with a JSON object in it")
    own = {key: value for key, value in config.items() if key not in OUR_KEYS}
    plain = re.sub(r"[^A-Za-z0-9._/-]+", "-", str(config.get("_name_or_path") or name)).lstrip("-")
    return model_shape(own, plain[:96] or "model")


def model_shape(config: Config, name: str) -> ModelShape:
    """The shape that a config describes. Raises BadInput, naming the key that is missing or senseless."""
    if isinstance(config.get("text_config"), Mapping):  # a model that also sees pictures
        config = config["text_config"]
    family = str(config.get("model_type", ""))
    if other := [key for key, value in config.items() if key.startswith(OTHER_KV) and value]:
        raise BadInput("model", name, f"one that keeps the same keys and values in every layer (it has {other[0]})")
    hidden, heads = _whole(config, name, "hidden_size", "n_embd"), _whole(config, name, "num_attention_heads", "n_head")
    layers = _whole(config, name, "num_hidden_layers", "n_layer")
    if layers > MOST_LAYERS:
        raise BadInput(f"layers of model {name}", layers, f"at most {MOST_LAYERS:,}")
    ffn = _whole(config, name, "intermediate_size", "ffn_dim", "n_inner", default=4 * hidden)
    weights, expert_weights = _weights(config)
    return ModelShape(
        name=name,
        label=str(config.get("label", name)),
        source=str(config.get("source", "its config.json")),
        hub=str(config.get("hub", "")),
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=_whole(config, name, "num_key_value_heads", default=heads),
        head_dim=_whole(config, name, "head_dim", default=hidden // heads),
        ffn=ffn,
        vocab=_whole(config, name, "vocab_size"),
        gated=family not in PLAIN_FFN,
        tied=bool(config.get("tie_word_embeddings", family in TIED)),
        latent=_latent(config, name),
        experts=_experts(config, name, layers, ffn, expert_weights),
        windowed_layers=_windowed_layers(config, name, family, layers),
        window=_optional(config, name, "sliding_window"),
        precision=weights,
    )


def _whole(config: Config, name: str, *keys: str, default: int | None = None) -> int:
    """The first of the keys that is there. Raises BadInput if it is no whole number above 0."""
    key = next((key for key in keys if config.get(key) is not None), keys[0])
    value = default if config.get(key) is None else config[key]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 10**9:
        raise BadInput(f"{key} of model {name}", value, "a whole number above 0")
    return value


def _optional(config: Config, name: str, key: str) -> int:
    """0 where the key is missing, null or 0."""
    return _whole(config, name, key) if config.get(key) else 0


def _list(config: Config, name: str, key: str) -> list[Any]:
    value = config.get(key) or []
    if not isinstance(value, list):
        raise BadInput(f"{key} of model {name}", value, "a list")
    return value


def _latent(config: Config, name: str) -> Latent | None:
    if not config.get("kv_lora_rank"):
        return None
    return Latent(
        rank=_whole(config, name, "kv_lora_rank"),
        rope_dim=_whole(config, name, "qk_rope_head_dim"),
        nope_dim=_whole(config, name, "qk_nope_head_dim"),
        value_dim=_whole(config, name, "v_head_dim"),
        query_rank=_optional(config, name, "q_lora_rank"),
    )


def _experts(config: Config, name: str, layers: int, ffn: int, weights: str) -> Experts | None:
    keys = [key for key in ("num_experts", "num_local_experts", "n_routed_experts") if _optional(config, name, key) > 1]
    if not keys:
        return None
    width = _whole(config, name, "moe_intermediate_size", default=ffn)
    every = _whole(config, name, "decoder_sparse_step", "moe_layer_freq", default=1)
    dense = _list(config, name, "mlp_only_layers")
    sparse = range(_optional(config, name, "first_k_dense_replace"), layers)
    shared = _optional(config, name, "shared_expert_intermediate_size")
    return Experts(
        layers=sum(1 for layer in sparse if layer not in dense and (layer + 1) % every == 0),
        count=_whole(config, name, *keys),
        active=_whole(config, name, "num_experts_per_tok", "experts_per_token"),
        ffn=width,
        shared_ffn=shared or _optional(config, name, "n_shared_experts") * width,
        precision=weights,
    )


def _windowed_layers(config: Config, name: str, family: str, layers: int) -> int:
    kinds = _list(config, name, "layer_types")
    if unknown := {str(kind) for kind in kinds} - KNOWN_LAYERS:
        raise BadInput(f"layer_types of model {name}", ", ".join(sorted(unknown)), "full or sliding attention")
    if not _optional(config, name, "sliding_window") or not config.get("use_sliding_window", True):
        return 0
    if kinds:
        return kinds.count("sliding_attention")
    if "max_window_layers" in config:  # Qwen: the layers from there on
        return max(0, layers - _optional(config, name, "max_window_layers"))
    every = _optional(config, name, "sliding_window_pattern") or WINDOW_EVERY.get(family)
    return layers - layers // every if every else layers


def _weights(config: Config) -> tuple[str, str]:
    """The precision of ordinary weights, and of routed experts."""
    quantization = config.get("quantization_config")
    if not isinstance(quantization, Mapping):
        return "bf16", "bf16"
    method = quantization.get("quant_method")
    if method == "mxfp4":  # gpt-oss: the experts alone
        return "bf16", "mxfp4"
    if method in ("fp8", "fbgemm_fp8"):
        return "fp8", "fp8"
    name = {"4": "int4", "8": "int8"}.get(str(quantization.get("bits")), "bf16")  # GPTQ, AWQ
    left_out = "self_attn" in str(quantization.get("ignore"))
    return "bf16" if left_out else name, name

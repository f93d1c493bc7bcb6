"""From a Hugging Face `config.json` to a `ModelShape`: a shipped model's row in data/models.toml, or the user's file.

A user's file goes through transformers' own classes first, in a separate process (`on_meta_device`): they know the
defaults that it leaves out, and count every parameter. If they do not know its type, the file is read as it is.
"""

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import BadInput
from engine.files import contents, expanded, reason
from engine.fleet.catalog.checkpoint import nearest_precision, stored_bytes
from engine.fleet.catalog.layers import NO_ATTENTION, layer_kinds, state_bytes, window_of
from engine.fleet.catalog.models import Experts, Latent, ModelShape
from engine.fleet.catalog.on_meta_device import NotKnown, filled, of_gguf
from engine.fleet.catalog.precision import kv_bytes
from engine.fleet.catalog.quantization import formats
from engine.fleet.catalog.tables import named, read_table
from engine.units import in_words

TIED = ("gemma", "gemma2", "gemma3_text", "opt", "gpt2", "gpt_bigcode", "bloom", "mpt")  # one table by default
UNTIED = ("falcon",)  # the published files have both tables, contrary to the class
PLAIN_FFN = (  # two matrices, no gate
    *("opt", "gpt2", "gpt_neo", "gpt_neox", "gptj", "gpt_bigcode", "phi", "starcoder2", "falcon", "bloom", "mpt"),
    *("apertus", "nemotron", "nemotron_h", "arcee", "codegen", "persimmon"),
)
HEADS = (
    *("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"),
    *("decoder_attention_heads", "num_decoder_attention_heads"),
)
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
WIDTHS = ("intermediate_size", "decoder_ffn_dim", "ffn_dim", "n_inner", "ffn_hidden_size")
NESTED = ("text_config", "language_config", "llm_config", "thinker_config")
WEIGHS_ELSE = 0.03  # the difference between files and formulas from which it is worth saying
MOST_INDEX_BYTES = 132  # of an indexer's key: 128 numbers of one byte, and a scale

OUR_KEYS = ("label", "source", "hub")  # of data/models.toml
MOST_BYTES, MOST_LAYERS = 1_000_000, 10_000

Config = Mapping[str, Any]


@functools.cache
def models() -> dict[str, ModelShape]:
    """The models that ship with the lab, by name."""
    return {name: model_shape(row, name) for name, row in read_table("models.toml").items()}


def model(name: str) -> ModelShape:
    """A shipped model by name, or the model of a `config.json` (or a folder with one) by path. Raises BadInput."""
    if name in models():  # first: one advice asks ten thousand times
        return models()[name]
    path = expanded(name)
    try:
        if path.suffix == ".gguf" and path.is_file():
            return _of_gguf(path)
        folder = path.parent if path.suffix == ".safetensors" and path.is_file() else path
        file = folder / "config.json" if folder.is_dir() else path
        if file.suffix != ".json":
            return named("model", name, models(), other=", or the path of a config.json or a .gguf file")
        data = contents(file, MOST_BYTES)
        beside = [file.parent / "hf_quant_config.json", file.parent / f"{file.stem}.hf_quant_config.json"]
        quant = next((contents(one, MOST_BYTES) for one in beside if one.is_file()), b"")
    except OSError as wrong:
        raise BadInput("model", name, f"a config.json that can be read ({reason(wrong)})") from wrong
    if file.stem != "config":
        return read_config(data, name, file.stem, quant if beside[1].is_file() else b"")
    return _weighed(read_config(data, name, file.parent.name, quant), stored_bytes(file.parent))


def _weighed(shape: ModelShape, nbytes: int) -> ModelShape:
    """With what its weights take on disk, where their files lie beside the config."""
    if not nbytes:
        return shape
    by_config = in_words(shape.weight_bytes, "B")
    says = f"Its files hold {in_words(nbytes, 'B')} of weights; by the config they are {by_config}."
    notes = (says,) if abs(nbytes / shape.weight_bytes - 1) > WEIGHS_ELSE else ()
    return msgspec.structs.replace(shape, stored_bytes=nbytes, assumed=(*shape.assumed, *notes))


def _of_gguf(file: Path) -> ModelShape:
    try:
        found = of_gguf(str(file))
    except NotKnown as why:
        raise BadInput("model", file.name, f"a GGUF file that transformers can read ({why})") from why
    shape = model_shape({"source": "its GGUF file"}, _plain(file.stem), None, found)
    kept = nearest_precision(found["bytes"] / shape.params)
    width = f"{8 * found['bytes'] / shape.params:.1f} bits a weight on average, its products taken as {kept}'s."
    return msgspec.structs.replace(
        shape.served(kept), stored_bytes=found["bytes"], assumed=(*shape.assumed, f"Its tensors have {width}")
    )


@functools.lru_cache(maxsize=64)
def read_config(data: bytes, field: str, name: str, quant: bytes = b"") -> ModelShape:
    """The shape in a user's `config.json`; errors call it `field`. Raises BadInput.

    `name`: the model's name, since the name in a file is often a path on someone's disk. It ends up in scripts and
    manifests, so only plain characters are kept. `quant`: the hf_quant_config.json in the same folder.
    """
    config = _object(data, field)
    beside = _object(quant, "hf_quant_config.json") if quant else None
    plain = _plain(name)
    own = {key: value for key, value in config.items() if key not in OUR_KEYS}
    try:
        found = filled(json.dumps(own)) if own.get("model_type") else {}
    except NotKnown as why:
        shape = model_shape(own, plain, beside)
        note = f"transformers could not build it ({why}), so its parameters come from formulas."
        return msgspec.structs.replace(shape, assumed=(*shape.assumed, note))
    return model_shape(own, plain, beside, found)


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._/-]+", "-", name).lstrip("-/")[:96] or "model"


def _object(data: bytes, field: str) -> dict[str, Any]:
    if len(data) > MOST_BYTES:
        raise BadInput("model", field, f"a config.json of at most {MOST_BYTES / 1e6:g} MB")
    try:
        config = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as wrong:  # not UTF-8, not JSON, or nested too deeply
        raise BadInput("model", field, f"a config.json that can be read ({wrong})") from wrong
    if not isinstance(config, dict):
        raise BadInput("model", field, "a config.json with a JSON object in it")
    return config


def model_shape(
    config: Config, name: str, beside: Config | None = None, found: Mapping[str, Any] | None = None
) -> ModelShape:
    """The shape that a config describes. `found`: the result of `on_meta_device`. Raises BadInput with the key."""
    kept = formats(config, beside, name)
    config = _text(config)
    if found:
        config = {**found["config"], **{k: v for k, v in config.items() if v is not None}}
    family = str(config.get("model_type", ""))
    hidden = _whole(config, name, "hidden_size", "n_embd", "d_model")
    heads = _whole(config, name, *HEADS, default=1 if family in NO_ATTENTION else None)
    layers = _optional(config, name, "decoder_layers") or _optional(config, name, "num_decoder_layers")
    layers = layers or _whole(config, name, *LAYERS, default=len(config.get("layers_block_type") or ()) or None)
    if layers > MOST_LAYERS:
        raise BadInput(f"layers of model {name}", layers, f"at most {MOST_LAYERS:,}")
    ffn = _mean(config, name, *WIDTHS) or 4 * hidden
    kinds = layer_kinds(config, name, family, layers)
    head_dim = _whole(config, name, "head_dim", default=max(1, hidden // heads))
    state, state_note = state_bytes(config, family, heads, head_dim, kinds.count("state"))
    tied = bool(config.get("tie_word_embeddings", family in TIED)) and family not in UNTIED
    shape = ModelShape(
        name=name,
        label=str(config.get("label", name)),
        source=str(config.get("source", "its config.json")),
        hub=str(config.get("hub", "")),
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=_kv_heads(config, name, heads),
        head_dim=head_dim,
        ffn=ffn,
        vocab=_whole(config, name, "vocab_size"),
        gated=family not in PLAIN_FFN,
        tied=tied,
        latent=_latent(config, name),
        experts=_experts(config, name, layers, ffn, kept.experts),
        windowed_layers=kinds.count("window"),
        window=window_of(config, name) if "window" in kinds else 0,
        precision=kept.rest,
        kv_element_bytes=kv_bytes(kept.kv),
        state_layers=kinds.count("state"),
        state_bytes=state,
        index_bytes=MOST_INDEX_BYTES if config.get("index_head_dim") and config.get("index_topk") else 0,
        assumed=(*kept.assumed, *state_note),
    )
    return _counted(shape, family, found)


def _counted(shape: ModelShape, family: str, found: Mapping[str, Any] | None) -> ModelShape:
    """The shape with the exact number of parameters, as counted by its class or known for its family."""
    if family == "minimax_text_01":  # its linear layers have q, k, v, gate and output of all heads
        linear = 5 * shape.hidden * shape.heads * shape.head_dim
        usual = shape.hidden * shape.head_dim * (2 * shape.heads + 2 * shape.kv_heads)
        return msgspec.structs.replace(shape, exact_params=shape.params + shape.state_layers * (linear - usual))
    if not found or not found["params"]:
        return shape
    exact = int(found["params"]) + (shape.vocab * shape.hidden if family in UNTIED else 0)
    if shape.experts and found["routed"]:
        per_layer = shape.expert_params // shape.experts.layers * shape.experts.count
        with_experts = round(found["routed"] / per_layer) if per_layer else shape.experts.layers
        if 0 < with_experts <= shape.layers:
            experts = msgspec.structs.replace(shape.experts, layers=with_experts)
            shape = msgspec.structs.replace(shape, experts=experts)
    routed = shape.expert_params * shape.experts.count if shape.experts else 0
    return msgspec.structs.replace(shape, exact_params=exact) if exact > routed else shape


def _text(config: Config) -> Config:
    """The config of the language model inside a multimodal one, with the keys that apply to the whole."""
    for key in NESTED:
        if isinstance(config.get(key), Mapping):
            above = {k: config[k] for k in ("tie_word_embeddings", "label", "source", "hub") if k in config}
            return _text({**above, **config[key]})
    return config


def _kv_heads(config: Config, name: str, heads: int) -> int:
    if config.get("multi_query") and not config.get("new_decoder_architecture"):
        return 1
    keys = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "num_attention_groups", "multi_query_group_num")
    return _whole(config, name, *keys, default=heads)


def _whole(config: Config, name: str, *keys: str, default: int | None = None) -> int:
    """The value of the first key present. Raises BadInput if it is not a whole number above 0."""
    key = next((key for key in keys if config.get(key) is not None), keys[0])
    value = default if config.get(key) is None else config[key]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 10**9:
        raise BadInput(f"{key} of model {name}", value, "a whole number above 0")
    return value


def _mean(config: Config, name: str, *keys: str) -> int:
    """The first of the keys that is present, or its mean over the layers where it is a list; 0 if there is none."""
    key = next((key for key in keys if config.get(key)), keys[0])
    value = config.get(key)
    if isinstance(value, list) and value and all(isinstance(one, int) and one > 0 for one in value):
        return round(sum(value) / len(value))
    return _optional(config, name, key)


def _optional(config: Config, name: str, key: str) -> int:
    """The key's value, or 0 if it is missing, null or 0. Raises BadInput."""
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


EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_routed_experts")
CHOSEN = (
    "num_experts_per_tok",
    "experts_per_token",
    "moe_k",
    "moe_top_k",
    "moe_topk",
    "top_k_experts",
    "num_experts_per_token",
)
ALWAYS = ("n_shared_experts", "moe_num_shared_experts", "num_shared_experts")


def _experts(config: Config, name: str, layers: int, ffn: int, weights: str) -> Experts | None:
    keys = [key for key in EXPERTS if isinstance(config.get(key), int) and _optional(config, name, key) > 1]
    if not keys:
        return None
    width = _whole(config, name, "moe_intermediate_size", "expert_ffn_hidden_size", default=ffn)
    shared = _optional(config, name, "shared_expert_intermediate_size")
    shared = shared or _optional(config, name, "moe_shared_expert_intermediate_size")
    always = next((_optional(config, name, key) for key in ALWAYS if config.get(key)), 0)
    return Experts(
        layers=_expert_layers(config, name, layers),
        count=_whole(config, name, *keys),
        active=_whole(config, name, *CHOSEN),
        ffn=width,
        shared_ffn=shared or always * width,
        precision=weights,
    )


def _expert_layers(config: Config, name: str, layers: int) -> int:
    """How many layers have routed experts."""
    every = config.get("decoder_sparse_step") or config.get("moe_layer_freq") or config.get("moe_layer_interval") or 1
    if isinstance(every, list):
        if len(every) != layers:
            raise BadInput(f"moe_layer_freq of model {name}", every[:8], f"one number a layer, {layers} in all")
        return max(1, sum(bool(one) for one in every))
    step = _whole({"every": every}, name, "every")
    dense = _list(config, name, "mlp_only_layers")
    first = _optional(config, name, "first_k_dense_replace") or _optional(config, name, "moe_layer_start_index")
    last = config.get("moe_layer_end_index")
    end = min(layers, last + 1) if isinstance(last, int) and last > 0 else layers
    return max(1, sum(1 for layer in range(first, end) if layer not in dense and (layer + 1) % step == 0))

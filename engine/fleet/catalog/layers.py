"""What each layer of a model keeps: KV of the whole context, KV of a window, or a state of fixed size."""

from collections.abc import Mapping
from typing import Any, Literal

from engine.errors import BadInput

Config = Mapping[str, Any]
LayerKind = Literal["full", "window", "state"]

KINDS: dict[str, LayerKind] = {
    **dict.fromkeys(
        (
            "full_attention",
            "attention",
            "global",
            "*",
            "full",
            "hybrid",
            "deepseek_sparse_attention",
            "indexed_attention",
        ),
        "full",
    ),
    **dict.fromkeys(
        ("sliding_attention", "chunked_attention", "local", "sliding_window", "sliding", "hybrid_sliding"), "window"
    ),
    **dict.fromkeys(
        ("linear_attention", "linear", "mamba", "mamba2", "conv", "recurrent", "lightning_attention"), "state"
    ),
    **dict.fromkeys(("M", "-", "E", "mlp", "moe", "cross_attention", "kda", "rwkv"), "state"),
}
NO_ATTENTION = ("mamba", "mamba2", "falcon_mamba", "rwkv")  # families whose layers all keep a state
FULL: LayerKind = "full"
WINDOW: LayerKind = "window"
STATE: LayerKind = "state"
PATTERNS = ("layer_types", "layers_block_type", "block_types", "hybrid_layer_types", "attention_layers")
WINDOW_EVERY = {"gpt_oss": 2, "gemma2": 2, "gemma3_text": 6, "cohere2": 4}  # one in so many layers has full attention
STATE_NUMBER_BYTES = 4  # states are kept in 32 bits


def layer_kinds(config: Config, name: str, family: str, layers: int) -> list[LayerKind]:
    """The kind of each layer. Raises BadInput for an unknown kind."""
    if family in NO_ATTENTION:
        return [STATE] * layers
    for key in PATTERNS:
        if isinstance(config.get(key), list) and config[key]:
            return _named(config, key, name, family, layers)
    if isinstance(pattern := config.get("hybrid_override_pattern"), str):
        return _known(list(pattern), "hybrid_override_pattern", name)
    if isinstance(kinds := config.get("attn_type_list"), list) and len(kinds) == layers:
        return _of([bool(kind) for kind in kinds])
    if isinstance(crossing := config.get("cross_attention_layers"), list):
        return _of([layer not in crossing for layer in range(layers)])
    if isinstance(period := config.get("attn_layer_period"), int) and period > 1:
        offset = config.get("attn_layer_offset", 0)
        return _of([layer % period == offset for layer in range(layers)])
    if isinstance(group := config.get("layer_group_size"), int) and group > 1:
        return _of([(layer + 1) % group == 0 for layer in range(layers)])
    if isinstance(every := config.get("full_attention_interval"), int) and every > 1:
        return _of([(layer + 1) % every == 0 for layer in range(layers)])
    windowed = _windowed(config, name, family, layers)
    return [WINDOW] * windowed + [FULL] * (layers - windowed)  # only their number matters


def _of(full: list[bool]) -> list[LayerKind]:
    """Layers with full attention, and those with a state instead."""
    return [FULL if one else STATE for one in full]


def _named(config: Config, key: str, name: str, family: str, layers: int) -> list[LayerKind]:
    said = config[key]
    repeated = [said[layer % len(said)] for layer in range(layers)]  # some files give one period
    kinds = _known(repeated, key, name)
    if "window" in kinds and not window_of(config, name):
        return [FULL if kind == WINDOW else kind for kind in kinds]
    if family.startswith(("qwen2", "qwen3")) and config.get("use_sliding_window") is False:
        return [FULL if kind == WINDOW else kind for kind in kinds]
    return kinds


def _known(said: list[Any], key: str, name: str) -> list[LayerKind]:
    if unknown := sorted({str(kind) for kind in said} - KINDS.keys()):
        raise BadInput(f"{key} of model {name}", ", ".join(unknown), f"kinds of layer among {', '.join(KINDS)}")
    return [KINDS[str(kind)] for kind in said]


def window_of(config: Config, name: str) -> int:
    """How many tokens back a windowed layer sees; 0 if the file does not say. Raises BadInput."""
    for key in (
        "sliding_window",
        "attention_chunk_size",
        "sliding_window_size",
        "attention_window_size",
        "window_size",
    ):
        value = config.get(key)
        if value and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise BadInput(f"{key} of model {name}", value, "a whole number above 0")
        if value:
            return int(value)
    return 0


def _windowed(config: Config, name: str, family: str, layers: int) -> int:
    if not window_of(config, name) or config.get("use_sliding_window") is False:
        return 0
    if isinstance(first := config.get("max_window_layers"), int):  # Qwen: the layers from there on
        return max(0, layers - first) if config.get("use_sliding_window") else 0
    every = config.get("sliding_window_pattern") or WINDOW_EVERY.get(family)
    if every is None and config.get("attention_chunk_size"):
        every = 4  # Llama 4
    return layers - layers // every if isinstance(every, int) and every > 0 else layers


def state_bytes(config: Config, family: str, heads: int, head_dim: int, layers: int) -> tuple[int, tuple[str, ...]]:
    """Bytes of one sequence's state in all layers that have one; and what was assumed, a sentence each."""
    if not layers or config.get("cross_attention_layers"):
        return 0, ()
    numbers = _state_numbers(config, heads, head_dim)
    if numbers is None:
        return 0, (f"The file does not say how large the state of its {layers} layers without KV is; it counts as 0.",)
    return layers * numbers * STATE_NUMBER_BYTES, ()


def _state_numbers(config: Config, heads: int, head_dim: int) -> int | None:
    """Numbers in one layer's state: a matrix for each head, or Mamba's state for each channel."""

    def number(*keys: str) -> int:
        return next((config[key] for key in keys if isinstance(config.get(key), int)), 0)

    if value_heads := number("linear_num_value_heads"):
        return value_heads * number("linear_key_head_dim") * number("linear_value_head_dim")
    channels = number("mamba_num_heads", "mamba_n_heads") * number("mamba_head_dim", "mamba_d_head")
    channels = channels or number("mamba_d_ssm", "mamba_intermediate_size")
    channels = channels or number("mamba_expand", "expand") * number("hidden_size")
    if channels and (size := number("ssm_state_size", "mamba_d_state", "state_size")):
        return channels * size
    if config.get("attn_type_list") or config.get("layer_group_size"):
        return heads * head_dim * head_dim
    return number("lru_width") or None

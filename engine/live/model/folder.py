"""A model's folder, which may be anybody's or half there: is it whole, and is it what its config says? No torch.

Sizes and shapes are checked, by the headers of the weights: that costs nothing. A flipped bit in a weight stays unseen.
"""

import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import BadInput
from engine.files import contents, reason

MOST_BYTES = 100_000_000  # of a JSON file; tokenizers have some tens
HEADER = struct.Struct("<Q")  # of a safetensors file: how long the JSON is that follows
MOST = 10_000_000  # of anything that a config counts


class Damaged(Exception):
    """What is wrong with which file, as the end of a sentence."""


class _Tensor(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def read_json(file: Path) -> dict[str, Any]:
    """Its contents; empty if there is no such file. Raises Damaged."""
    if not file.exists():
        return {}
    try:
        return msgspec.json.decode(contents(file, MOST_BYTES), type=dict[str, Any])
    except OSError as why:
        raise Damaged(f"{file.name} cannot be read: {reason(why)}") from why
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as wrong:
        raise Damaged(f"{file.name} is no JSON object, or not all of one") from wrong


def weight_files(folder: Path, variant: str = "") -> list[Path]:
    """The files that hold the weights. Raises Damaged for an index that leads out of the folder."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return [folder / (f"model.{variant}.safetensors" if variant else "model.safetensors")]
    named = read_json(index).get("weight_map")
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise Damaged(f"{index.name} has no weight_map of file names")
    names = sorted(set(named.values()))
    if outside := [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]:
        raise Damaged(f"{index.name} names {outside[0][:80]!r}, which is no .safetensors file of the folder")
    return [folder / name for name in names]


def shapes(files: Iterable[Path]) -> dict[str, list[int]]:
    """Of every weight, by name. Raises Damaged for a file that is not there or not as long as it says."""
    found: dict[str, list[int]] = {}
    for file in files:
        try:
            size = file.stat().st_size
            with file.open("rb") as opened:
                (length,) = HEADER.unpack(opened.read(HEADER.size))
                header = msgspec.json.decode(opened.read(min(length, MOST_BYTES)), type=dict[str, Any])
            header.pop("__metadata__", None)
            tensors = msgspec.convert(header, dict[str, _Tensor])
        except OSError as why:
            raise Damaged(f"{file.name} cannot be read: {reason(why)}") from why
        except (struct.error, msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as wrong:
            raise Damaged(f"{file.name} is no safetensors file, or not all of one") from wrong
        end = max((tensor.data_offsets[1] for tensor in tensors.values()), default=0)
        if HEADER.size + length + end != size:
            raise Damaged(f"{file.name} has {size:,} bytes and should have {HEADER.size + length + end:,}")
        found |= {name: tensor.shape for name, tensor in tensors.items()}
    return found


def damage(folder: Path, variant: str = "") -> str:
    """What is wrong with the folder, as the end of a sentence; "" if it is whole and its weights are its config's."""
    try:
        files = sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in folder.iterdir())
    except OSError as why:
        return f"it cannot be read: {reason(why)}"
    return _damage(folder, variant, tuple(files))


@lru_cache(maxsize=16)
def _damage(folder: Path, variant: str, _files: tuple[tuple[str, int, int], ...]) -> str:
    """As long as no file changes, what was found holds: an engine prepares its model again for every run."""
    try:
        _check(folder, variant)
    except Damaged as wrong:
        return str(wrong)
    except (KeyError, TypeError) as lacking:
        return f"config.json lacks what every model has, or has something else there: {lacking}"
    return ""


def _check(folder: Path, variant: str) -> None:
    config = read_json(folder / "config.json")
    if not read_json(folder / "tokenizer.json"):
        raise Damaged("tokenizer.json is not there, or empty")
    read_json(folder / "tokenizer_config.json")
    read_json(folder / "generation_config.json")
    found = shapes(weight_files(folder, variant))
    if not found:
        raise Damaged("its .safetensors hold no weights")
    if "model.embed_tokens.weight" not in found:
        return  # named otherwise: transformers may know how
    for name, shape in _expected(config).items():
        if name not in found:
            raise Damaged(f"its weights lack {name}")
        if found[name] != shape:
            raise Damaged(f"{name} has the shape {found[name]} where config.json says {shape}")


def counted(config: Mapping[str, Any], path: str, key: str, default: Any = None) -> int:
    """A number of the config. Raises BadInput naming the key."""
    value = config.get(key)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST:
        raise BadInput(f"{key} in the config.json of {path}", value, f"a whole number from 1 to {MOST:,}")
    return value


def _expected(config: Mapping[str, Any]) -> dict[str, list[int]]:
    """The weights that a model of this config has in any of our families, and their shapes."""
    hidden, wide, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    heads = config["num_attention_heads"]
    dim = config.get("head_dim") or hidden // heads
    kv = (config.get("num_key_value_heads") or heads) * dim
    layer = {
        "self_attn.q_proj": [heads * dim, hidden],
        "self_attn.k_proj": [kv, hidden],
        "self_attn.v_proj": [kv, hidden],
        "self_attn.o_proj": [hidden, heads * dim],
        "mlp.gate_proj": [wide, hidden],
        "mlp.up_proj": [wide, hidden],
        "mlp.down_proj": [hidden, wide],
        "input_layernorm": [hidden],
        "post_attention_layernorm": [hidden],
    }
    found = {"model.embed_tokens.weight": [vocab, hidden], "model.norm.weight": [hidden]}
    if config.get("tie_word_embeddings") is False:
        found["lm_head.weight"] = [vocab, hidden]
    for n in range(config["num_hidden_layers"]):
        found |= {f"model.layers.{n}.{name}.weight": shape for name, shape in layer.items()}
    return found

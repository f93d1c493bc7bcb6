"""The formats of a published checkpoint's weights and KV, from the many ways in which config files state them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.errors import BadInput

Config = Mapping[str, Any]

BY_BITS = {2: "int4", 3: "int4", 4: "int4", 5: "int8", 6: "int8", 8: "int8"}  # the next wider format known here
MODELOPT = {
    "FP8": "fp8",
    "NVFP4": "nvfp4",
    "INT8": "int8",
    "W4A8": "int4",
    "INT4": "int4",
    "MXFP4": "mxfp4",
    "MXFP8": "fp8",
}
WHOLE_BYTES = ("fp8", "fbgemm_fp8", "finegrained_fp8", "fp8_pb_wo")


class Formats(msgspec.Struct, frozen=True):
    """`rest`: of attention and dense FFNs; `experts`: of routed experts; `kv`: bf16 or fp8.

    `assumed`: what the files left open, one sentence each.
    """

    rest: str = "bf16"
    experts: str = "bf16"
    kv: str = "bf16"
    assumed: tuple[str, ...] = ()


def formats(config: Config, beside: Config | None, name: str) -> Formats:
    """The formats in a config, or in `beside`: its hf_quant_config.json, if any. Raises BadInput for unknown ones."""
    said = config.get("quantization_config") or config.get("compression_config")
    apart = (beside or {}).get("quantization")
    for one in (apart, said):
        if isinstance(one, Mapping) and one:
            return _formats(one, said if isinstance(said, Mapping) else {}, name)
    return Formats()


def _formats(said: Config, other: Config, name: str) -> Formats:
    weights, assumed = _weights(said, name)
    skipped = " ".join(str(said.get(key) or other.get(key) or "") for key in SKIPPED)
    method = str(said.get("quant_method", "")).lower()
    attention_left = "self_attn" in skipped or method == "mxfp4"
    kv = "fp8" if _fp8_kv(said) or _fp8_kv(other) else "bf16"
    return Formats("bf16" if attention_left else weights, weights, kv, assumed)


SKIPPED = ("ignore", "exclude_modules", "modules_to_not_convert", "ignored_layers", "exclude")


def _fp8_kv(said: Config) -> bool:
    scheme = said.get("kv_cache_scheme")
    if isinstance(scheme, Mapping):
        return scheme.get("num_bits") == 8
    return "8" in str(said.get("kv_cache_quant_algo") or scheme or "")


def _weights(said: Config, name: str) -> tuple[str, tuple[str, ...]]:
    algorithm = str(said.get("quant_algo") or "").upper()
    if algorithm:
        known = next((kept for word, kept in MODELOPT.items() if algorithm.startswith(word)), None)
        if known or algorithm == "MIXED_PRECISION":
            return known or "fp8", () if known else ("Layers have several precisions; all count as fp8.",)
        raise BadInput(f"quant_algo of model {name}", algorithm, f"one of {', '.join(MODELOPT)}")
    groups = said.get("config_groups")
    if isinstance(groups, Mapping):
        return _of_groups(groups, name)
    method = str(said.get("quant_method") or "").lower()
    if method in WHOLE_BYTES:
        return "fp8", ()
    if method in ("mxfp4", "nvfp4"):
        return method, ()
    if said.get("load_in_4bit") or said.get("_load_in_4bit"):
        return "int4", ()
    if said.get("load_in_8bit") or said.get("_load_in_8bit"):
        return "int8", ()
    bits = said.get("bits") or said.get("w_bit") or said.get("weight_bits") or said.get("num_bits")
    if isinstance(bits, int) and bits in BY_BITS:
        return BY_BITS[bits], ()
    raise BadInput(f"quantization_config of model {name}", method or str(said)[:60], "in a format that the lab knows")


def _of_groups(groups: Config, name: str) -> tuple[str, tuple[str, ...]]:
    """compressed-tensors: the widest group's format, a lower bound for most layers."""
    found = []
    for group in groups.values():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if isinstance(weights, Mapping):
            found.append(_of_scheme(weights, name))
    if not found:
        raise BadInput(f"config_groups of model {name}", str(groups)[:60], "groups with weights")
    one = max(found, key=lambda kept: kept in ("fp8", "int8"))
    return one, () if len(set(found)) == 1 else (f"Layers have several precisions; all count as {one}.",)


def _of_scheme(weights: Config, name: str) -> str:
    bits, kind = weights.get("num_bits"), str(weights.get("type", "int"))
    if kind == "float" and bits == 4:
        return "mxfp4" if weights.get("group_size") == 32 else "nvfp4"
    if kind == "float" and bits == 8:
        return "fp8"
    if isinstance(bits, int) and bits in BY_BITS:
        return BY_BITS[bits]
    raise BadInput(f"num_bits of model {name}", bits, "4 or 8")

"""Shapes and their formulas against published numbers, and any config.json dropped in."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from engine.errors import BadInput
from engine.fleet.catalog.hf_config import model, model_shape, models, read_config

# name: parameters in all and per token, as their makers state them; KV bytes per token in bf16
PUBLISHED = {
    "smollm2-135m": (134.5e6, 134.5e6, 23_040),
    "qwen3-0.6b": (0.6e9, 0.6e9, 114_688),
    "llama-3.1-8b": (8.03e9, 8.03e9, 131_072),
    "mistral-7b": (7.25e9, 7.25e9, 131_072),
    "qwen3-8b": (8.2e9, 8.2e9, 147_456),
    "qwen3-32b": (32.8e9, 32.8e9, 262_144),
    "llama-3.3-70b": (70.6e9, 70.6e9, 327_680),
    "llama-2-70b": (69e9, 69e9, 327_680),
    "qwen3-30b-a3b": (30.5e9, 3.3e9, 98_304),
    "gpt-oss-20b": (20.9e9, 3.6e9, 24_576),
    "gpt-oss-120b": (116.8e9, 5.1e9, 36_864),
    "mixtral-8x7b": (46.7e9, 12.9e9, 131_072),
    "deepseek-v3": (671e9, 37e9, 70_272),
    "qwen3-235b-a22b": (235e9, 22e9, 192_512),
    "minimax-m2.5": (229e9, 11e9, 253_952),
    "kimi-k2.5": (1.03e12, 33e9, 70_272),
    "opt-13b": (13e9, 13e9, 819_200),
    "opt-66b": (66e9, 66e9, 2_359_296),
    "opt-175b": (175e9, 175e9, 4_718_592),
}
LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_hidden_layers": 32,
    "intermediate_size": 14336,
    "vocab_size": 128256,
}


def test_every_shipped_model_has_a_published_size() -> None:
    assert set(models()) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_kv_are_the_published_ones(name: str) -> None:
    shape = model(name)
    params, active, kv = PUBLISHED[name]
    assert shape.params == pytest.approx(params, rel=0.015)
    embedding = 0 if shape.tied else shape.vocab * shape.hidden  # gpt-oss counts its table out
    assert active == pytest.approx(shape.active_params, rel=0.02) or active == pytest.approx(
        shape.active_params - embedding, rel=0.02
    )
    assert shape.kv_bytes_per_token == kv
    assert shape.source


def test_kv_of_papers() -> None:
    assert model("opt-66b").kv_bytes(512) / 2**30 == pytest.approx(1.13, rel=0.01)  # DistServe, section 3.3: 1.13 GB
    assert model("llama-3.3-70b").kv_bytes_per_token == 320 * 1024  # Mooncake FAST'25, section 2.2: 320 KB
    assert model("qwen3-8b").kv_bytes(1024) / 2**20 == pytest.approx(146, rel=0.02)  # Mooncake's vLLM table: 146 MB
    oss = model("gpt-oss-120b")  # 18 layers of a window of 128 tokens: fixed 4.7 MB, the others grow
    assert oss.kv_bytes(8192) - 8192 * oss.kv_bytes_per_token == 18 * 2 * 8 * 64 * 2 * 128
    assert oss.kv_bytes(100) == 100 * 73_728  # inside the window every layer grows


@pytest.mark.parametrize(
    ("name", "tokens"),
    [("llama-3.1-8b", 61e3), ("llama-3.3-70b", 108e3), ("qwen3-32b", 63e3), ("qwen3-30b-a3b", 17e3)],
)
def test_attention_equals_the_rest_where_it_should(name: str, tokens: float) -> None:
    shape = model(name)  # T* = active parameters / (L q d), counted with the embeddings
    assert shape.active_params / (shape.layers * shape.heads * shape.head_dim) == pytest.approx(tokens, rel=0.02)
    pairs = tokens**2 / 2  # causal
    attention_flops = shape.attention_flops(absorbed=False) * shape.layers * pairs
    assert attention_flops == pytest.approx(2 * shape.active_params * tokens, rel=0.02)


def test_flops_per_kv_byte() -> None:
    """A tiny model on a GPU is the worst case for a handoff: few FLOPs per byte to ship."""
    ratios = [2 * model(n).active_params / model(n).kv_bytes_per_token for n in ("smollm2-135m", "llama-3.1-8b")]
    assert ratios == pytest.approx([11.7e3, 123e3], rel=0.01)


def test_decode_reads_only_the_experts_it_touches() -> None:
    moe = model("mixtral-8x7b")
    assert moe.experts is not None
    assert moe.read_bytes(moe.experts.active) == pytest.approx(2 * moe.active_params, rel=0.02)
    assert moe.read_bytes(moe.experts.count) == pytest.approx(moe.weight_bytes, rel=0.02)


def test_latent_attention_decodes_on_the_latent() -> None:
    shape = model("deepseek-v3")
    assert shape.attention_flops(absorbed=True) == 2 * 128 * (2 * 512 + 64)
    assert shape.attention_flops(absorbed=False) == 2 * 128 * (128 + 64 + 128)  # and prefill on keys and values


@given(st.sampled_from(sorted(PUBLISHED)), st.integers(1, 200_000))
def test_kv_grows_with_the_context(name: str, tokens: int) -> None:
    shape = model(name)
    assert shape.kv_bytes(tokens + 1) - shape.kv_bytes(tokens) >= shape.kv_bytes_per_token > 0
    half = msgspec.structs.replace(shape, kv_element_bytes=1)
    assert 2 * half.kv_bytes(tokens) == shape.kv_bytes(tokens)


# ---- any config.json


def dropped(folder: Path, config: object) -> str:
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_a_config_dropped_in_is_the_shipped_model(tmp_path: Path) -> None:
    folder = dropped(tmp_path, LLAMA)
    here, shipped = model(folder), model("llama-3.1-8b")
    assert here.params == 8_030_261_248  # norms included, as transformers counts them
    assert here.params == pytest.approx(shipped.params, rel=1e-4)
    assert here.kv_bytes_per_token == shipped.kv_bytes_per_token
    assert model(f"{folder}/config.json") == here


@pytest.mark.parametrize(
    ("more", "windowed"),
    [
        ({"sliding_window": None}, 0),
        ({"model_type": "mistral", "sliding_window": 4096}, 32),
        ({"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": False, "max_window_layers": 28}, 0),
        ({"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": True, "max_window_layers": 28}, 4),
        ({"model_type": "gemma3_text", "sliding_window": 512, "num_hidden_layers": 26}, 22),
        ({"sliding_window": 128, "layer_types": ["full_attention"] + ["sliding_attention"] * 31}, 31),
    ],
)
def test_windows(more: dict[str, Any], windowed: int) -> None:
    assert model_shape(LLAMA | more, "x").windowed_layers == windowed


def test_heads_experts_and_text_inside_a_picture_model() -> None:
    assert model_shape({**LLAMA, "num_key_value_heads": None}, "mha").kv_heads == 32
    qwen2_moe = {"num_experts": 60, "num_experts_per_tok": 4, "moe_intermediate_size": 1408, "mlp_only_layers": [0]}
    experts = model_shape(LLAMA | qwen2_moe | {"shared_expert_intermediate_size": 5632}, "moe").experts
    assert experts is not None
    assert (experts.layers, experts.active, experts.shared_ffn) == (31, 4, 5632)
    assert model_shape({"model_type": "gemma3", "text_config": LLAMA}, "vision") == model_shape(LLAMA, "vision")
    assert model_shape(LLAMA | {"quantization_config": {"quant_method": "awq", "bits": 4}}, "q").precision == "int4"


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({k: v for k, v in LLAMA.items() if k not in ("hidden_size", "model_type")}, "hidden_size"),
        (LLAMA | {"num_hidden_layers": 0}, "num_hidden_layers"),
        (LLAMA | {"num_hidden_layers": "32"}, "num_hidden_layers"),
        (LLAMA | {"layer_types": ["hyena"] * 32, "model_type": "new"}, "hyena"),
        (LLAMA | {"quantization_config": {"quant_method": "quip"}}, "quip"),
        (LLAMA | {"quantization_config": {"quant_algo": "FP2"}}, "FP2"),
        (LLAMA | {"quantization_config": {"config_groups": {"a": {"weights": {"num_bits": 1}}}}}, "num_bits"),
        (LLAMA | {"num_experts": 8, "num_experts_per_tok": 2, "moe_layer_freq": [0, 1]}, "moe_layer_freq"),
        (LLAMA | {"sliding_window": "wide"}, "sliding_window"),
        ([1, 2], "JSON object"),
    ],
)
@pytest.mark.usefixtures("one_process")
def test_a_config_without_sense_gets_one_sentence(tmp_path: Path, config: object, word: str) -> None:
    with pytest.raises(BadInput, match=word):
        model(dropped(tmp_path, config))


def test_unreadable_and_unknown_models(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xff{")
    with pytest.raises(BadInput, match="can be read"):
        model(str(tmp_path))
    with pytest.raises(BadInput, match="can be read"):
        model(str(tmp_path / "nowhere.json"))
    with pytest.raises(BadInput, match=r"did you mean llama-3\.1-8b\?"):
        model("llama-3-8b")


WORDS = st.sampled_from(["", "fp8", "bits", "sliding_attention", "hidden_size", "x"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
)
KEYS = [*LLAMA, "layer_types", "sliding_window", "num_experts", "mlp_only_layers", "kv_lora_rank", "q_lora_rank"]
KEYS += ["quantization_config", "text_config", "head_dim", "moe_layer_freq", "n_shared_experts", "max_window_layers"]


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=4))
def test_no_config_crashes_the_reader(nonsense: dict[str, Any]) -> None:
    try:
        shape = model_shape(LLAMA | nonsense, "x")
    except BadInput:
        return
    assert shape.params > 0
    assert shape.kv_bytes(100) > 0


# ---- a config.json of anybody's


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "can be read"),
        (b"\xff\xfe", "can be read"),
        (b"[" * 100_000, "can be read"),
        (b"[]", "a JSON object"),
        (b"{}", "hidden_size"),
        (b'{"a": "' + b"x" * 1_000_000 + b'"}', "at most 1 MB"),
        (b'{"hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1000000000}', "at most 10,000"),
    ],
)
def test_a_config_that_is_none_gets_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence) as refused:
        read_config(data, "config.json", "mine")
    assert "\n" not in str(refused.value)


def test_a_config_cannot_write_into_a_script() -> None:
    plain = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 100}
    evil = plain | {"_name_or_path": "-x\nrm -rf ~; `y`", "hub": "$(z)", "label": "# Big"}
    shape = read_config(json.dumps(evil).encode(), "config.json", "mine")
    assert (shape.name, shape.label, shape.hub) == ("mine", "mine", "")
    assert read_config(json.dumps(plain).encode(), "config.json", "mine").name == "mine"

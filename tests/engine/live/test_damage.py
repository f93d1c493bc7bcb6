"""Model folders and caches that are damaged: anybody's is refused in a sentence, our own is made again."""

import json
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.live.compute import kernels
from engine.live.model.catalog import prepare
from engine.live.model.convert import MAKING, _in_use, convert
from engine.live.model.folder import damage, weight_files
from engine.live.model.text import Text
from engine.live.process.run import make_requests
from engine.scenario import ModelSpec, Scenario, Workload
from tests.disks import small_disk
from tests.patience import comes

GOOD = prepare(ModelSpec("tiny-llama", "fp32"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "mine"
    shutil.copytree(GOOD.folder, copy)
    return copy


def cut(name: str) -> Callable[[Path], None]:
    def strike(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return strike


def config(**other: object) -> Callable[[Path], None]:
    def strike(folder: Path) -> None:
        file = folder / "config.json"
        changed = json.loads(file.read_text()) | other
        file.write_text(json.dumps({key: value for key, value in changed.items() if value is not None}))

    return strike


def header(**tensors: object) -> Callable[[Path], None]:
    def strike(folder: Path) -> None:
        said = json.dumps(tensors).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(said)) + said)

    return strike


def index(*names: object) -> Callable[[Path], None]:
    def strike(folder: Path) -> None:
        said = {"weight_map": {str(n): name for n, name in enumerate(names)}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(said))

    return strike


STRUCK = [
    (cut("config.json"), "config.json is no JSON object"),
    (cut("tokenizer.json"), "tokenizer.json is no JSON object"),
    (cut("generation_config.json"), "generation_config.json is no JSON object"),
    (cut("model.safetensors"), "model.safetensors has .* bytes and should have"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b""), "model.safetensors is no safetensors file"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 99), "is no safetensors file"),
    (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer.json is not there, or empty"),
    (header(), "hold no weights"),
    (config(num_attention_heads=None), "num_attention_heads in the config.json of .* is None"),
    (config(num_attention_heads=0), "num_attention_heads in the config.json of .* is 0"),
    (config(num_attention_heads=8, head_dim=None), "has the shape"),
    (config(num_hidden_layers=5), "its weights lack model.layers.4"),
    (config(num_hidden_layers=10**9), "num_hidden_layers"),
    (config(vocab_size="many"), "vocab_size in the config.json of .* is 'many'"),
    (config(max_position_embeddings=1e300), "max_position_embeddings"),
    (config(hidden_act="x" * 10_000_000), r"silu for its hidden_act, which is 'x{900,1000} \.\.\.\.$"),
    (config(eos_token_id={"a": 1}), None),  # the generation config's counts
    (index("../outside.safetensors"), "names '../outside.safetensors', which is no .safetensors file of the folder"),
    (index("/etc/passwd"), "names '/etc/passwd', which is no"),
    (index(7), "has no weight_map of file names"),
    (index("missing.safetensors"), "missing.safetensors cannot be read: no such file"),
]


@pytest.mark.parametrize(("strike", "said"), STRUCK)
def test_a_folder_of_anybody_s_is_refused_by_what_is_wrong(
    strike: Callable[[Path], None], said: str | None, folder: Path
) -> None:
    strike(folder)
    if said is None:
        prepare(ModelSpec(str(folder), "fp32"))
        return
    with pytest.raises(BadInput, match=said) as refused:
        prepare(ModelSpec(str(folder), "fp32"))
    assert len(str(refused.value).splitlines()) == 1


def test_an_index_of_files_in_the_folder_is_followed(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-1-of-1.safetensors")
    index("model-1-of-1.safetensors")(folder)
    assert weight_files(folder) == [folder / "model-1-of-1.safetensors"]
    assert damage(folder) == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tokenizer.json", '{"version": "1.0"}'),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": {}, "merges": 7}}'),
        ("chat_template.jinja", "{% for %}"),
        ("chat_template.jinja", "{{ messages[7].content }}"),
        ("chat_template.jinja", "{{ raise_exception('no') }}"),
    ],
)
def test_a_tokenizer_or_template_that_does_not_work_is_one_sentence(name: str, text: str, folder: Path) -> None:
    (folder / name).write_text(text)
    with pytest.raises(BadInput, match="model is"):
        Text(prepare(ModelSpec(str(folder), "fp32")))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "model.bf16.safetensors"])
def test_a_damaged_cache_is_made_again_and_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPLIT_KITCHEN_CACHE", str(tmp_path))
    kept = tmp_path / Path(GOOD.folder).name
    shutil.copytree(GOOD.folder, kept)
    cut(name)(kept)
    assert prepare(ModelSpec("tiny-llama", "fp32")).folder == str(kept)
    assert (kept / name).read_bytes() == Path(GOOD.folder, name).read_bytes()
    err = capfd.readouterr().err
    assert f"{kept} is damaged ({name}" in err
    assert "made again" in err


def test_what_a_killed_conversion_left_is_removed_and_what_one_at_work_has_stays(tmp_path: Path) -> None:
    left, new, used = (tmp_path / f"{MAKING}{name}" for name in ("left", "new", "used"))
    for folder in (left, new, used):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(bytes(100))
    long_ago = time.time() - 86_400
    for folder in (left, used):
        os.utime(folder, (long_ago, long_ago))
    with _in_use(used):
        convert("tiny-llama", tmp_path / "made")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([new.name, used.name, "made"])


@pytest.mark.live
def test_a_conversion_that_is_killed_leaves_nothing_for_ever(tmp_path: Path) -> None:
    line = [sys.executable, "-P", "-m", "engine.live.model.convert", "tiny-llama", str(tmp_path / "made")]
    converting = subprocess.Popen(line)
    assert comes(lambda: converting.poll() is not None or list(tmp_path.glob(f"{MAKING}*/made")))
    converting.kill()
    converting.wait()
    (left,) = tmp_path.iterdir()
    long_ago = time.time() - 86_400
    os.utime(left, (long_ago, long_ago))
    convert("tiny-llama", tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_cache_that_can_t_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPLIT_KITCHEN_CACHE", str(tmp_path / "file"))
    with pytest.raises(BadInput, match=r"SPLIT_KITCHEN_CACHE is '.*file', but must be a folder that can be written \("):
        prepare(ModelSpec("tiny-llama", "fp32"))


@pytest.mark.live
def test_a_cache_without_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        monkeypatch.setenv("SPLIT_KITCHEN_CACHE", str(disk))
        with pytest.raises(BadInput, match=r"SPLIT_KITCHEN_CACHE is .* with room for tiny-llama"):
            prepare(ModelSpec("tiny-llama", "fp32"))
        assert list(disk.iterdir()) == []


def test_a_user_without_a_home_can_run_the_engine(tmp_path: Path) -> None:
    code = (
        "import os, pwd; pwd.getpwuid = pwd.getpwnam = {}.__getitem__; os.environ.pop('HOME', None);"  # nor an entry
        "from engine.live.model.catalog import prepare; from engine.scenario import ModelSpec; import lab.web.cli;"
        "import engine.live.compute.kernels.compiler; print(prepare(ModelSpec('tiny-llama')).folder)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "SPLIT_KITCHEN_CACHE"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"TMPDIR": str(tmp_path)}, capture_output=True, text=True
    )
    cache = tmp_path / f"split-kitchen-{os.getuid()}"
    assert (ran.stderr, ran.stdout.strip()) == ("", str(cache / Path(GOOD.folder).name))
    assert any(cache.glob("kernels-*"))


# ---- compiled kernels


def test_damaged_kernels_are_thrown_away_and_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In processes of their own, as numba reads the cache once."""
    monkeypatch.setenv("SPLIT_KITCHEN_CACHE", str(tmp_path))
    shutil.copytree(GOOD.folder, tmp_path / Path(GOOD.folder).name)
    code = (
        "from engine.live.compute.kernels import if_compiled\n"
        "def make():\n"
        "    import numpy as np; from engine.live.compute.kernels.layer import norm\n"
        "    return norm(np.ones((1, 64), np.float32), np.ones(64, np.float32), 1e-5)\n"
        "print(if_compiled(make).shape)"
    )

    def run() -> str:
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == "(1, 64)", ran
        return ran.stderr

    assert run() == ""
    kept = sorted(tmp_path.rglob("*.nb?"))
    assert kept
    for ending in ("nbi", "nbc"):
        for file in tmp_path.rglob(f"*.{ending}"):
            file.write_bytes(file.read_bytes()[:40])
        said = run()
        assert "could not be used" in said
        assert "made again" in said
        assert run() == ""


def test_kernels_that_fail_for_another_reason_leave_torch_to_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kernels, "discarded", lambda failed: False)

    def make() -> None:
        raise RuntimeError("no such instruction")

    assert kernels.if_compiled(make) is None
    assert "so torch computes small batches (RuntimeError: no such instruction)" in capfd.readouterr().err


def test_requests_of_a_folder_that_is_whole_are_made(folder: Path) -> None:
    load = Workload(requests=2, prompt_tokens=20, output_tokens=2)
    assert len(make_requests(Scenario(workload=load, model=ModelSpec(str(folder), "fp32")))) == 2


def test_kernels_of_code_that_nobody_has_used_for_a_month_are_removed(tmp_path: Path) -> None:
    from engine.live.compute.kernels import compiler

    for name, days in (("kernels-old", 31), ("kernels-used", 29), ("tiny-llama-v1", 400)):
        (tmp_path / name).mkdir()
        then = time.time() - days * 86_400
        os.utime(tmp_path / name, (then, then))
    compiler._forget_old(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["kernels-used", "tiny-llama-v1"]

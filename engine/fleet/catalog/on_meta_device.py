"""Build a config's model with transformers' own classes: `python -m engine.fleet.catalog.on_meta_device`.

Reads the config from stdin, or from a GGUF file whose path is its argument; with --defaults it takes what the classes
have by themselves. Prints one JSON object: the text model's config with its class's defaults, its number of parameters
and, of a GGUF file, the bytes of its tensors. The model is built on the meta device, so nothing is allocated; code that
a config names is never run. It runs in a separate process because it needs torch; `filled`, `of_gguf` and `of_classes`
start that process.
"""

import functools
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

PATIENCE_S = 120
DEFAULTS = "--defaults"
RELATIVES = {"kimi_k2": "deepseek_v3", "deepseek_ref": "deepseek_v3"}  # the same architecture under another name


class NotKnown(Exception):
    """transformers has no class for the config, or its class cannot read it."""


@functools.lru_cache(maxsize=64)
def filled(config: str) -> dict[str, Any]:
    """`config` (JSON) with defaults filled in, as {"config": ..., "params": ..., "routed": ...}.

    `params` and `routed` (experts' parameters) are 0 if no model could be built. Raises NotKnown. Takes some seconds.
    """
    return _asked(config)


@functools.lru_cache(maxsize=64)
def of_gguf(path: str) -> dict[str, Any]:
    """The same of a GGUF file, with "bytes" of its tensors. Raises NotKnown."""
    return _asked("", path)


def _asked(config: str, *path: str) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "engine.fleet.catalog.on_meta_device", *path]
    try:
        done = subprocess.run(command, input=config, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as late:
        raise NotKnown(f"its classes took more than {PATIENCE_S} s") from late
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it ended without a message"]
        raise NotKnown(lines[-1][:200])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def of_classes(kinds: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Of each kind of model that writes text, or of some: "kind", and its "config" and what was "found" of it, or "why"
    there is none."""
    command = [sys.executable, "-P", "-m", "engine.fleet.catalog.on_meta_device", DEFAULTS, *kinds]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout or ():
            yield json.loads(line)


def main() -> None:
    """Read a config, print the result. Exits with a message if transformers has no class for it."""
    if sys.argv[1:2] == [DEFAULTS]:
        for line in _defaults(sys.argv[2:]):
            print(json.dumps(line), flush=True)  # noqa: T201
        return
    config, stored = _gguf(sys.argv[1]) if len(sys.argv) > 1 else (json.load(sys.stdin), 0)
    try:
        made = _made(config)
    except NotKnown as why:
        sys.exit(str(why))
    print(json.dumps({**made, "bytes": stored}))  # noqa: T201


def _made(config: dict[str, Any]) -> dict[str, Any]:
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    kind = config["model_type"]
    kind = RELATIVES.get(kind, kind)
    if kind not in CONFIG_MAPPING:
        raise NotKnown(f"no class for {kind}")
    left_out = ("quantization_config", "auto_map", "model_type", "architectures", "time_step_limit")
    text = CONFIG_MAPPING[kind].from_dict({k: v for k, v in config.items() if k not in left_out}).get_text_config()
    params, routed = 0, 0
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(text)
        named = dict(model.named_parameters())
        params = sum(p.numel() for p in named.values())
        routed = sum(p.numel() for name, p in named.items() if ".experts." in name and "shared" not in name)
    except Exception as wrong:  # any class may fail in its own way; the config alone is still useful
        print(f"no model: {wrong}", file=sys.stderr)  # noqa: T201
    own = {name: value for name, value in text.to_dict().items() if _plain(value)}
    return {"config": own, "params": params, "routed": routed}


def _defaults(kinds: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What the classes of all kinds that write text, or of some, have without a file: those of their documentation."""
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    for kind in kinds or MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        try:
            config = json.loads(CONFIG_MAPPING[kind]().to_json_string(use_diff=False))
            yield {"kind": kind, "config": config, "found": _made(config)}
        except Exception as wrong:
            yield {"kind": kind, "why": f"{type(wrong).__name__}: {wrong}"}


def _plain(value: object) -> bool:
    return isinstance(value, (str, int, float, bool, list)) or value is None


def _gguf(path: str) -> tuple[dict[str, Any], int]:
    from gguf import GGUFReader
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    config = load_gguf_checkpoint(path)["config"]
    return config, sum(int(tensor.n_bytes) for tensor in GGUFReader(path).tensors)


if __name__ == "__main__":
    main()

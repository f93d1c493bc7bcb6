"""Build a config's model with transformers' own classes: `python -m engine.fleet.catalog.on_meta_device`.

Reads the config from stdin and prints one JSON object: the text model's config with its class's defaults, and its
number of parameters. The model is built on the meta device, so nothing is allocated; code that a config names is never
run. It runs in a separate process because it needs torch; `filled` starts that process.
"""

import functools
import json
import subprocess
import sys
from typing import Any

PATIENCE_S = 120
RELATIVES = {"kimi_k2": "deepseek_v3", "deepseek_ref": "deepseek_v3"}  # the same architecture under another name


class NotKnown(Exception):
    """transformers has no class for the config, or its class cannot read it."""


@functools.lru_cache(maxsize=64)
def filled(config: str) -> dict[str, Any]:
    """`config` (JSON) with defaults filled in, as {"config": ..., "params": ..., "routed": ...}.

    `params` and `routed` (experts' parameters) are 0 if no model could be built. Raises NotKnown. Takes some seconds.
    """
    command = [sys.executable, "-P", "-m", "engine.fleet.catalog.on_meta_device"]
    try:
        done = subprocess.run(command, input=config, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as late:
        raise NotKnown(f"its classes took more than {PATIENCE_S} s") from late
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it ended without a message"]
        raise NotKnown(lines[-1][:200])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Read a config from stdin, print the result. Exits with a message if transformers has no class for it."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    config = json.load(sys.stdin)
    kind = config["model_type"]
    kind = RELATIVES.get(kind, kind)
    if kind not in CONFIG_MAPPING:
        sys.exit(f"no class for {kind}")
    left_out = ("quantization_config", "auto_map", "model_type", "architectures")
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
    print(json.dumps({"config": own, "params": params, "routed": routed}))  # noqa: T201


def _plain(value: object) -> bool:
    return isinstance(value, (str, int, float, bool, list)) or value is None


if __name__ == "__main__":
    main()

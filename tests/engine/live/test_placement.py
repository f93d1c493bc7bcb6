"""On a device, nothing is left on the host, nothing waits in mid-step, and steps do not grow."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

LAYERS = 4
MOST = {"prefill": 45, "decode": 40, "mixed": 72, "handoff": 8, "recorded": 3}
WHOLE = ("handoff", "recorded")  # operations of a piece and of a step; the others' are those of a layer
MODELS = ("tiny-llama", "tiny-qwen3")


@pytest.mark.live
def test_a_pretended_accelerator_finds_no_host_tensor_and_no_hidden_wait() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.engine.live.pretend", *MODELS],
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert ran.returncode == 0, ran.stderr.decode()[-3000:]
    counted = msgspec.json.decode(ran.stdout, type=dict[str, dict[str, int]])
    most = {name: count * (1 if name in WHOLE else LAYERS) for name, count in MOST.items()}
    for model in MODELS:
        assert counted[model].keys() == most.keys()
        assert all(0 < counted[model][name] <= most[name] for name in most), counted

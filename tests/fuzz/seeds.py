"""Good files, small ones, of every kind that the product reads: what the bad ones are made of."""

import shutil
from pathlib import Path

from engine.link import LinkSpec
from engine.live.model.catalog import prepare
from engine.log import Log, dump, in_order
from engine.scenario import Deployment, ModelSpec, Scenario, Workload
from tests.lab.fake_kitchen import cook, requests

ROOT = Path(__file__).parents[2]
RAW = ROOT / "tests" / "engine" / "vllm" / "raw" / "split"

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2224670,879,55
"""
BURST = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
"""
MOONCAKE = """{"timestamp": 0, "input_length": 600, "output_length": 500, "hash_ids": [0, 1]}
{"timestamp": 3052, "input_length": 1200, "output_length": 26, "hash_ids": [0, 2, 3]}
"""
METRICS = ROOT / "tests" / "engine" / "fleet" / "vllm-metrics.txt"


def recording(folder: Path) -> Path:
    file = folder / "good.jsonl"
    events = in_order(cook("disaggregated", requests(4)))
    load = Workload(requests=4, prompt_tokens=60, output_tokens=30)
    file.write_bytes(
        dump(Log(Scenario(Deployment(), LinkSpec(20e6), load, ModelSpec("tiny-llama")), events, "made up"))
    )
    return file


def watched_folder(folder: Path) -> Path:
    copy = folder / "watched"
    if not copy.exists():
        shutil.copytree(RAW, copy)
    return copy


def model_folder(folder: Path) -> Path:
    """A converted model, as anybody may have one."""
    copy = folder / "model"
    if not copy.exists():
        shutil.copytree(prepare(ModelSpec("tiny-llama", "fp32")).folder, copy)
    return copy

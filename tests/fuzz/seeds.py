"""Good files, small ones, of every kind that the product reads: what the bad ones are made of."""

import json
import shutil
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

from engine.events import SERVER, UNSEEN, Arrived, Connected, Counted, Event, Failed, Finished, TokenMade
from engine.link import LinkSpec
from engine.live.model.catalog import prepare
from engine.live.model.dtypes import UPCAST, speeds_file
from engine.log import Log, dump, in_order
from engine.scenario import Deployment, ModelSpec, Scenario, Workload
from lab.classroom.actions import ClassActions
from lab.classroom.auth import Instructors
from lab.classroom.store import RoomFile
from lab.runs.engine_settings import EngineSettings
from lab.web.settings import Settings
from lessons.book import Book, Guess, Outcome
from lessons.evidence import Made
from lessons.keys import Key, judged
from lessons.lesson import Round
from lessons.question import Choice
from tests.engine.sim.test_own import CHUNKED
from tests.lab.fake_kitchen import cook, requests

ROOT = Path(__file__).parents[2]
RAW = ROOT / "tests" / "engine" / "vllm" / "raw"
TEACHER, LEARNERS = "T" * 22, ("A" * 22, "B" * 22)
ASKED = Round("first", "Which?", Choice({"a": "A", "b": "B"}), key=lambda evidence: Key("a"))

TRACES = {
    "azure.csv": """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2224670,879,55
""",
    "burst.csv": """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
""",
    "mooncake.jsonl": """{"timestamp": 0, "input_length": 600, "output_length": 500, "hash_ids": [0, 1]}
{"timestamp": 3052, "input_length": 1200, "output_length": 26, "hash_ids": [0, 2, 3]}
""",
    "bailian.jsonl": """{"chat_id": 0, "timestamp": 0.5, "input_length": 30, "output_length": 5, "hash_ids": [0, 1]}
{"chat_id": 1, "timestamp": 2.0, "input_length": 40, "output_length": 7, "hash_ids": [0, 2, 3]}
""",
    "vllm.json": """{"date": "20260101-000000", "total_input_tokens": 1800, "request_rate": 2.0,
"input_lens": [700, 500, 600], "output_lens": [5, 7, 9], "start_times": [101.5, 100.0, 102.0],
"errors": ["", "", ""]}
""",
    "aiperf.jsonl": "".join(
        json.dumps(
            {
                "metadata": {"request_start_ns": n * 10**9, "benchmark_phase": "profiling"},
                "metrics": {"input_sequence_length": {"value": 550}, "output_sequence_length": {"value": 12}},
                "error": None,
            }
        )
        + "\n"
        for n in range(3)
    ),
}
POLICY = f"""import math

{CHUNKED}

def ships(tokens, prefill, decode):
    return tokens > 64 and prefill.requests < math.inf
"""
TYPED = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "tie_word_embeddings": False,
}  # fmt: skip
TYPED_CONFIG = json.dumps(TYPED).encode()
# read as it is: for one with a type, transformers' own classes are asked, which takes seconds
PLAIN_CONFIG = json.dumps({key: value for key, value in TYPED.items() if key != "model_type"}).encode()
METRICS = ROOT / "tests" / "engine" / "fleet" / "vllm-metrics.txt"


def recording(folder: Path) -> Path:
    file = folder / "good.jsonl"
    events = in_order(cook("disaggregated", requests(4)))
    load = Workload(requests=4, prompt_tokens=60, output_tokens=30)
    file.write_bytes(
        dump(Log(Scenario(Deployment(), LinkSpec(20e6), load, ModelSpec("tiny-llama")), events, "made up"))
    )
    return file


def outside(folder: Path) -> Path:
    """What a client recorded of somebody else's server."""
    file = folder / "client.jsonl"
    events: list[Event] = [Connected(0.0, "http://127.0.0.1:8000/v1", "one")]
    for n, name in enumerate(("r1", "r2", "r3")):
        events.append(Arrived(0.1 * n, name, 40, 3, "Why?"))
        events += [TokenMade(1.0 + n + 0.1 * index, SERVER, name, index, UNSEEN, " so") for index in range(3)]
        events += [Failed(2.0 + n, name, "The connection broke off.")] if n == 2 else [Counted(2.0 + n, name, 41, 3)]
        events.append(Finished(2.0 + n, name, "failed" if n == 2 else "length", 3))
    file.write_bytes(dump(Log(Scenario(), in_order(events), "a client", "2026-01-01T00:00:00+00:00")))
    return file


def watched_folder(folder: Path) -> Path:
    """What the plugin inside a vLLM and its client wrote."""
    return _copied(RAW / "split", folder / "watched")


def traced_folder(folder: Path) -> Path:
    """What a Dynamo wrote."""
    return _copied(RAW / "mocker", folder / "traced")


def _copied(good: Path, copy: Path) -> Path:
    if not copy.exists():
        shutil.copytree(good, copy)
    return copy


def model_folder(folder: Path) -> Path:
    """A converted model, as anybody may have one."""
    return _copied(Path(prepare(ModelSpec("tiny-llama", "fp32")).folder), folder / "model")


def weighed_folder(folder: Path) -> Path:
    """A published model's folder: its config, how it is quantised, and the headers of its weights."""
    made = folder / "weighed"
    if not made.exists():
        made.mkdir()
        (made / "config.json").write_bytes(PLAIN_CONFIG)
        kept = {"quant_algo": "FP8", "exclude_modules": ["lm_head"]}
        (made / "hf_quant_config.json").write_text(json.dumps({"quantization": kept}))
        (made / "model.safetensors.index.json").write_text('{"metadata": {"total_size": 0}, "weight_map": {}}')
        header = json.dumps({"a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
        (made / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    return made


def docs_folder(folder: Path) -> Path:
    """What `bench all` keeps."""
    made = folder / "docs"
    if not made.exists():
        made.mkdir()
        shutil.copy(ROOT / "docs" / "performance.json", made)
    return made


def data_folder(folder: Path) -> Path:
    """A lab's guesses, a class in which two have voted, and the instructor's key."""
    made = folder / "data"
    if not made.exists():
        Settings(made, EngineSettings()).checked()
        guess = Guess("a", "sure", "because")
        book = Book(made / "guesses.sqlite", LEARNERS[0])
        book.commit("lesson", ASKED, guess)
        book.settle("lesson", "first", Outcome(Key("a"), judged("a", Key("a")), "a machine", "2026-01-01"))
        instructors = Instructors(made / "class.sqlite", "a long enough key")
        instructors.admit(TEACHER, "a long enough key")
        rooms = ClassActions(RoomFile(made / "class.sqlite", instructors))
        code = rooms.open(TEACHER).code
        rooms.ask(code, TEACHER, "lesson", "first")
        for learner in LEARNERS:
            rooms.join(code, learner, "Ann")
            room = rooms.room(code)
            assert room is not None
            assert room.question is not None
            rooms.cast(code, learner, room.question, ASKED, guess)
        rooms.show_counts(code, TEACHER)
        rooms.run(code, TEACHER)
        rooms.show_answer(code, TEACHER, Key("a"), "a machine", Made(1, (0, 0), ("2026-01-01", "2026-01-01"), 0, 0))
    return made


def cache_folder(folder: Path) -> Path:
    """The measured speeds of this machine."""
    made = folder / "cache"
    if not made.exists():
        made.mkdir()
        speed = {"prefill_s": 0.001, "decode_s": 0.0001}
        speeds_file(made).write_text(json.dumps(dict.fromkeys(("float32", "bfloat16", UPCAST), speed)))
    return made


def gguf(folder: Path) -> Path:
    """The smallest that is one: a header, a few keys, one tensor."""
    file = folder / "good.gguf"
    if not file.exists():
        writer = GGUFWriter(file, "llama")
        for add, number in (
            (writer.add_block_count, 1), (writer.add_context_length, 64), (writer.add_embedding_length, 8),
            (writer.add_feed_forward_length, 16), (writer.add_head_count, 2), (writer.add_head_count_kv, 1),
            (writer.add_vocab_size, 4),
        ):  # fmt: skip
            add(number)
        writer.add_tensor("token_embd.weight", np.ones((4, 8), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return file

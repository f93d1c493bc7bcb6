"""What the checks run on: a GPU or the stand-in, and the models that suit it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from engine.link import LinkSpec
from engine.live.compute.kv import Pool, pool_on, pool_rows
from engine.live.compute.place import Place
from engine.live.compute.places import place
from engine.live.machine import gpu_pairs
from engine.live.model.catalog import prepare
from engine.live.model.shape import KvShape
from engine.live.process.front import Front
from engine.scenario import ModelSpec, Scenario

TINY = ("tiny-llama", "tiny-qwen3")
ROOM_BYTES = 40 << 30  # with less on the GPU, the large model is a smaller one


class LeftOut(Exception):
    """Why this machine can't take a check."""


@dataclass(frozen=True)
class Bench:
    """`places`: all GPUs that may be used, as "cuda:0"; or "stand-in". `folder`: the large model is made there once."""

    places: tuple[str, ...]
    folder: Path

    @property
    def device(self) -> str:
        """Where all checks run that need one."""
        return self.places[0]

    @property
    def real(self) -> bool:
        return self.device != "stand-in"

    @cached_property
    def place(self) -> Place:
        """Entered by the thread that asks first."""
        here = place(self.device)
        here.enter()
        return here

    @cached_property
    def doors(self) -> tuple[str, ...]:
        """The transports that work between two processes here. Without shared memory, all else is checked over tcp."""
        (to_itself,) = gpu_pairs.measure([self.device])
        return ("tcp",) if to_itself.why else ("shm", "tcp")

    @cached_property
    def large(self) -> ModelSpec:
        """The model whose speed is measured: as large as the GPU allows. The stand-in's is small."""
        if not self.real:
            return ModelSpec(str(random_model("small", self.folder, self.place.device)), "fp32", 200, self.device)
        shape = "qwen3-4b" if torch.cuda.mem_get_info(self.place.device)[1] > ROOM_BYTES else "qwen3-0.6b"
        return ModelSpec(str(random_model(shape, self.folder, self.place.device)), "auto", 2700, self.device)

    def let_go(self) -> None:
        """Of all that the last check had, and of the memory that torch keeps for later: workers need it."""
        gc.collect()
        if self.real:
            torch.cuda.empty_cache()

    @property
    def lengths(self) -> tuple[int, int]:
        """Tokens of a usual prompt and of a long one."""
        return (1024, 8192) if self.real else (64, 512)

    def filled_pool(self, shape: KvShape, blocks: int) -> Pool:
        """Each of its words is another number."""
        pool = pool_on(self.place, shape, blocks)
        rows = pool_rows(pool)
        rows.copy_(torch.arange(rows.numel(), device=self.place.device).view_as(rows))
        self.place.finish()
        return pool

    def tiny(self, name: str, device: str = "") -> ModelSpec:
        return ModelSpec(name, "fp32", device=device or self.device)

    @contextmanager
    def front(self, scenario: Scenario, transports: tuple[str, ...] = ()) -> Iterator[Front]:
        """An engine that can run it."""
        with Front(scenario.deployment, LinkSpec(), scenario.model, transports=transports) as front:
            front.start()
            yield front


SHAPES = {  # of Qwen's config.json
    "qwen3-4b": {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32},
    "qwen3-0.6b": {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16},
    "small": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 8},
}


def random_model(shape: str, folder: Path, device: torch.device) -> Path:
    """A model of that shape with random weights, and the tiny models' tokenizer: nothing is downloaded."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config

    made = folder / f"random-{shape}"
    if not (made / "config.json").exists():
        config = Qwen3Config(
            **SHAPES[shape],
            num_key_value_heads=8,
            head_dim=128,
            vocab_size=151_936,
            max_position_embeddings=40_960,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=256,
        )
        torch.manual_seed(0)
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        AutoTokenizer.from_pretrained(prepare(ModelSpec("tiny-qwen3", "fp32")).folder).save_pretrained(made)
        model.save_pretrained(made)
    return made

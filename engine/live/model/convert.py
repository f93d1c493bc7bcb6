"""Turn a GGUF file, or the name of a tiny model, into a folder that loads fast. Run as a program, once a model.

transformers takes 20 s to read a GGUF file, and every process would hold its own copy. Safetensors are memory-mapped:
workers share the pages. The folder has the weights twice, in fp32 and (`model.bf16.safetensors`) in bf16.
"""

import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, Qwen3Config

MAKING = ".making-"
BEGUN_S = 600.0
END = 256  # the tiny models' end-of-sequence token; 0 to 255 are the bytes
TINY_SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "max_position_embeddings": 2048,
    "initializer_range": 0.2,  # large, so that what a token attends to decides what comes next
    "bos_token_id": None,
    "eos_token_id": END,
}
TINY_CONFIGS = {
    "tiny-llama": lambda: LlamaConfig(head_dim=16, **TINY_SHAPE),
    "tiny-qwen3": lambda: Qwen3Config(head_dim=32, **TINY_SHAPE),
}
TINY_CHAT = "{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}[assistant] "


def convert(source: str, folder: Path) -> None:
    """Make `folder`, whole or not at all; if another process was faster, keep its folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"{MAKING}*"):
        _clear(left)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=MAKING) as scratch, _in_use(Path(scratch)):
        made = Path(scratch) / folder.name
        made.mkdir()
        (_tiny if source in TINY_CONFIGS else _gguf)(source, made)
        for file in made.iterdir():
            file.chmod(0o644)  # safetensors makes them private; an image is built by one user and run by another
            with file.open("rb") as written:
                os.fsync(written.fileno())  # else a power cut may leave files of the right length and nothing in them
        try:
            made.rename(folder)
        except OSError:
            if not folder.exists():
                raise


@contextmanager
def _in_use(folder: Path) -> Iterator[bool]:
    """Lock the folder as long as this process lives; whether nobody else had."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


def _clear(left: Path) -> None:
    """Remove what a conversion left that was killed; not what one that has just begun is about to lock."""
    with suppress(OSError):
        if time.time() - left.stat().st_mtime > BEGUN_S:
            with _in_use(left) as nobodys:
                if nobodys:
                    shutil.rmtree(left)


def _gguf(source: str, folder: Path) -> None:
    # transformers reads the file three times and the table of names once a module: more than half of the time
    for pure in (gguf.GGUFReader, gguf.get_tensor_name_map):
        setattr(gguf, pure.__name__, cache(pure))
    where = {"pretrained_model_name_or_path": str(Path(source).parent), "gguf_file": Path(source).name}
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    del model.config.quantization_config  # the weights are no longer quantized
    _save(model, folder)


def _tiny(source: str, folder: Path) -> None:
    torch.manual_seed(0)
    _save(AutoModelForCausalLM.from_config(TINY_CONFIGS[source](), dtype=torch.float32), folder)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({character: token for token, character in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<end>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(TINY_CHAT)


def _save(model: Any, folder: Path) -> None:
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    weights = dict(model.state_dict())
    if model.config.tie_word_embeddings:
        del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    halves = {name: weight.to(torch.bfloat16) for name, weight in weights.items()}
    save_file(halves, folder / "model.bf16.safetensors", {"format": "pt"})


if __name__ == "__main__":
    torch.set_num_threads(1)  # on a busy machine, several would mostly wait for each other
    convert(sys.argv[1], Path(sys.argv[2]))

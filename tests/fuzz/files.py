"""Files of every kind that the product reads, damaged in every way that files are."""

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.fuzz import seeds

Damage = Callable[[bytes, random.Random], bytes]


def truncated(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def reordered(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if len(lines) < 3:
        parts = re.split(rb"(?<=[,{\[])", data)
        rng.shuffle(parts)
        return b"".join(parts)
    rng.shuffle(lines)
    return b"".join(lines)


def lost_lines(data: bytes, rng: random.Random) -> bytes:
    return b"".join(line for line in data.splitlines(keepends=True) if rng.random() < 0.7)


def twice(data: bytes, rng: random.Random) -> bytes:
    return data + data


NUMBERS = (
    b"NaN",
    b"Infinity",
    b"-1",
    b"1e308",
    b"-1e308",
    b"1e-320",
    b"9" * 5000,
    b"0",
    b"1.5",
    b"null",
    b'"x"',
    b"[]",
)


def odd_number(data: bytes, rng: random.Random) -> bytes:
    found = list(re.finditer(rb"-?\d+(\.\d+)?([eE][+-]?\d+)?", data))
    if not found:
        return data
    one = rng.choice(found)
    return data[: one.start()] + rng.choice(NUMBERS) + data[one.end() :]


def odd_numbers(data: bytes, rng: random.Random) -> bytes:
    """One in five of all."""
    return re.sub(
        rb"-?\d+(\.\d+)?", lambda one: rng.choice(NUMBERS) if rng.random() < 0.2 else one[0], data, count=2000
    )


def other_word(data: bytes, rng: random.Random) -> bytes:
    """A name, a key or a column is another."""
    words = list(re.finditer(rb"[A-Za-z_]{3,}", data))
    if not words:
        return data
    one = rng.choice(words)
    return data[: one.start()] + rng.choice((b"", b"x", b"\\u0000", b"\xc3\xa9\xf0\x9f\x8d\xb3")) + data[one.end() :]


def long_line(data: bytes, rng: random.Random) -> bytes:
    words = list(re.finditer(rb"[A-Za-z_]{3,}", data))
    at = rng.choice(words).start() if words else 0
    return data[:at] + b"x" * 10_000_000 + data[at:]


def deep(data: bytes, rng: random.Random) -> bytes:
    opening = rng.choice((b"[", b'{"a":'))
    values = list(re.finditer(rb"(?<=:)\s*[^,{}\[\]]+", data))
    at = rng.choice(values).start() if values else 0
    return data[:at] + opening * 100_000 + data[at:]


def utf_16(data: bytes, rng: random.Random) -> bytes:
    return data.decode("utf-8", "replace").encode("utf-16")


def latin_1(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + "Grüße".encode("latin-1") + data[at:]


def marked(data: bytes, rng: random.Random) -> bytes:
    return b"\xef\xbb\xbf" + data


def zeros(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes(rng.choice((1, 5000))) + data[at:]


def noise(data: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(4096)


def empty(data: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"", b"\n", b" \r\n\r\n", b"{}", b"[]", b"null", b"{}\n{}\n"))


def packed(data: bytes, rng: random.Random) -> bytes:
    """Half of a gzip file, or one whose end is another's."""
    import gzip

    whole = gzip.compress(data)
    return rng.choice((whole[: len(whole) // 2], whole[:-4] + b"oops", whole + b"more"))


DAMAGES: tuple[Damage, ...] = (
    truncated, reordered, lost_lines, twice, odd_number, odd_numbers, other_word, long_line, deep, utf_16, latin_1,
    marked, zeros, noise, empty, packed,
)  # fmt: skip

TINY = ("--requests", "2", "--prompt-tokens", "16", "--output-tokens", "2")
ON_GPU = ("--gpu", "h100-sxm", "--model", "llama-3.1-8b", *TINY)


class Kind:
    """`lines`: the command lines that read the file, `{file}` in them."""

    def __init__(self, name: str, data: bytes, *lines: tuple[str, ...]) -> None:
        self.name = name
        self.data = data
        self.lines = lines


def kinds(folder: Path) -> list[Kind]:
    config = json.dumps(
        {
            "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
            "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "tie_word_embeddings": False,
        }
    ).replace('"model_type": "llama", ', "")  # read as it is: transformers takes seconds  # fmt: skip
    log = seeds.recording(folder)
    traced = [("simulate", "--trace", "{file}", *ON_GPU[:4])]
    kept = [
        Kind("log.jsonl", log.read_bytes(), ("reality", "--from", "{file}", "--against", "{file}"),
             ("simulate", "--cost", "{file}", "--model", "tiny-llama", *TINY)),
        Kind("azure.csv", seeds.AZURE.encode(), *traced, ("advise", "--trace", "{file}")),
        Kind("burst.csv", seeds.BURST.encode(), *traced),
        Kind("mooncake.jsonl", seeds.MOONCAKE.encode(), *traced),
        Kind("metrics.txt", seeds.METRICS.read_bytes(), ("advise", "--metrics", "{file}")),
        Kind("config.json", config.encode(), ("model", "{file}", "--json"), ("advise", "--model", "{file}")),
        Kind("prompts.txt", b"Why is the sky blue?\nName three herbs.\n",
             ("run", "--model", "tiny-llama", *TINY, "--prompts", "{file}")),
    ]  # fmt: skip
    for file in sorted(seeds.watched_folder(folder).glob("*.jsonl")):
        kept.append(Kind(f"watched/{file.name}", file.read_bytes(), ("watch", "{folder}")))
    for file in sorted(seeds.model_folder(folder).iterdir()):
        if file.name != "model.bf16.safetensors":
            kept.append(
                Kind(f"model/{file.name}", file.read_bytes(), ("run", "--model", "{folder}", "--dtype", "fp32", *TINY))
            )
    return kept


def damaged_lines(
    folder: Path, kind: Kind, rng: random.Random, damages: tuple[Damage, ...] = DAMAGES
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each damage once: its name, and a command line that reads the file that has it."""
    for damage in damages:
        place = folder / "damaged"
        shutil.rmtree(place, ignore_errors=True)
        whole = folder / Path(kind.name).parent
        shutil.copytree(whole, place) if whole != folder else place.mkdir()
        file = place / Path(kind.name).name
        file.write_bytes(damage(kind.data, rng))
        for line in kind.lines:
            yield damage.__name__, tuple(word.format(file=file, folder=place) for word in line)

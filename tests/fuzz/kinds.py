"""A kind of file for everything that the product reads, with the commands and functions that read it."""

import gzip
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.fuzz import readers, seeds
from tests.fuzz.damages import DAMAGES, Damage
from tests.fuzz.tried import tried, tried_call

TINY = ("--requests", "2", "--prompt-tokens", "16", "--output-tokens", "2")
ON_GPU = ("--gpu", "h100-sxm", "--model", "llama-3.1-8b", *TINY)
ENGINE = ("run", "--model", "tiny-llama", *TINY)
Read = Callable[[Path], None]


class Kind(NamedTuple):
    """A file's name, below a folder with all that belongs to it, and its good contents. `lines`: command lines that
    read it, with {file} or {folder} in them. `reads`: functions that do, for what no command reads. `slow`: it takes a
    process of seconds, so the short form leaves it out."""

    name: str
    data: bytes
    lines: tuple[tuple[str, ...], ...] = ()
    reads: tuple[Read, ...] = ()
    slow: bool = False


def kinds(folder: Path, *, slow: bool = False) -> list[Kind]:
    """Good files are made in `folder`, once."""
    log = seeds.recording(folder).read_bytes()
    found = [
        Kind("log.jsonl", log, ON_LOG, (readers.kitchen,)),
        Kind("packed.jsonl.gz", gzip.compress(log, mtime=0), ON_LOG[:1], (readers.kitchen,)),
        Kind("outside.jsonl", seeds.outside(folder).read_bytes(), ON_LOG[:1], (readers.kitchen,)),
        *(Kind(f"trace-{name}", text.encode(), ON_TRACE) for name, text in seeds.TRACES.items()),
        Kind("metrics.txt", seeds.METRICS.read_bytes(), (("advise", "--metrics", "{file}"),)),
        Kind("prompts.txt", b"Why is the sky blue?\nName three herbs.\n", ((*ENGINE, "--prompts", "{file}"),)),
        Kind(
            "policy.py",
            seeds.POLICY.encode(),
            ((*ENGINE, "--policy", "{file}"), ("simulate", *ON_GPU, "--policy", "{file}")),
        ),
        Kind("config.json", seeds.PLAIN_CONFIG, ON_CONFIG),
        *_each(seeds.weighed_folder(folder), ("model", "{folder}", "--json"), ("advise", "--model", "{folder}")),
        *_each(seeds.watched_folder(folder), ("watch", "{folder}")),
        *_each(seeds.traced_folder(folder), ("watch", "{folder}")),
        *_each(seeds.model_folder(folder), ("run", "--model", "{folder}", "--dtype", "fp32", *TINY)),
        *_each(seeds.docs_folder(folder), ("bench", "all", "--docs", "{folder}", "--only", "soak")),
        *_each(seeds.data_folder(folder), reads=(readers.data,)),
        *_each(seeds.cache_folder(folder), reads=(readers.cache,)),
    ]
    if slow:
        gguf = seeds.gguf(folder).read_bytes()
        found.append(Kind("small.gguf", gguf, (("model", "{file}"), ("run", "--model", "{file}", *TINY)), slow=True))
        found.append(Kind("typed.json", seeds.TYPED_CONFIG, ON_CONFIG, slow=True))
    return found


ON_LOG = (
    ("reality", "--from", "{file}", "--against", "{file}"),
    ("simulate", "--cost", "{file}", "--model", "tiny-llama", *TINY),
)
ON_TRACE = (("simulate", "--trace", "{file}", *ON_GPU[:4]), ("advise", "--trace", "{file}"))
ON_CONFIG = (("model", "{file}", "--json"), ("advise", "--model", "{file}"))


def _each(folder: Path, *lines: tuple[str, ...], reads: tuple[Read, ...] = ()) -> Iterator[Kind]:
    """Every file of a folder, beside the others."""
    for file in sorted(folder.iterdir()):
        # of two sets of weights, a run loads those of its dtype
        fitting = tuple(
            tuple("bf16" if word == "fp32" and "bf16" in file.name else word for word in line) for line in lines
        )
        yield Kind(f"{folder.name}/{file.name}", file.read_bytes(), fitting, reads)


def attempts(
    folder: Path, kind: Kind, rng: random.Random, damages: tuple[Damage, ...] = DAMAGES
) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each damage once for each of its readers: what is tried, and a function that tries it and returns what was
    wrong with how it was taken."""
    for damage in damages:
        for line in kind.lines:
            yield f"{damage.__name__}: {' '.join(line)}", partial(_tried_on, folder, kind, damage(kind.data, rng), line)
        for read in kind.reads:
            yield f"{damage.__name__}: {read.__name__}", partial(_read_from, folder, kind, damage(kind.data, rng), read)


def _tried_on(folder: Path, kind: Kind, data: bytes, line: tuple[str, ...]) -> str:
    file = _placed(folder, kind, data)
    return tried(tuple(word.format(file=file, folder=file.parent) for word in line)).wrong


def _read_from(folder: Path, kind: Kind, data: bytes, read: Read) -> str:
    return tried_call(partial(read, _placed(folder, kind, data)))


def _placed(folder: Path, kind: Kind, data: bytes) -> Path:
    """The damaged file, with those that belong to it beside it."""
    place = folder / "damaged"
    shutil.rmtree(place, ignore_errors=True)
    whole = folder / Path(kind.name).parent
    if whole == folder:
        place.mkdir()
    else:
        shutil.copytree(whole, place)
    file = place / Path(kind.name).name
    file.write_bytes(data)
    return file

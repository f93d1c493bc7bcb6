"""The ways in which files are damaged."""

import gzip
import random
import re
from collections.abc import Callable

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
    whole = gzip.compress(data)
    return rng.choice((whole[: len(whole) // 2], whole[:-4] + b"oops", whole + b"more"))


DAMAGES: tuple[Damage, ...] = (
    truncated, reordered, lost_lines, twice, odd_number, odd_numbers, other_word, long_line, deep, utf_16, latin_1,
    marked, zeros, noise, empty, packed,
)  # fmt: skip

"""Quantities as people write them."""

import math

import pytest
from hypothesis import given, strategies as st

from engine.errors import BadInput
from engine.units import amount, bytes_per_s, in_time, in_words, rate_per_s, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1B/s", 1),
        ("100MB/s", 100e6),
        ("100 MB/s", 100e6),
        ("  100  MB/s  ", 100e6),
        ("1.5GB/s", 1.5e9),
        ("1MiB/s", 2**20),
        ("2GiB/s", 2**31),
        ("1kB/s", 1e3),
        ("1KB/s", 1e3),
        ("1KiB/s", 1024),
        ("8bit/s", 1),
        ("8Gbit/s", 1e9),
        ("400Gbit/s", 50e9),
        ("1e3MB/s", 1e9),
        ("2E-3GB/s", 2e6),
        ("+5MB/s", 5e6),
        (".5MB/s", 5e5),
        ("0.9TB/s", 9e11),
    ],
)
def test_bandwidths(text: str, value: float) -> None:
    assert bytes_per_s("link", text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["none", "None", " NONE "])
def test_no_bandwidth_is_unpaced(text: str) -> None:
    assert bytes_per_s("link", text) is None


@pytest.mark.parametrize(
    ("text", "value"), [("1s", 1), ("20ms", 0.02), ("0.5 s", 0.5), ("100us", 1e-4), ("100µs", 1e-4), ("0s", 0)]
)
def test_times(text: str, value: float) -> None:
    assert seconds("latency", text) == pytest.approx(value)


@pytest.mark.parametrize(("text", "value"), [("2", 2), ("0.5", 0.5), ("2/s", 2), ("inf", None), (" Inf ", None)])
def test_rates(text: str, value: float | None) -> None:
    assert rate_per_s("rate", text) == value


BAD_NUMBERS = [
    "",
    " ",
    "-1{u}",
    "nan{u}",
    "inf{u}",
    "-inf{u}",
    "1e999{u}",
    "--1{u}",
    "1e{u}",
    ".{u}",
    "1 2{u}",
    "1,5{u}",
]


@pytest.mark.parametrize("text", [*BAD_NUMBERS, "0{u}", "-0{u}", "1e-999{u}", "10 parsecs", "100", "100MB", "100mb/s"])
def test_what_is_no_bandwidth(text: str) -> None:
    refused(bytes_per_s, text.format(u="MB/s"), "a bandwidth above 0 such as 100MB/s or 10Gbit/s, or none")


@pytest.mark.parametrize("text", [*BAD_NUMBERS, "none", "1", "1 minute", "1m", "1S"])
def test_what_is_no_time(text: str) -> None:
    refused(seconds, text.format(u="ms"), "a time of 0 or more such as 1ms or 0.5s")


@pytest.mark.parametrize("text", [*BAD_NUMBERS, "0", "none", "2/min", "2 Hz"])
def test_what_is_no_rate(text: str) -> None:
    refused(rate_per_s, text.format(u="/s"), "requests per second above 0, or inf")


def refused(read: object, text: str, allowed: str) -> None:
    """The error, with the field, the value as written, and what is allowed."""
    assert callable(read)
    with pytest.raises(BadInput) as wrong:
        read("the field", text)
    assert str(wrong.value) == f"the field is {text!r}, but must be {allowed}."


@given(text=st.text())
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    for read in (bytes_per_s, seconds, rate_per_s):
        try:
            value = read("field", text)
        except BadInput:
            continue
        assert value is None or (value >= 0 and math.isfinite(value))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (0.25, "0.25 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1.18e7, "11.8 MB"),
        (2.5e9, "2.5 GB"),
        (3e12, "3 TB"),
        (-1.5e6, "-1.5 MB"),
        (999.6e3, "1 MB"),
        (999.96, "1 kB"),
    ],
)
def test_in_words(value: float, words: str) -> None:
    assert in_words(value, "B") == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (4.67, "4.67 s"),
        (1234.0, "1,234 s"),
        (0.0543, "54.3 ms"),
        (0.9996, "1 s"),
        (999.6e-6, "1 ms"),
        (2.5e-6, "2.5 µs"),
    ],
)
def test_in_time(seconds: float, words: str) -> None:
    assert in_time(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.4567, "0.457"), (12.34, "12.3"), (99.96, "100"), (1026.4, "1,026"), (15_000, "15,000")]
)
def test_amounts_are_written_as_people_write_them(value: float, words: str) -> None:
    assert amount(value) == words
    assert amount(value, "MB/s") == f"{words} MB/s"

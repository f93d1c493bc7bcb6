"""Parse quantities and addresses as people write them: `100MB/s`, `8Gbit/s`, `20ms`. 1 MB: 10^6 bytes; 1 MiB: 2^20."""

import math
import re

from engine.errors import BadInput

_NUMBER = re.compile(r"\s*([0-9.eE+-]+|nan|inf)\s*([A-Za-zµ/]*)\s*", re.ASCII | re.IGNORECASE)
_PREFIX = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_RATES = {f"{p}B/s": f for p, f in _PREFIX.items()} | {f"{p}bit/s": f / 8 for p, f in _PREFIX.items()} | {"KB/s": 1e3}
_TIMES = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}


def bytes_per_s(field: str, text: str) -> float | None:
    """A bandwidth above 0, or None for "none" (unpaced). Raises BadInput."""
    if text.strip().lower() == "none":
        return None
    value = _quantity(field, text, _RATES, "a bandwidth above 0 such as 100MB/s or 10Gbit/s, or none")
    if value <= 0:
        raise BadInput(field, text, "a bandwidth above 0 such as 100MB/s or 10Gbit/s, or none")
    return value


def seconds(field: str, text: str) -> float:
    """A time of 0 or more. Raises BadInput."""
    value = _quantity(field, text, _TIMES, "a time of 0 or more such as 1ms or 0.5s")
    if value < 0:
        raise BadInput(field, text, "a time of 0 or more such as 1ms or 0.5s")
    return value


def rate_per_s(field: str, text: str) -> float | None:
    """Requests a second above 0, or None for "inf" (all at once). Raises BadInput."""
    if text.strip().lower() == "inf":
        return None
    value = _quantity(field, text, {"": 1.0, "/s": 1.0}, "requests per second above 0, or inf")
    if value <= 0:
        raise BadInput(field, text, "requests per second above 0, or inf")
    return value


def host_and_port(field: str, text: str) -> tuple[str, int]:
    """An address as people write it. Raises BadInput."""
    host, _, port = text.rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise BadInput(field, text, "HOST:PORT, as 10.0.0.1:7000")
    return host, int(port)


def _quantity(field: str, text: str, units: dict[str, float], allowed: str) -> float:
    match = _NUMBER.fullmatch(text)
    try:
        value = float(match[1]) * units[match[2]] if match else math.nan
    except (ValueError, KeyError):
        value = math.nan
    if not math.isfinite(value):
        raise BadInput(field, text, allowed)
    return value


def in_words(value: float, unit: str) -> str:
    """For people, with three figures: `in_words(1.18e7, "B")` is "11.8 MB"."""
    short = _short(value)
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(short) >= factor:
            return f"{short / factor:.3g} {prefix}{unit}"
    return f"{short:.3g} {unit}"


def in_time(seconds: float) -> str:
    """For people, with three figures: 1.25 s, 54.3 ms, 2.5 µs."""
    short = abs(_short(seconds))
    if short >= 1 or not short:
        return amount(seconds, "s")
    return amount(seconds * 1e3, "ms") if short >= 1e-3 else amount(seconds * 1e6, "µs")


def amount(value: float, unit: str = "") -> str:
    """For people, with three figures, but whole numbers whole: 0.457, 12.3, 1,026."""
    short = _short(value)
    return f"{value:,.0f} {unit}".rstrip() if abs(short) >= 100 else f"{short:.3g} {unit}".rstrip()


def percent(share: float, digits: int = 0, sign: str = "") -> str:
    """0.43 is "43 %", and with `sign` "+" it is "+43 %"."""
    return f"{share:{sign}.{digits}%}".replace("%", " %")


def _short(value: float) -> float:
    """Three figures of it, before its prefix is chosen: else 999.6 kB are 1e+03 kB."""
    return float(f"{value:.3g}")

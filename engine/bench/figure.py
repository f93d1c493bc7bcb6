"""What a bench finds: values, what they are compared with, and their goals."""

import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

import msgspec

from engine.units import amount, in_time, in_words

VERSIONS = ("torch", "transformers", "numpy", "nixl", "playwright")


class Figure(msgspec.Struct, frozen=True):
    """`value` and `beside` are in `unit`; `beside`: the value of `against`, None if there is nothing to compare with.

    `least`, `most`: the goal, for the ratio if there is one, otherwise for the value.
    """

    name: str
    value: float
    unit: str
    against: str = ""
    beside: float | None = None
    least: float | None = None
    most: float | None = None

    @property
    def ratio(self) -> float | None:
        """`value` over `beside`; None without a comparison."""
        return self.value / self.beside if self.beside else None

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        judged = self.value if self.ratio is None else self.ratio
        if self.least is None and self.most is None:
            return None
        return (self.least is None or judged >= self.least) and (self.most is None or judged <= self.most)


class Findings(msgspec.Struct, frozen=True):
    """One run of a bench. `notes`: what it could not measure here and why, or how to read a value.

    `measured`: the date and the settings, for findings that are kept.
    """

    bench: str
    machine: str
    versions: dict[str, str]
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    measured: str = ""


def found(
    bench: str,
    machine: str,
    figures: Iterable[Figure],
    notes: Sequence[str] = (),
    peers: Mapping[str, str] | None = None,
) -> Findings:
    """Findings with the installed versions. `peers`: versions of software in other environments."""
    return Findings(bench, machine, versions() | dict(peers or {}), tuple(figures), tuple(notes))


def beside(
    name: str, ours: Sequence[float], theirs: Sequence[float], unit: str, against: str, **wanted: float
) -> Figure:
    """A figure of two medians, over measurements taken in turn."""
    return Figure(name, median(ours), unit, against, median(theirs), **wanted)


def versions() -> dict[str, str]:
    """The versions of installed packages that a result may depend on."""
    here = {}
    for name in VERSIONS:
        try:
            here[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return here


def as_json(findings: Findings) -> str:
    """One JSON object; each figure with its ratio and whether it reaches its goal."""
    plain = msgspec.to_builtins(findings)
    for figure, said in zip(findings.figures, plain["figures"], strict=True):
        said |= {"ratio": figure.ratio, "reached": figure.reached}
    return msgspec.json.encode(plain).decode()


HEAD = ("", "here", "beside", "", "ratio", "wanted", "")


def as_rows(findings: Findings) -> list[tuple[str, ...]]:
    """One row per figure, with the columns of `HEAD`."""
    rows: list[tuple[str, ...]] = []
    for figure in findings.figures:
        other = said_in(figure.beside, figure.unit) if figure.beside is not None else ""
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        verdict = {True: "reached", False: "missed", None: ""}[figure.reached]
        value = said_in(figure.value, figure.unit)
        rows.append((figure.name, value, other, figure.against, ratio, _wanted(figure), verdict))
    return rows


def as_table(findings: Findings) -> str:
    """A table in plain text, then notes and versions."""
    rows = [HEAD, *as_rows(findings)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *findings.notes, said_versions(findings)])


def said_versions(findings: Findings) -> str:
    """The versions in one line."""
    return ", ".join(f"{name} {version}" for name, version in findings.versions.items())


def _wanted(figure: Figure) -> str:
    bounds = [("≥", figure.least), ("≤", figure.most)]
    unit = "" if figure.ratio is not None else figure.unit
    return " and ".join(f"{sign} {said_in(bound, unit)}" for sign, bound in bounds if bound is not None)


def said_in(value: float, unit: str) -> str:
    """`1.2 GB/s`, `54 ms`: three digits and a suitable prefix."""
    if unit in ("B", "B/s", "FLOP/s"):
        return in_words(value, unit)
    return in_time(value) if unit == "s" else amount(value, unit)

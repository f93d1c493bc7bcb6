"""`python -m engine.fleet.fit FOLDER`: print calibration.toml and, on stderr, its errors on held-out measurements."""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from engine.fleet.catalog.calibration import Calibration, Kernels, Overhead, calibration
from engine.fleet.catalog.hardware import gpu
from engine.fleet.fit.served import (
    ENGINES,
    Point,
    fitted_kernels,
    fitted_overhead,
    points,
    tpot_errors,
    ttft_errors,
)
from engine.fleet.fit.tables import kernels

TABLES = {  # generation: the GPU that represents it, and its folder of tables
    "hopper": ("h200-sxm", "h200_sxm"),
    "blackwell": ("b200-sxm", "b200_sxm"),
    "ampere": ("a100-sxm4-80g", "a100_sxm"),
    "ada": ("l40s", "l40s"),
}
UNSEEN = {"ampere": "hopper", "ada": "hopper", "cdna3": "hopper"}  # unmeasured generations, and whose overhead they get
ROUNDS = 2
LEAST_S = 1e-7  # shorter times are written as 0


def main(folder: Path) -> None:
    """Fit all generations and engines to the measurements in `folder`, and print the file. Takes some minutes."""
    systems = folder / "aiconfigurator_core" / "systems"
    measured = points(systems / "silicon_sample.csv")
    found: dict[str, dict[str, Calibration]] = {}
    for generation, (name, tables) in TABLES.items():
        table = kernels(systems / "data" / tables, gpu(name))
        found[generation] = _generation(table, [p for p in measured if p.card.generation == generation])
    found["cdna3"] = {
        engine: msgspec.structs.replace(one, kernels=msgspec.structs.replace(one.kernels, source="none: as Hopper"))
        for engine, one in found["hopper"].items()
    }
    for generation, like in UNSEEN.items():
        for engine, one in found[like].items():
            overhead = msgspec.structs.replace(
                one.overhead, source=f"as on {like}, not measured", points=0, tpot_error=None, ttft_error=None
            )
            found[generation][engine] = msgspec.structs.replace(found[generation][engine], overhead=overhead)
    sys.stdout.write("\n".join(_toml(found)))


def _generation(table: Kernels, measured: Sequence[Point]) -> dict[str, Calibration]:
    """Fit overheads with the tables' kernels, then kernels with those overheads, and repeat."""
    of = {engine: [p for p in measured if p.engine == engine] for engine in ENGINES}
    now = {engine: Calibration(table, calibration("hopper", engine).overhead) for engine in ENGINES}
    for _ in range(ROUNDS if measured else 0):
        for engine, some in of.items():
            now[engine] = fitted_overhead([p for p in some if p.seen], now[engine])
        groups = [([p for p in some if p.seen], now[engine].overhead) for engine, some in of.items()]
        shared = fitted_kernels(groups, Calibration(table, now["vllm"].overhead)).kernels
        now = {engine: Calibration(shared, one.overhead) for engine, one in now.items()}
    return {engine: _judged(one, of[engine]) for engine, one in now.items()}


def _judged(one: Calibration, some: Sequence[Point]) -> Calibration:
    held_out = [p for p in some if not p.seen]
    if not held_out:
        return one
    off, late = np.abs(tpot_errors(held_out, one)), np.abs(ttft_errors(held_out, one))
    for name in sorted({p.shape.name for p in held_out}):
        mine = np.array([p.shape.name == name for p in held_out])
        said = f"{held_out[0].card.generation} {held_out[0].engine} {name}: {np.median(off[mine]):.1%} of {mine.sum()}"
        print(said, file=sys.stderr)  # noqa: T201
    source = f"aiconfigurator-core's silicon_sample.csv: {len(some) - len(held_out)} measurements"
    overhead = msgspec.structs.replace(
        one.overhead,
        source=source,
        points=len(held_out),
        tpot_error=round(float(np.median(off)), 3),
        ttft_error=round(float(np.median(late)), 3),
    )
    return msgspec.structs.replace(one, overhead=overhead)


def _toml(found: dict[str, dict[str, Calibration]]) -> list[str]:
    lines = [
        "# The share of a GPU's peaks that kernels reach, and what engines add to a step. `python -m engine.fleet.fit`."
    ]
    for generation, engines in found.items():
        lines += ["", f"[{generation}.kernels]", *_fields(engines["vllm"].kernels)]
        for engine in ENGINES:
            lines += ["", f"[{generation}.{engine}]", *_fields(engines[engine].overhead)]
    return [*lines, ""]


def _fields(one: Kernels | Overhead) -> list[str]:
    return [f"{name} = {_said(value)}" for name, value in msgspec.to_builtins(one).items() if value is not None]


def _said(value: object) -> str:
    if isinstance(value, float) and value < LEAST_S:
        return "0.0"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_said(part)}" for name, part in value.items()) + " }"
    return f"{value:.4g}" if isinstance(value, float) else msgspec.json.encode(value).decode()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

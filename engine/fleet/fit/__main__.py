"""`python -m engine.fleet.fit FOLDER`: print calibration.toml and, on stderr, its errors on held-out measurements.

With `--shipped`: the errors of the file as it is.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from engine.fleet.catalog.calibration import Calibration, Kernels, Overhead, calibration
from engine.fleet.catalog.hardware import gpu
from engine.fleet.fit.points import ENGINES, Point, points
from engine.fleet.fit.replayed import replayed
from engine.fleet.fit.served import fitted_kernels, fitted_overhead
from engine.fleet.fit.tables import kernels

TABLES = {  # generation: the GPU that represents it, and its folder of tables
    "hopper": ("h200-sxm", "h200_sxm"),
    "blackwell": ("b200-sxm", "b200_sxm"),
    "ampere": ("a100-sxm4-80g", "a100_sxm"),
    "ada": ("l40s", "l40s"),
}
UNSEEN = {"ampere": "hopper", "ada": "hopper", "cdna3": "hopper"}  # unmeasured generations, and whose overhead they get
START = Overhead(
    step_s=5e-4,
    layer_s=2e-5,
    expert_layer_s=3e-5,
    latent_layer_s=2e-5,
    row_s=5e-6,
    prefill_layer_s=1e-4,
    expert_prefill_layer_s=3e-4,
    source="",
)  # the search only multiplies, so none may be 0
ROUNDS = 2
MOST_USERS = 64  # of the measurements that are simulated again
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
                one.overhead,
                source=f"as on {like}, not measured",
                points=0,
                tpot_error=None,
                ttft_points=0,
                ttft_error=None,
            )
            found[generation][engine] = msgspec.structs.replace(found[generation][engine], overhead=overhead)
    sys.stdout.write("\n".join(_toml(found)))


def shipped(folder: Path) -> None:
    """Print how far off the constants in the file are on the measurements that a fit would not use."""
    measured = points(folder / "aiconfigurator_core" / "systems" / "silicon_sample.csv")
    for generation in TABLES:
        for engine in ENGINES:
            some = [p for p in measured if p.card.generation == generation and p.engine == engine]
            if some:
                found = _judged(calibration(generation, engine), some).overhead
                said = (
                    f"TPOT {found.tpot_error:.0%} of {found.points}, TTFT {found.ttft_error:.0%} of {found.ttft_points}"
                )
                sys.stdout.write(f"{generation} {engine}: {said}\n")


def _generation(table: Kernels, measured: Sequence[Point]) -> dict[str, Calibration]:
    """Fit overheads with the tables' kernels, then kernels with those overheads, and repeat."""
    of = {engine: [p for p in measured if p.engine == engine] for engine in ENGINES}
    now = {engine: Calibration(table, START) for engine in ENGINES}
    for _ in range(ROUNDS if measured else 0):
        for engine, some in of.items():
            now[engine] = fitted_overhead([p for p in some if p.seen], now[engine])
        groups = [([p for p in some if p.seen], now[engine].overhead) for engine, some in of.items()]
        shared = fitted_kernels(groups, Calibration(table, now["vllm"].overhead)).kernels
        now = {engine: Calibration(shared, one.overhead) for engine, one in now.items()}
    return {engine: _judged(one, of[engine]) for engine, one in now.items()}


def _judged(one: Calibration, some: Sequence[Point]) -> Calibration:
    """With the errors on what the fit did not use, simulated with the same users and lengths.

    Only where it is known how lengths varied: TTFT depends on who asks when.
    """
    held_out = [point for point in some if not point.seen and point.spread and point.users <= MOST_USERS]
    again = [(point, found) for point in held_out if (found := replayed(point, one))]
    if not again:
        return one
    off = [(point, abs(found.tpot_s / point.tpot_s - 1)) for point, found in again]
    late = [(point, abs(found.ttft_s / point.ttft_s - 1)) for point, found in again if point.ttft_s]
    for what, errors in (("TPOT", off), ("TTFT", late)):
        for name in sorted({point.shape.name for point, _ in errors}):
            mine = [error for point, error in errors if point.shape.name == name]
            said = f"{some[0].card.generation} {some[0].engine} {what} {name}: {np.median(mine):.1%} of {len(mine)}"
            print(said, file=sys.stderr)  # noqa: T201
    overhead = msgspec.structs.replace(
        one.overhead,
        source=f"aiconfigurator-core's silicon_sample.csv: {sum(point.seen for point in some)} measurements",
        points=len(again),
        tpot_error=_median(off),
        ttft_points=len(late),
        ttft_error=_median(late) if late else None,
    )
    return msgspec.structs.replace(one, overhead=overhead)


def _median(errors: Sequence[tuple[Point, float]]) -> float:
    return round(float(np.median([error for _, error in errors])), 3)


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
    (shipped if "--shipped" in sys.argv else main)(Path(sys.argv[1]))

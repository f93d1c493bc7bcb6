"""`python -m engine.fleet.fit FOLDER`: print calibration.toml and, on stderr, its errors model by model.

With `--shipped`: the constants stay as they are, and only their errors are computed again.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from engine.fleet.catalog.calibration import Calibration, Checked, Kernels, Overhead, calibration
from engine.fleet.catalog.hardware import gpu
from engine.fleet.fit.points import ENGINES, Point, points
from engine.fleet.fit.replayed import Replayed, replayed
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
    expert_quantize_layer_s=2e-5,
    row_s=1e-5,
    prefill_layer_s=2e-4,
    expert_prefill_layer_s=3e-4,
    request_s=2e-3,
    source="",
)  # plausible, which is what remains where measurements hardly tell; the search multiplies, so none may be 0
ROUNDS = 2
MOST_USERS = 64  # of the measurements that are simulated again
LEAST_S = 1e-7  # shorter times are written as 0


def main(folder: Path, *, refit: bool) -> None:
    """Print the file: its constants fitted to the measurements in `folder`, or as they are, and their errors on the
    measurements that a fit does not use. Takes some minutes."""
    systems = folder / "aiconfigurator_core" / "systems"
    measured = points(systems / "silicon_sample.csv")
    found: dict[str, dict[str, Calibration]] = {}
    for generation, (name, tables) in TABLES.items():
        some = [p for p in measured if p.card.generation == generation]
        if refit:
            found[generation] = _fitted(kernels(systems / "data" / tables, gpu(name)), some)
        else:
            found[generation] = {engine: calibration(generation, engine) for engine in ENGINES}
        for engine, one in found[generation].items():
            found[generation][engine] = _judged(one, [p for p in some if p.engine == engine])
    found["cdna3"] = {
        engine: msgspec.structs.replace(one, kernels=msgspec.structs.replace(one.kernels, source="none: as Hopper"))
        for engine, one in found["hopper"].items()
    }
    for generation, like in UNSEEN.items():
        for engine, one in found[like].items():
            overhead = msgspec.structs.replace(one.overhead, source=f"as on {like}, not measured")
            found[generation][engine] = Calibration(found[generation][engine].kernels, overhead)
    sys.stdout.write("\n".join(_toml(found)))


def _fitted(table: Kernels, measured: Sequence[Point]) -> dict[str, Calibration]:
    """Fit overheads with the tables' kernels, then kernels with those overheads, and repeat."""
    of = {engine: [p for p in measured if p.engine == engine] for engine in ENGINES}
    now = {engine: Calibration(table, START) for engine in ENGINES}
    for _ in range(ROUNDS if measured else 0):
        for engine, some in of.items():
            now[engine] = fitted_overhead([p for p in some if p.seen], Calibration(now[engine].kernels, START))
        groups = [([p for p in some if p.seen], now[engine].overhead) for engine, some in of.items()]
        shared = fitted_kernels(groups, Calibration(table, now["vllm"].overhead)).kernels
        now = {engine: Calibration(shared, one.overhead) for engine, one in now.items()}
    return {
        engine: Calibration(one.kernels, msgspec.structs.replace(one.overhead, source=_source(of[engine])))
        for engine, one in now.items()
    }


def _source(some: Sequence[Point]) -> str:
    return f"aiconfigurator-core's silicon_sample.csv: {sum(point.seen for point in some)} measurements"


def _judged(one: Calibration, some: Sequence[Point]) -> Calibration:
    """With the errors on what the fit did not use, simulated with the same users and lengths.

    TTFT only where it is known how lengths varied: it depends on who asks when.
    """
    held_out = [point for point in some if not point.seen and point.users <= MOST_USERS]
    again = [(point, found) for point in held_out if (found := replayed(point, one))]
    for name in sorted({point.shape.name for point, _ in again}):
        mine = _checked([pair for pair in again if pair[0].shape.name == name])
        print(f"{some[0].card.generation} {some[0].engine} {name}: {mine}", file=sys.stderr)  # noqa: T201
    dense, experts = (_checked([p for p in again if bool(p[0].shape.experts) == mixed]) for mixed in (False, True))
    return Calibration(one.kernels, one.overhead, dense, experts)


def _checked(again: Sequence[tuple[Point, Replayed]]) -> Checked | None:
    if not again:
        return None
    off = [abs(found.tpot_s / point.tpot_s - 1) for point, found in again]
    late = [abs(found.ttft_s / point.ttft_s - 1) for point, found in again if point.ttft_s and point.spread]
    return Checked(len(off), _median(off), len(late), _median(late) if late else None)


def _median(errors: Sequence[float]) -> float:
    return round(float(np.median(errors)), 3)


def _toml(found: dict[str, dict[str, Calibration]]) -> list[str]:
    lines = [
        "# The share of a GPU's peaks that kernels reach, and what engines add to a step. `python -m engine.fleet.fit`."
    ]
    for generation, engines in found.items():
        lines += ["", f"[{generation}.kernels]", *_fields(engines["vllm"].kernels)]
        for engine in ENGINES:
            one = engines[engine]
            lines += ["", f"[{generation}.{engine}]", *_fields(one.overhead)]
            for kind, checked in (("dense", one.dense), ("experts", one.experts)):
                lines += [f"{kind} = {_said(_known(checked))}"] if checked else []
    return [*lines, ""]


def _fields(one: Kernels | Overhead) -> list[str]:
    return [f"{name} = {_said(value)}" for name, value in _known(one).items()]


def _known(one: msgspec.Struct) -> dict[str, object]:
    return {name: value for name, value in msgspec.to_builtins(one).items() if value is not None}


def _said(value: object) -> str:
    if isinstance(value, float) and value < LEAST_S:
        return "0.0"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_said(part)}" for name, part in value.items()) + " }"
    return f"{value:.4g}" if isinstance(value, float) else msgspec.json.encode(value).decode()


if __name__ == "__main__":
    main(Path(sys.argv[1]), refit="--shipped" not in sys.argv)

"""Step times that others have measured and published, as cost models.

DistServe: coefficients of its simulator for A100-SXM4-80G, from LLMServe/DistServe,
simdistserve/estimators/profile_data/profiler-a100-80g.distserve.json (Apache-2.0). Milliseconds:
prefill a + b·Σlen + c·Σlen²; decode a + b·Σcontext + c·batch, with other coefficients for batches above 95.

Splitwise: medians of its measurements of Llama-2-70B on eight GPUs, from Mutinifni/splitwise-sim, data/perf_model.csv
(MIT). Milliseconds by prompt tokens and by decode batch; between two points a straight line.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from engine.errors import BadInput
from engine.sim.cost import Line, Prefill, StepCost

Three = tuple[float, float, float]


class DistServeCost(msgspec.Struct, frozen=True):
    prefill_ms: Three
    decode_ms: Three
    large_decode_ms: Three
    large_above: int = 95

    def step_s(self, prefill: Sequence[Prefill], rows: int, context: int) -> float:
        ms = 0.0
        if prefill:
            a, b, c = self.prefill_ms
            squares = sum((start + tokens) ** 2 - start**2 for start, tokens in prefill)
            ms += a + b * sum(tokens for _, tokens in prefill) + c * squares
        if rows:
            a, b, c = self.large_decode_ms if rows > self.large_above else self.decode_ms
            ms += (0.0 if prefill else a) + b * context + c * rows  # a mixed step pays for the weights once
        return ms / 1e3

    def line(self, rows: int) -> Line:
        a, b, c = self.large_decode_ms if rows > self.large_above else self.decode_ms
        return Line((a + c * rows) / 1e3, b / 1e3)


class SplitwiseCost(msgspec.Struct, frozen=True):
    prompt_tokens: tuple[float, ...]
    prompt_ms: tuple[float, ...]
    batch: tuple[float, ...]
    token_ms: tuple[float, ...]

    def step_s(self, prefill: Sequence[Prefill], rows: int, context: int) -> float:
        """Contexts other than the measured one are not told apart: the measurements have none."""
        prompt = sum(tokens for _, tokens in prefill)
        ms = _along(prompt, self.prompt_tokens, self.prompt_ms) if prompt else 0.0
        return (ms + (_along(rows, self.batch, self.token_ms) if rows else 0.0)) / 1e3

    def line(self, rows: int) -> Line:
        return Line(self.step_s((), rows, 0), 0.0)


def _along(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """On the line between the two points around x; beyond the last point, on the line through the last two."""
    if x > xs[-1]:
        return ys[-1] + (ys[-1] - ys[-2]) / (xs[-1] - xs[-2]) * (x - xs[-1])
    return float(np.interp(x, xs, ys))


DISTSERVE = {
    "opt-13b-tp1": DistServeCost((18.10, 0.10191, 7.122e-6), (19.93, 6.269e-4, 0.03851), (7.166, 5.798e-4, 0.1583)),
    "opt-13b-tp2": DistServeCost((14.74, 0.06858, 2.450e-6), (13.29, 3.411e-4, 0.06296), (10.64, 3.118e-4, 0.08563)),
    "opt-13b-tp4": DistServeCost((12.06, 0.03808, 5.226e-7), (10.26, 1.879e-4, 0.03269), (10.48, 1.712e-4, 0.04567)),
    "opt-66b-tp2": DistServeCost((43.06, 0.2742, 2.248e-5), (48.29, 9.424e-4, 0.1276), (28.73, 4.745e-4, 0.2962)),
    "opt-66b-tp4": DistServeCost((29.44, 0.1514, 8.317e-6), (30.76, 4.519e-4, 0.06328), (27.47, 4.047e-4, 0.1248)),
    "opt-66b-tp8": DistServeCost((25.49, 0.1066, 3.391e-6), (23.16, 2.269e-4, 0.04801), (21.72, 3.758e-4, 0.08979)),
}

_BATCHES = (1.0, 8.0, 16.0, 32.0, 64.0)
SPLITWISE = {
    "llama-2-70b-a100": SplitwiseCost(
        (128.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0),
        (65.0, 94.0, 155.0, 274.0, 661.0, 1550.0),
        _BATCHES,
        (44.9, 46.5, 50.4, 53.0, 71.6),
    ),
    "llama-2-70b-h100": SplitwiseCost(
        (512.0, 1024.0, 2048.0, 4096.0, 8192.0),
        (53.0, 78.0, 137.0, 390.0, 845.0),
        _BATCHES,
        (29.8, 32.5, 34.2, 38.6, 50.2),
    ),
}


def published(name: str) -> StepCost:
    """A published cost by name, as "opt-13b-tp1" (DistServe) or "llama-2-70b-h100" (Splitwise). Raises BadInput."""
    known: dict[str, StepCost] = {**DISTSERVE, **SPLITWISE}
    if name not in known:
        raise BadInput("cost", name, "one of " + ", ".join(known))
    return known[name]

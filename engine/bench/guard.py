"""`bench guard`: has the engine become slower? Its speed relative to plain transformers, measured within a minute.

Both take turns on one thread and are timed in its CPU time, so time that other programs take from the core does not
count. The best turn of each counts, not the median as in `bench compute`: a busy machine makes turns slower, never
faster. The limits are far below what `bench compute` finds, so that other machines reach them too.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from engine.bench.figure import Figure, Findings, found
from engine.bench.peers.ours import Ours
from engine.bench.peers.plain import Plain
from engine.live.model.catalog import prepare
from engine.live.process.run import machine
from engine.scenario import ModelSpec

LEAST_IN_DECODE = {1: 1.5, 4: 1.8}  # by batch; `bench compute` finds 2.8 and 4.9
LEAST_IN_PREFILL = 0.9  # `bench compute` finds 1.1 and more, growing with the prompt
CONTEXT = 64
PROMPT = 256
DECODE_TURNS, PREFILL_TURNS = 11, 5


def measure(model: ModelSpec) -> Findings:
    """Tokens per second of CPU time, compared with plain transformers."""
    with _one_thread():
        prepared = prepare(model)
        ours, plain = Ours(prepared), Plain(prepared)
        figures = []
        for batch, least in LEAST_IN_DECODE.items():
            for engine in (ours, plain):
                engine.gather(batch, CONTEXT)
            turns = in_turn(ours.step, plain.step, DECODE_TURNS)
            figures.append(compared(f"decode, batch {batch}", batch, *turns, least))
        turns = in_turn(lambda: ours.prefill(PROMPT), lambda: plain.prefill(PROMPT), PREFILL_TURNS)
        figures.append(compared(f"prefill, {PROMPT} tokens", PROMPT, *turns, LEAST_IN_PREFILL))
    return found("guard", machine(), figures, ["In CPU time of one thread; the best turn of each counts."])


def compared(name: str, tokens: int, ours_s: Sequence[float], theirs_s: Sequence[float], least: float) -> Figure:
    """`ours_s`, `theirs_s`: seconds that each turn took to make or read `tokens`. `least`: the ratio's limit."""
    return Figure(name, tokens / min(ours_s), "tokens/s", "transformers", tokens / min(theirs_s), least=least)


def in_turn(
    ours: Callable[[], object], theirs: Callable[[], object], turns: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Seconds of this thread's CPU time for each turn: ours, theirs."""
    theirs_s, ours_s = zip(*((_cpu_s(theirs), _cpu_s(ours)) for _ in range(turns)), strict=True)
    return ours_s, theirs_s


def passed(findings: Findings) -> bool:
    """Whether no figure misses its limit."""
    return all(figure.reached is not False for figure in findings.figures)


def _cpu_s(act: Callable[[], object]) -> float:
    begun_s = time.thread_time()
    act()
    return time.thread_time() - begun_s


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

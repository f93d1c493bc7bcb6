"""A guard against getting slower, by ratios of two engines that take turns in one process; no time is asserted."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch

from engine.bench.peers.ours import Ours
from engine.bench.peers.plain import Plain
from engine.live.model.catalog import prepare
from engine.scenario import ModelSpec

Act = Callable[[], float]
pytestmark = pytest.mark.live  # it wants a core for itself


@pytest.fixture(scope="module")
def engines() -> Iterator[tuple[Ours, Plain]]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    prepared = prepare(ModelSpec("smollm2-135m"))
    yield Ours(prepared), Plain(prepared)
    torch.set_num_threads(before)


@pytest.mark.parametrize(("batch", "least"), [(1, 1.5), (4, 1.8)])
def test_decode_is_quicker_than_plain_transformers(engines: tuple[Ours, Plain], batch: int, least: float) -> None:
    """`bench compute` finds 2.8 and 4.9. The margin is for machines with other habits."""
    ours, plain = engines
    for engine in engines:
        engine.gather(batch, 64)
    assert ratio(ours.step, plain.step, turns=11) > least


def test_prefill_is_no_slower_than_plain_transformers(engines: tuple[Ours, Plain]) -> None:
    """`bench compute` finds 1.1 and more, growing with the prompt."""
    ours, plain = engines
    assert ratio(partial(ours.prefill, 256), partial(plain.prefill, 256), turns=5) > 0.9


def ratio(ours: Act, plain: Act, turns: int) -> float:
    """How many times as long plain transformers takes, at either's best of so many turns.

    In CPU time of this thread: where others take the core away, nothing is counted.
    """
    spent = [(_spent_s(plain), _spent_s(ours)) for _ in range(turns)]
    return min(theirs_s for theirs_s, _ in spent) / min(ours_s for _, ours_s in spent)


def _spent_s(act: Act) -> float:
    begun_s = time.thread_time()
    act()
    return time.thread_time() - begun_s

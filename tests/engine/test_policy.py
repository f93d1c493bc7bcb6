"""What one worker runs next: who is chosen, with how many tokens, for every kind of queue."""

from collections.abc import Sequence

import pytest

from engine.policy import POLICIES, PREFILL_BATCH_TOKENS as FULL, Job, chunked
from engine.request import Request

Row = tuple[Sequence[int], int, list[tuple[str, int]]]  # tokens left of each waiting job, running jobs, the choice


def waiting_job(name: str, left: int, done: int = 0) -> Job:
    return Job(Request(name, (7,) * (left + done), 8), done=done)


def running_job(name: str) -> Job:
    return Job(Request(name, (7, 7, 7), 8), [1], done=3)


def choose(policy: str, left: Sequence[int], running: int, chunk: int = 64) -> list[tuple[str, int]]:
    """Waiting jobs are called a, b, c and so on in order of arrival, running ones x, y, z."""
    waiting = [waiting_job(name, tokens) for name, tokens in zip("abcdef", left, strict=False)]
    decoding = [running_job(name) for name in "xyz"[:running]]
    return [(job.request.id, tokens) for job, tokens in POLICIES[policy](waiting, decoding, chunk)]


WHOLE_PROMPTS: list[Row] = [
    ([5], 0, [("a", 5)]),
    ([2000], 0, [("a", 2000)]),  # alone, however long
    ([100, 200], 0, [("a", 100), ("b", 200)]),
    ([FULL, 1], 0, [("a", FULL)]),
    ([FULL - 1, 1, 1], 0, [("a", FULL - 1), ("b", 1)]),
    ([FULL - 10, 11, 5], 0, [("a", FULL - 10)]),  # the short one does not overtake
    ([2000, 5], 0, [("a", 2000)]),
]
ONE_EACH: list[Row] = [([], 1, [("x", 1)]), ([], 3, [("x", 1), ("y", 1), ("z", 1)])]


@pytest.mark.parametrize(("left", "running", "chosen"), [*WHOLE_PROMPTS, *ONE_EACH, ([5], 3, [("a", 5)]), ([], 0, [])])
def test_prefill_first_lets_everybody_wait_for_a_prompt(
    left: Sequence[int], running: int, chosen: list[tuple[str, int]]
) -> None:
    assert choose("prefill_first", left, running) == chosen


@pytest.mark.parametrize(("left", "running", "chosen"), [*WHOLE_PROMPTS, ([5], 3, [("a", 5)]), ([], 3, [])])
def test_prefill_only_never_decodes(left: Sequence[int], running: int, chosen: list[tuple[str, int]]) -> None:
    assert choose("prefill_only", left, running) == chosen


@pytest.mark.parametrize(("left", "running", "chosen"), [*ONE_EACH, ([5], 0, []), ([5, 2000], 1, [("x", 1)])])
def test_decode_only_never_prefills(left: Sequence[int], running: int, chosen: list[tuple[str, int]]) -> None:
    assert choose("decode_only", left, running) == chosen


@pytest.mark.parametrize(
    ("chunk", "left", "running", "chosen"),
    [
        (64, [], 0, []),
        (64, [], 2, [("x", 1), ("y", 1)]),
        (64, [64], 0, [("a", 64)]),
        (64, [65], 0, [("a", 64)]),
        (64, [100], 2, [("x", 1), ("y", 1), ("a", 62)]),  # plates first, the rest of the budget for the prompt
        (64, [30, 30], 1, [("x", 1), ("a", 30), ("b", 30)]),
        (64, [30, 40, 5], 1, [("x", 1), ("a", 30), ("b", 33)]),
        (64, [63, 5], 1, [("x", 1), ("a", 63)]),
        (2, [5], 2, [("x", 1), ("y", 1)]),
        (1, [5], 3, [("x", 1), ("y", 1), ("z", 1)]),  # who runs is never made to wait
    ],
)
def test_chunked_spends_what_decoding_leaves_of_its_budget(
    chunk: int, left: Sequence[int], running: int, chosen: list[tuple[str, int]]
) -> None:
    assert choose("chunked", left, running, chunk) == chosen


def test_a_chunk_goes_on_where_the_last_one_ended() -> None:
    assert [tokens for _, tokens in chunked([waiting_job("a", left=10, done=64)], [], 64)] == [10]

"""What a page says of a measurement."""

import pytest

from lab.ui.formatting import made_words
from lessons.evidence import Made
from lessons.keys import Key

MADE = Made(6, (0, 5), ("2026-01-01T10:42:00+00:00",) * 2, 0, 0)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (Key((1.0,)), ""),
        (Key((1.0,), slowest=1), " The slowest repeat does not count"),
        (Key((1.0,), slowest=3), " The 3 slowest repeats do not count"),
        (Key((1.0, 2.0), slowest=3), " At each point the 3 slowest repeats do not count"),
        (Key((1.0,), cut=2), " The 2 least and the 2 greatest of the repeats do not count"),
    ],
)
def test_the_repeats_that_do_not_count_are_named(key: Key, says: str) -> None:
    said = made_words(MADE, key).removeprefix("6 runs with seeds 0 to 5, measured at 10:42 UTC.")
    assert said.startswith(says)
    assert bool(said) == bool(says)

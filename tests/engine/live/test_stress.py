"""A short `make stress`: whatever happens to workers, link, trays and disk, nothing accepted is lost."""

import pytest

from tests.stress import disturb


@pytest.mark.live
def test_random_disturbances_cost_no_token_and_leave_nothing_behind() -> None:
    assert disturb(6, seed=1, model="tiny-llama").total() >= 6

"""A short `make stress`: whatever happens to workers, link, trays and disk, nothing accepted is lost."""

import pytest

from engine.scenario import KINDS
from tests.stress import disturb, layouts


@pytest.mark.live
def test_random_disturbances_cost_no_token_and_leave_nothing_behind() -> None:
    said: list[str] = []
    done = disturb(6, seed=1, model="tiny-llama", say=said.append)
    assert done.kinds.total() >= 6
    assert len(said) == done.runs
    assert f"{done.kinds.total()} disturbances (" in done.says()


def test_layouts_are_of_every_kind_and_transport() -> None:
    every = list(layouts())
    assert {layout.kind for layout in every} == set(KINDS)
    assert {layout.transport for layout in every} >= {"shm", "tcp"}

"""What the soak counts: which processes are the lab's, and what of their memory is early and what is late."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.bench.soak import children, figures, held

needs_proc = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells it in /proc")


def test_the_last_fifth_stands_beside_the_second() -> None:
    memory, nodes = figures([{"RSS of the host": 100.0 + run, "nodes in the page": 7.0} for run in range(100)])
    assert (memory.value, memory.beside, memory.unit) == (189.5, 129.5, "B")
    assert memory.reached is False
    assert (nodes.value, nodes.beside, nodes.unit, nodes.reached) == (7.0, 7.0, "", True)


@needs_proc
def test_children_are_python_s_own() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as python:
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
            assert python.pid in children(os.getpid())
            assert other.pid not in children(os.getpid())
            other.communicate()
        python.communicate(b"\n")


@needs_proc
def test_what_is_shared_counts_by_share() -> None:
    mine = held(os.getpid())
    assert 0 < mine["PSS"] <= mine["RSS"]

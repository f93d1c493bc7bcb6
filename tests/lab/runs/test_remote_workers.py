"""A lab whose workers join from elsewhere, as on two node pools: each role its own process, started by nobody here."""

import os
import signal
import socket

import pytest

from engine.live.process.join_server import KEY_VARIABLE
from tests.engine.live.test_hosts import KEY, Crew, crew  # noqa: F401  (a fixture)
from tests.lab.conftest import open_lab
from tests.patience import PATIENCE_S, comes
from tests.smoke import ANSWER, serves_a_run

pytestmark = pytest.mark.live


def test_workers_of_two_roles_join_a_lab_and_serve_and_are_replaced(crew: Crew) -> None:  # noqa: F811
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with open_lab(ready=False, env={"SPLIT_KITCHEN_LISTEN": address, KEY_VARIABLE: KEY}) as lab:
        workers = {role: crew.worker(address, role) for role in ("decode", "prefill")}
        assert comes(lambda: lab.engine() == "ready"), lab.said()
        assert not any("engine.live.process.worker_process" in line for line in lab.children().values())
        assert set(serves_a_run(lab).values()) == {ANSWER}
        os.kill(workers["decode"].pid, signal.SIGKILL)
        crew.worker(address, "decode")  # as a Deployment does
        assert set(serves_a_run(lab).values()) == {ANSWER}
    assert workers["prefill"].wait(PATIENCE_S) is not None  # its engine is gone, and so is it

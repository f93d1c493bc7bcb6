"""A policy that does not come back, or takes its process with it: one sentence that names the rule."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import own_limits
from engine.commands.own_process import policy_in
from engine.errors import BadInput, PolicyRefused
from engine.own_file import OwnFile
from engine.own_limits import TookTooLong, limited
from engine.own_policy import ENDS, QUICK, RAISES, ended
from engine.sim.run import simulate
from tests.engine.sim.kitchenette import WORKER, scenario
from tests.patience import PATIENCE_S

COMMAND = Path(sys.executable).with_name("split-kitchen")
GPU = ("--gpu", "h100-sxm", "--model", "llama-3.1-8b", "--requests", "5", "--rate", "20")
STUCK = {
    "a loop": "while True: pass",
    "sleep": "import time; time.sleep(10**6)",
    "a loop that catches what is an Exception": """
    while True:
        try:
            [][0]
        except Exception:
            pass""",
}
ENDINGS = {
    "exit, as if all were well": ("import os; os._exit(0)", "its process ended with exit code 0"),
    "killed": ("import os; os.kill(os.getpid(), 9)", "its process was killed, as Linux does when memory runs out"),
    "a fault": ("import os; os.kill(os.getpid(), 11)", "its process was ended by signal 11"),
}


def deciding(does: str) -> OwnFile:
    return OwnFile(f"def policy(waiting, running, chunk):\n    {does}\n", "mine.py")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_limits, "MOST_S", 0.05)
    monkeypatch.setattr(own_limits, "AGAIN_S", 0.01)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("does", STUCK.values(), ids=STUCK)
def test_a_decision_that_does_not_come_back_is_refused(does: str) -> None:
    file = deciding(does)
    with pytest.raises(
        PolicyRefused, match=r"^mine\.py, step 1 of worker-0: asked about request 1, it does not"
    ) as refused:
        simulate(file.deployed(scenario("colocated")), WORKER, own=file)
    assert refused.value.rule == QUICK


@pytest.mark.usefixtures("soon")
def test_a_split_that_does_not_come_back_is_refused() -> None:
    file = OwnFile("def ships(tokens, prefill, decode):\n    while True: pass", "mine.py")
    with pytest.raises(PolicyRefused, match="asked 1 times, now about request 1, it does not return") as refused:
        simulate(file.deployed(scenario("disaggregated", workers=2)), WORKER, own=file)
    assert refused.value.rule == QUICK


@pytest.mark.usefixtures("soon")
def test_a_file_that_does_not_come_back_is_refused_before_anything_starts() -> None:
    with pytest.raises(BadInput, match="a file that can be loaded within"):
        OwnFile("while True: pass", "mine.py")


@pytest.mark.parametrize("raises", ["MemoryError", "GeneratorExit", "type('Mine', (BaseException,), {})"])
def test_whatever_is_raised_is_refused(raises: str) -> None:
    file = deciding(f"raise {raises}")
    with pytest.raises(PolicyRefused, match=r"it raises .* in line 2") as refused:
        simulate(file.deployed(scenario("colocated")), WORKER, own=file)
    assert refused.value.rule == RAISES


def test_too_much_memory_at_once_is_refused() -> None:
    file = deciding("return bytearray(2**60)")
    with pytest.raises(PolicyRefused, match="it raises MemoryError"):
        simulate(file.deployed(scenario("colocated")), WORKER, own=file)


def test_somebody_else_s_timer_and_handler_are_as_before() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with limited():
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


@pytest.mark.usefixtures("soon")
def test_what_catches_the_interruption_is_interrupted_again() -> None:
    caught = 0
    with pytest.raises(TookTooLong), limited():  # noqa: PT012
        while caught < 3:
            try:
                time.sleep(PATIENCE_S)
            except TookTooLong:
                caught += 1
        time.sleep(PATIENCE_S)


@pytest.mark.parametrize(("does", "says"), ENDINGS.values(), ids=ENDINGS)
def test_a_policy_that_ends_the_command_gets_its_sentence(tmp_path: Path, does: str, says: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"def policy(waiting, running, chunk):\n    {does}\n")
    done = subprocess.run(
        [COMMAND, "simulate", "--policy", file, *GPU], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"mine.py: the command asked it what to run, and {says}; the rule: {ENDS}.\n"
    assert done.stdout == ""


def test_a_policy_that_keeps_the_rules_and_one_that_breaks_one_end_as_before(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    for does, code, says in (
        ("return [(job, 1) for job in running] or [(waiting[0], min(chunk, waiting[0].left))]", 0, ""),
        ("return []", 1, "mine.py, step 1 of worker-0: it chooses nothing"),
    ):
        file.write_text(f"def policy(waiting, running, chunk):\n    {does}\n")
        done = subprocess.run(
            [COMMAND, "simulate", f"--policy={file}", *GPU],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert (done.returncode, done.stderr.startswith(says)) == (code, True), done.stderr
        assert ("TTFT" in done.stdout) == (code == 0)


def test_whoever_is_gone_broke_a_rule() -> None:
    assert ended("mine.py", "worker-0", "it had not answered for 15 s").rule == QUICK
    assert ended("mine.py", "worker-0", f"its process ended with exit code {own_limits.GAVE_UP}").rule == QUICK
    assert ended("mine.py", "worker-0", "its process ended with exit code 3").rule == ENDS


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["run", "--policy", "a/mine.py"], "mine.py"),
        (["run", "--policy=mine.py"], "mine.py"),
        (["run", "--policy"], ""),
        (["run", "--rate", "2"], ""),
    ],
)
def test_the_file_on_a_command_line(arguments: list[str], file: str) -> None:
    assert policy_in(arguments) == file

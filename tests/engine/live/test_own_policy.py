"""A policy and a split of one's own on the real engine: the tokens of `generate`, and sentences from the workers."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from engine.cli import run_cli
from engine.errors import BadInput, PolicyRefused
from engine.events import Dispatched, StepStarted
from engine.grammar import check
from engine.link import LinkSpec
from engine.live.model.catalog import prepare
from engine.live.process.front import Front
from engine.live.process.run import make_requests, run_live, run_on
from engine.live.process.seat import Seat
from engine.log import Log
from engine.metrics import summarize
from engine.own_file import OwnFile
from engine.scenario import Deployment, ModelSpec, Scenario, Workload
from lab.web.cli import cli
from tests.disturbed import answers
from tests.engine.live.test_tokens_identical import generated

pytestmark = pytest.mark.live

LOAD = Workload(requests=8, prompt_tokens=40, output_tokens=12, long_prompt_tokens=300, long_every=4, ignore_eos=True)
WHIM = """
import random

rng = random.Random(7)


def policy(waiting, running, chunk):
    \"\"\"Anybody, in any order, with pieces of any size, prompts alone or beside some of the answers.\"\"\"
    jobs, chosen, room = [*waiting, *running], [], chunk
    rng.shuffle(jobs)
    for job in jobs[: rng.randint(1, len(jobs))]:
        tokens = 1 if job in running else rng.randint(1, job.left)
        if tokens <= room:
            chosen.append((job, tokens))
            room -= tokens
    return chosen or [(jobs[0], 1)]
"""
EVERY_OTHER = """
asked = 0


def ships(tokens, prefill, decode):
    global asked
    asked += 1
    return asked % 2 == 0
"""
BREAKS = """
def policy(waiting, running, chunk):
    for job in running:
        if job.output_tokens == 5:
            return [(job, 2)]
    return [(job, 1) for job in running] or [(waiting[0], min(waiting[0].left, chunk))]
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own") / "mine.py"


@pytest.fixture(scope="module")
def front(path: Path) -> Iterator[Front]:
    """Its file does not exist yet: it is read when a deployment needs it."""
    with Front(Deployment(), LinkSpec(), ModelSpec("tiny-llama", "fp32"), own=path) as running:
        running.start()
        yield running


def served(front: Front, path: Path, source: str) -> tuple[Log, Scenario]:
    path.write_text(source)
    scenario = OwnFile.read(path).deployed(Scenario(Deployment(chunk=64), workload=LOAD, model=front.model))
    log = run_on(front, scenario, make_requests(scenario))
    check(log.events)
    return log, scenario


def test_whatever_it_chooses_the_tokens_are_those_of_generate(front: Front, path: Path) -> None:
    """One engine, and a file that changes between the runs."""
    log, scenario = served(front, path, WHIM)
    expected = generated(prepare(scenario.model), make_requests(scenario))
    assert answers(log) == expected
    plans = [event.plan for event in log.events if isinstance(event, StepStarted)]
    assert any(piece.start > 0 and 1 < piece.tokens < 64 for plan in plans for piece in plan), "no prompt was cut"

    log, _ = served(front, path, EVERY_OTHER + WHIM)
    assert answers(log) == expected
    shipped = {handoff.request for handoff in summarize(log.events).handoffs}
    assert shipped == {"r2", "r4", "r6", "r8"}
    at = {event.request: event.worker for event in log.events if isinstance(event, Dispatched)}
    assert {at[request] for request in at if request not in shipped} == {"worker-1"}


def test_a_worker_says_which_rule_was_broken(front: Front, path: Path) -> None:
    """The last of the module: the engine is over then."""
    with pytest.raises(
        PolicyRefused, match=r"^mine\.py, step \d+ of worker-[01]: it gives 2 tokens to request \d; the"
    ):
        served(front, path, BREAKS)


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("import os; os._exit(3)", r"its process ended with exit code 3; the rule: a policy does not end its process"),
        ("while True: pass", r"it does not return; the rule: a policy answers within"),
    ],
)
def test_a_worker_that_its_policy_ends_is_not_started_again(
    tmp_path: Path, does: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    start = Seat.start_process

    def counted(seat: Seat, key: bytes) -> None:
        started.append(seat.name)
        start(seat, key)

    monkeypatch.setattr(Seat, "start_process", counted)
    path = tmp_path / "mine.py"
    path.write_text(f"def policy(waiting, running, chunk):\n    {does}\n")
    load = msgspec.structs.replace(LOAD, requests=2, rate_per_s=None)
    model = ModelSpec("tiny-llama", "fp32")
    scenario = OwnFile.read(path).deployed(Scenario(Deployment(chunk=64), workload=load, model=model))
    with pytest.raises(PolicyRefused, match=rf"^mine\.py.*{says}"):
        run_live(scenario, own=path)
    assert sorted(started) == ["worker-0", "worker-1"]


def test_what_cannot_be_is_refused_before_anything_starts(tmp_path: Path) -> None:
    scenario = Scenario(Deployment("colocated", own_policy=True), workload=LOAD, model=ModelSpec("tiny-llama"))
    with pytest.raises(BadInput, match="a recording or a scenario does not contain it"):
        run_live(scenario)
    with pytest.raises(BadInput, match="there is no such file"):
        run_live(scenario, own=tmp_path / "nowhere.py")
    with pytest.raises(BadInput, match="workers of other hosts do not have the file"):
        run_live(scenario, own=tmp_path / "mine.py", listen=("127.0.0.1", 0))


def test_the_command_line_serves_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text(WHIM)
    few = ("--model", "tiny-llama", "--requests", "2", "--prompt-tokens", "16", "--output-tokens", "2")
    assert run_cli(cli, ("run", "--policy", str(file), *few, "--json")) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["deployment"] == "own policy"
    assert said["handoffs"] == []

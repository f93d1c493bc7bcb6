"""What the cells of the notebook for policies say and start, without an engine."""

from pathlib import Path
from typing import Any

import pytest

from engine.errors import PolicyRefused
from engine.live.process.front import Front
from engine.log import Log
from engine.own_file import OwnFile
from engine.scenario import Deployment, ModelSpec, Scenario
from engine.sim.run import simulate
from lab.course import cook as module
from lab.course.cook import Cook
from lab.course.notebook import Kitchen
from lab.scene.words import LOOKS, SERVING, TITLES, kind_of
from lessons.own_policy import OURS
from tests.lessons.test_kit import Screen
from tests.lessons.test_own_policy import CELLS, WORKER

GOOD, BREAKS = CELLS[0], CELLS[2]


class Engine:
    """Instead of the real one: every run is simulated, unless it is to refuse."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.refuses = False

    def front(self, *_: Any, own: Path) -> "Engine":
        self.started.append(own.name)
        return self

    def start(self) -> None: ...
    def close(self) -> None:
        self.started.append("closed")

    def run_on(self, _: Front, scenario: Scenario, requests: Any) -> Log:
        if self.refuses:
            raise PolicyRefused("my_policy.py, step 3 of worker-0: no.")
        self.started.append(scenario.deployment.title)
        own = OwnFile(GOOD, "my_policy.py") if scenario.deployment.own_policy else None
        return simulate(scenario, WORKER, own=own)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr(module, "Front", engine.front)
    monkeypatch.setattr(module, "run_on", engine.run_on)
    return engine


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr(module, "display", screen)
    return screen


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my_policy.py"


@pytest.fixture
def cook(engine: Engine, screen: Screen, file: Path) -> Cook:
    return Cook(str(file), ModelSpec("tiny-llama"))


def test_it_measures_before_there_is_a_file(cook: Cook, engine: Engine, screen: Screen) -> None:
    assert engine.started == ["my_policy.py", "disaggregated"]
    assert "their steps are measured: a token takes " in str(screen)
    assert cook.simulate() is None
    assert "**Refused.** policy is '" in str(screen)
    assert "there is no such file" in str(screen)


@pytest.mark.parametrize("beside", ["", *OURS])
def test_yours_is_watched_beside_one_of_ours(cook: Cook, file: Path, screen: Screen, beside: str) -> None:
    file.write_text(GOOD)
    assert isinstance(cook.simulate(beside), Kitchen)
    assert "**Yours, simulated**: TTFT " in str(screen)
    assert f"**{beside.capitalize()}, simulated**: TTFT " in str(screen) or not beside


def test_an_unknown_name_is_said(cook: Cook, file: Path, screen: Screen) -> None:
    file.write_text(GOOD)
    assert cook.simulate("chunks") is None
    assert "beside is 'chunks', but must be one of prefill first, chunked prefill," in str(screen)


def test_what_breaks_a_rule_in_simulated_time_never_reaches_the_engine(
    cook: Cook, file: Path, engine: Engine, screen: Screen
) -> None:
    file.write_text(BREAKS)
    assert cook.run() is None
    cook.score()
    assert str(screen).count("**Refused.** my_policy.py, step ") == 2
    assert engine.started == ["my_policy.py", "disaggregated"]


def test_after_a_refusal_the_next_run_starts_another_engine(cook: Cook, file: Path, engine: Engine) -> None:
    file.write_text(GOOD)
    engine.refuses = True
    assert cook.run() is None
    assert engine.started[2:] == ["closed"]
    engine.refuses = False
    assert isinstance(cook.run(), Kitchen)
    assert engine.started[3:] == ["my_policy.py", "own policy"]


@pytest.mark.parametrize(
    "deployment", [Deployment("colocated", own_policy=True), Deployment("disaggregated", own_split=True)]
)
def test_its_recordings_have_a_title_and_a_look(deployment: Deployment) -> None:
    kind = kind_of(Log(Scenario(deployment), (), "somewhere"))
    assert kind.startswith("own ")
    assert all(kind in of for of in (TITLES, SERVING, LOOKS))

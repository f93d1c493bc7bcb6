"""What the scene is told of a live run."""

import pytest

from engine.scenario import Deployment, ModelSpec, Scenario
from lab.runs.engine_client import EngineClient
from lab.runs.engine_settings import EngineSettings
from lab.runs.live_scene import live
from lab.runs.run_feed import Run, RunFeed


@pytest.mark.parametrize(
    ("cores", "device", "elsewhere", "crowded"),
    [(2, "cpu", False, True), (3, "cpu", False, False), (2, "cuda", False, False), (2, "cpu", True, False)],
    ids=["no core left", "one left", "on GPUs", "on other hosts"],
)
def test_a_browser_draws_rarely_only_where_the_workers_need_its_core(
    cores: int, device: str, elsewhere: bool, crowded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    run = Run("run", Scenario(Deployment(workers=2), model=ModelSpec(device=device)), elsewhere=elsewhere)
    assert (spec := live(run))
    assert spec["crowded"] == crowded


def test_runs_of_a_lab_whose_workers_join_are_elsewhere() -> None:
    for listen, elsewhere in (("", False), ("0.0.0.0:7000", True)):
        engine = EngineClient(EngineSettings(listen=listen, transports=("tcp",)), RunFeed(lambda act: act()))
        run = engine.run(engine.start(Scenario()))
        assert run is not None
        assert run.elsewhere == elsewhere

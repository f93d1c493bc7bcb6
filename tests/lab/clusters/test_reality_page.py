"""The page that lays a simulated run over a live one: what it draws and says is what the two logs hold."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine.live.model.catalog import prepare
from engine.log import Log
from engine.scenario import ModelSpec
from engine.sim.reality import RealityVerdict, against, calibrated
from engine.sim.run import simulate, worker_like
from lab.clusters.reality_charts import samples_ms, shares_alt, shares_figure, verdict_says, verdict_table
from lab.runs.engine_client import EngineClient
from lab.runs.engine_settings import EngineSettings
from lab.runs.run_feed import RunFeed
from lab.scene.recordings import recorded
from tests.patience import PATIENCE_S


@pytest.fixture(scope="module", params=["colocated", "chunked", "disaggregated"])
def foretold(request: Any) -> tuple[Log, Log, RealityVerdict]:
    """A recorded live run, the same simulated after learning from it, and the verdict."""
    live = recorded(request.param)
    worker = calibrated(worker_like(prepare(ModelSpec("tiny-llama"))), live.events)
    return live, simulate(live.scenario, worker), against(live, worker)


def test_a_curve_has_every_sample_and_ends_at_all(foretold: tuple[Log, Log, RealityVerdict]) -> None:
    live, simulated, _ = foretold
    load = live.scenario.workload
    assert len(samples_ms(live, "TTFT")) == load.requests
    for name in ("TTFT", "ITL", "E2E"):
        figure = shares_figure(live, simulated, name)
        for curve, log in zip(figure.data, (live, simulated), strict=True):
            assert list(curve.x) == samples_ms(log, name) == sorted(curve.x)
            assert curve.y[-1] == 1.0
        assert name in shares_alt(live, simulated, name)


def test_table_and_sentence_say_the_verdict(foretold: tuple[Log, Log, RealityVerdict]) -> None:
    verdict = foretold[2]
    table = verdict_table(verdict)
    assert {len(column) for column in table.values()} == {6}
    assert table["error"] == [f"{gap.error:+.0%}".replace("%", "\xa0%") for gap in verdict.gaps]
    close = sum(abs(gap.error) <= 0.15 for gap in verdict.gaps)
    assert verdict_says(verdict).startswith(f"{close} of 6 figures are within 15 %")


@pytest.mark.parametrize(("device", "links"), [("cpu", ("500 kB/s", "2 GB/s")), ("cuda", ("250 MB/s", "400 GB/s"))])
def test_before_anything_ran_the_page_says_what_to_do(device: str, links: tuple[str, str]) -> None:
    def script(engine) -> None:  # type: ignore[no-untyped-def]  # its source is run by itself
        from lab.clusters.reality_page import page

        page(engine)

    engine = EngineClient(EngineSettings(model=ModelSpec(device=device)), RunFeed(lambda act: act()))
    app = AppTest.from_function(script, args=(engine,), default_timeout=PATIENCE_S).run()
    assert not app.exception
    (button,) = app.button
    assert button.label == "Run it twice"
    assert button.disabled, "the engine was not started"
    assert not app.get("plotly_chart")
    (link,) = (slider for slider in app.select_slider if slider.label == "Link bandwidth")
    assert (link.options[0], *link.options[-2:]) == (links[0], links[1], "unpaced")

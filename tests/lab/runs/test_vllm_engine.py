"""A lab whose engine is vLLM, here a stand-in: the same runs, and what cannot be had is declined in a sentence."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.errors import BadInput
from engine.events import Deployed, HandoffEnded, Watched
from engine.grammar import check
from engine.link import LinkSpec
from engine.scenario import Deployment, ModelSpec, Scenario, Workload
from lab.runs.engine_client import EngineClient
from lab.runs.engine_settings import EngineSettings
from lab.runs.run_feed import RunFeed
from lab.web.settings import Settings
from lessons import all_lessons
from tests.engine.vllm.stand_in import FAKE, python_with
from tests.patience import PATIENCE_S, comes

LOAD = Workload(requests=2, prompt_tokens=40, output_tokens=5, ignore_eos=True)
UNPACED = "this machine lacks the program tc"


def settings(python: str = "python", unpaced_because: str = UNPACED) -> EngineSettings:
    return EngineSettings(
        model=ModelSpec("tiny-llama"), transports=("nixl",), vllm_python=python, unpaced_because=unpaced_because
    )


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineClient]:
    made = EngineClient(settings(python_with(FAKE, tmp_path)), RunFeed(lambda act: act()))
    made.open()
    assert comes(lambda: made.state == "ready"), made.why
    yield made
    made.close()


@pytest.mark.live
def test_runs_of_both_kinds_take_turns_and_a_change_of_servers_is_said(engine: EngineClient) -> None:
    runs = engine.start_all([Scenario(Deployment(kind), workload=LOAD) for kind in ("disaggregated", "colocated")])
    said: set[str] = set()

    def over() -> bool:
        said.update(known.starting for run in runs if (known := engine.run(run)))
        return engine.over(runs[1])

    assert comes(over)
    assert any("vLLM is starting 2 servers" in words for words in said)
    split, together = (engine.log(run) for run in runs)
    assert split is not None
    assert together is not None
    for log, kind in ((split, "disaggregated"), (together, "colocated")):
        check(log.events)
        assert [event.deployment for event in log.events if isinstance(event, Deployed)] == [kind]
        assert any(isinstance(event, Watched) for event in log.events)
        assert log.machine.startswith("vLLM 0.0.0 on ")
        assert log.scenario.deployment.first_token == "decode"
    assert len([event for event in split.events if isinstance(event, HandoffEnded)]) == 2


@pytest.mark.live
def test_a_run_is_stopped_while_its_servers_start(engine: EngineClient) -> None:
    run = engine.start(Scenario(Deployment("colocated"), workload=LOAD))
    engine.stop(run)
    assert comes(lambda: engine.over(run))
    again = engine.start(Scenario(Deployment("colocated"), workload=LOAD))
    assert comes(lambda: engine.over(again))
    log = engine.log(again)
    assert log is not None
    check(log.events)


@pytest.mark.live
def test_the_machine_is_not_measured_with_vllm(engine: EngineClient) -> None:
    run = engine.examine()
    assert comes(lambda: engine.over(run))
    known = engine.run(run)
    assert known is not None
    assert "measured limits" in known.refused


# ---- without a process


def test_what_differs_only_where_vllm_leaves_no_choice_is_not_told_apart() -> None:
    both = [Scenario(Deployment(first_token=who)) for who in ("prefill", "decode")]
    assert not settings().tells_apart(both)
    assert EngineSettings().tells_apart(both)
    assert settings().tells_apart([Scenario(Deployment(kind)) for kind in ("colocated", "chunked")])
    with pytest.raises(BadInput, match="whole with vLLM"):
        settings().tells_apart([Scenario(Deployment(ship="layers"))])


def test_a_link_is_refused_where_it_cannot_be_paced() -> None:
    paced = Scenario(link=LinkSpec(20e6))
    assert settings(unpaced_because="").fitted(paced).link == LinkSpec(20e6)
    with pytest.raises(BadInput, match="none with vLLM here: this machine lacks the program tc"):
        settings().fitted(paced)


def refusal(engine: EngineSettings, scenario: Scenario) -> str:
    try:
        engine.fitted(scenario)
    except BadInput as why:
        return str(why)
    return ""


def test_every_run_of_every_lesson_is_possible_or_declined_in_a_sentence() -> None:
    able = settings(unpaced_because="")
    said = [
        refusal(able, scenario)
        for lesson in all_lessons()
        for asked in lesson.rounds
        for scenario in asked.runs(asked.knob.values[0] if asked.knob else 0.0).values()
    ]
    refused = list(filter(None, said))
    assert all("with vLLM" in why for why in refused)
    assert 0 < len(refused) < len(said) / 4


def test_settings_of_the_environment(tmp_path: Path) -> None:
    python = python_with(FAKE, tmp_path)
    said = {"SPLIT_KITCHEN_ENGINE": "vllm", "SPLIT_KITCHEN_VLLM_PYTHON": python}
    assert Settings.of_environment(said).engine.vllm_python == python
    for wrong, why in (
        ({"SPLIT_KITCHEN_ENGINE": "other"}, "one of miniature, vllm"),
        ({"SPLIT_KITCHEN_ENGINE": "vllm"}, "make vllm"),
        (said | {"SPLIT_KITCHEN_LISTEN": "0.0.0.0:7000"}, "left out with vLLM"),
    ):
        with pytest.raises(BadInput, match=why):
            Settings.of_environment(wrong)


def test_the_kitchen_says_what_vllm_has_no_control_for() -> None:
    def script(engine) -> None:  # type: ignore[no-untyped-def]  # its source is run by itself
        from lab.kitchen.kitchen_page import page

        page(engine, lambda runs: None)

    engine = EngineClient(settings(), RunFeed(lambda act: act()))
    app = AppTest.from_function(script, args=(engine,), default_timeout=PATIENCE_S).run()
    assert not app.exception
    said = " ".join(caption.value for caption in app.caption)
    assert "Latency cannot be added" in said
    assert UNPACED in said
    labels = {widget.label for widget in (*app.selectbox, *app.select_slider)}
    assert not labels & {
        "Trays travel over",
        "Trays leave",
        "The first token comes from",
        "Link latency",
        "Link bandwidth",
    }

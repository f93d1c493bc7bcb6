"""The advisor's page: asked as a visitor would, in Streamlit's own test runner; the advice runs in its real process."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from streamlit.testing.v1 import AppTest

from engine.fleet.advisor.advice import Advice
from engine.fleet.advisor.metrics_page import read_metrics
from engine.fleet.advisor.question import Question
from engine.fleet.catalog.hf_config import read_config
from engine.fleet.host.nvml import read_fleet
from lab.clusters.advisor_form import PRESETS
from lab.clusters.flip_chart import flips_alt, rows
from lab.clusters.jobs import AdvisorJob, Jobs
from tests.patience import PATIENCE_S, comes

METRICS = Path(__file__).parents[2] / "engine" / "fleet" / "vllm-metrics.txt"


def visit() -> AppTest:
    def script(jobs) -> None:  # type: ignore[no-untyped-def]  # its source is run by itself
        from lab.clusters.advisor_page import page

        page(jobs)

    return AppTest.from_function(script, args=(Jobs(PATIENCE_S),), default_timeout=PATIENCE_S).run()


def advised(question: Question) -> Advice:
    job = Jobs(PATIENCE_S).advise(question)
    assert isinstance(job, AdvisorJob)
    assert comes(lambda: job.job.over)
    assert job.advice
    return job.advice


def said(page: AppTest) -> str:
    return "\n".join(
        element.value
        for element in (*page.markdown, *page.subheader, *page.error, *page.info, *page.success, *page.caption)
    )


def press(page: AppTest, label: str) -> None:
    next(button for button in page.button if button.label == label).click().run()


def ask(page: AppTest) -> AppTest:
    press(page, "Ask the advisor")
    asking = page.session_state["asking"] if "asking" in page.session_state else None  # noqa: SIM401  # it has no `get`
    if isinstance(asking, AdvisorJob):
        assert comes(lambda: asking.job.over)
    return page.run() if asking else page


def answer(page: AppTest) -> Advice:
    asking: Any = page.session_state["asking"]
    advice = asking if isinstance(asking, Advice) else asking.advice
    assert isinstance(advice, Advice)
    return advice


def test_the_seeds_kitchen_is_told_to_fix_the_road_first() -> None:
    page = visit()
    assert "Choose a kitchen above" in said(page)
    ask(page)
    assert not page.exception
    assert "Fix the road between the stations first" in said(page)
    assert "Critical" in said(page)
    assert "Next tier" in said(page)


def test_a_preset_fills_the_form() -> None:
    page = visit()
    page.selectbox(key="preset").select("Two node pools over 10G Ethernet").run()
    assert page.number_input(key="gpus").value == 16
    assert page.selectbox(key="fabric").value == "eth-10g"


def test_a_question_from_another_page_fills_the_form() -> None:
    def script(jobs, asked) -> None:  # type: ignore[no-untyped-def]  # its source is run by itself
        import streamlit as st

        from lab.clusters.advisor_form import fill_in
        from lab.clusters.advisor_page import page

        if "came" not in st.session_state:  # as `switch_page` brings a visitor here
            st.session_state["came"] = True
            fill_in(asked)
        page(jobs)

    asked = Question(16, "h200-sxm", "qwen3-8b", isl_tokens=777, rate_per_s=9, promised="tpot", fabric="ib-400g")
    page = AppTest.from_function(script, args=(Jobs(PATIENCE_S), asked), default_timeout=PATIENCE_S).run()
    assert not page.exception
    assert [page.number_input(key=field).value for field in ("gpus", "isl_tokens", "rate_per_s")] == [16, 777, 9.0]
    assert [page.selectbox(key=field).value for field in ("gpu", "fabric")] == ["h200-sxm", "ib-400g"]
    assert any("that you came from" in caption.value for caption in page.caption)
    page.selectbox(key="preset").select("One node of 8 × H100").run()
    assert page.number_input(key="gpus").value == 8
    assert not any("that you came from" in caption.value for caption in page.caption)
    page.selectbox(key="preset").select("One node of 8 × H100").run()
    assert page.number_input(key="gpus").value == 8  # it fills the form once


def test_what_cannot_be_is_said_in_one_sentence() -> None:
    page = visit()
    page.number_input(key="gpus").set_value(64)  # over NVLink, which ends at the node
    ask(page)
    assert not page.exception
    assert page.error[0].value.startswith("fabric is 'nvlink3'")


def test_an_answer_is_kept_and_a_question_can_be_cancelled() -> None:
    question = msgspec.structs.replace(next(iter(PRESETS.values())), rate_per_s=0.9)
    jobs = Jobs(PATIENCE_S)
    first = jobs.advise(question)
    assert isinstance(first, AdvisorJob)
    assert comes(lambda: first.job.over)
    assert first.advice is not None
    assert jobs.advise(question) == first.advice  # at once
    rack = jobs.advise(PRESETS["A GB200 NVL72 rack"])
    assert isinstance(rack, AdvisorJob)
    rack.job.cancel()
    assert comes(lambda: rack.job.over)
    assert rack.advice is None


# ---- what there is fills the form


def test_a_servers_metrics_fill_the_load_and_a_person_has_the_last_word() -> None:
    page = visit()
    page.text_area(key="metrics").set_value("hello").run()
    press(page, "Use its load")
    assert "Prometheus text" in page.error[0].value
    page.text_area(key="metrics").set_value(METRICS.read_text()).run()
    press(page, "Use its load")
    assert not page.error
    load = read_metrics(METRICS.read_text())
    assert page.number_input(key="isl_tokens").value == load.isl_tokens
    assert page.number_input(key="osl_tokens").value == load.osl_tokens
    assert "finished requests" in said(page)
    page.number_input(key="isl_tokens").set_value(4000)
    ask(page)
    asked = answer(page).question
    assert (asked.isl_tokens, asked.osl_tokens) == (4000, load.osl_tokens)


def test_findings_fill_the_roads_and_say_so() -> None:
    page = visit()
    page.selectbox(key="preset").select("One node of 8 × H100").run()
    assert "Taken from the findings" not in said(page)
    press(page, "Use the example fleet's")
    assert [page.number_input(key=field).value for field in ("gpus", "links_down")] == [4, 1]
    assert page.selectbox(key="fabric").value == "nvlink3"
    assert "Taken from the findings of the recorded example fleet" in said(page)
    page.number_input(key="links_down").set_value(0)
    ask(page)
    assert "Changed by you. Taken from" in said(page)
    assert "Fix the road" not in said(page)
    press(page, "Use this machine's")
    assert any("NVML can see" in error.value for error in page.error) == (not read_fleet().gpus)


def test_a_model_of_ones_own_is_asked_about() -> None:
    config = {"hidden_size": 2048, "num_attention_heads": 16, "num_hidden_layers": 20, "vocab_size": 50_000}
    page = visit()
    page.session_state["own_model"] = shape = read_config(json.dumps(config).encode(), "config.json", "mine")
    page.run()
    page.selectbox(key="model").select_index(0)
    ask(page)
    assert answer(page).question.shape == shape
    assert answer(page).plan.model == "mine"


def test_the_chart_has_a_line_an_input_and_the_nearest_first() -> None:
    advice = advised(PRESETS["Two node pools over InfiniBand"])
    shown = rows(advice)
    assert len(shown) == len({row.label for row in shown}) == 7
    near = [max(row.factor, 1 / row.factor) for row in shown if row.factor]
    assert near
    assert near == sorted(near)
    assert flips_alt(advice).count("→") == len(near)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_can_be_asked(preset: str) -> None:
    PRESETS[preset].checked()

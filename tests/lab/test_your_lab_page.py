"""The advisor's page: asked as a visitor would, in Streamlit's own test runner; the advice runs in its real process."""

import msgspec
import pytest
from streamlit.testing.v1 import AppTest

from lab.asking import Asking
from lab.pages.your_lab import PRESETS
from tests.lab.conftest import comes


def visit() -> AppTest:
    return AppTest.from_string("from lab.pages import your_lab\nyour_lab.page()", default_timeout=60).run()


def said(page: AppTest) -> str:
    return "\n".join(element.value for element in (*page.markdown, *page.subheader, *page.error, *page.info))


def ask(page: AppTest) -> AppTest:
    page.button[0].click().run()
    asking = page.session_state["asking"] if "asking" in page.session_state else None  # noqa: SIM401  # it has no `get`
    if asking:
        assert comes(lambda: asking.over, 60)
    return page.run() if asking else page


def test_the_seeds_kitchen_is_told_to_mend_the_road_first():
    page = visit()
    assert "Choose a kitchen above" in said(page)
    ask(page)
    assert not page.exception
    assert "Mend the road between the stations first" in said(page)
    assert "Critical" in said(page)
    assert "Next tier" in said(page)


def test_a_preset_fills_the_form():
    page = visit()
    page.selectbox(key="preset").select("Two node pools over 10G Ethernet").run()
    assert page.number_input(key="gpus").value == 16
    assert page.selectbox(key="fabric").value == "eth-10g"


def test_what_cannot_be_is_said_in_one_sentence():
    page = visit()
    page.number_input(key="gpus").set_value(64)  # over NVLink, which ends at the node
    ask(page)
    assert not page.exception
    assert page.error[0].value.startswith("fabric is 'nvlink3'")


def test_an_answer_is_kept_and_a_question_can_be_cancelled():
    question = msgspec.structs.replace(next(iter(PRESETS.values())), rate_per_s=0.9)
    first = Asking(question)
    assert comes(lambda: first.over, 60)
    assert first.advice is not None
    assert Asking(question).over
    rack = Asking(PRESETS["A GB200 NVL72 rack"])
    rack.cancel()
    assert rack.over
    assert rack.advice is None


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_can_be_asked(preset):
    PRESETS[preset].checked()

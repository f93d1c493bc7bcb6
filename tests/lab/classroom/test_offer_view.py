"""Offers as the pages show them, without an engine: a learner's button, the instructor's list, the wall."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.link import LinkSpec
from engine.scenario import Deployment, Scenario, Workload
from lab.classroom.offers import what
from lab.classroom.service import Classroom
from lab.course.evidence_store import EvidenceStore
from lab.runs.engine_client import EngineClient
from lab.runs.engine_settings import EngineSettings
from lab.runs.run_feed import Run, RunFeed

TEACHER, ME = "T" * 22, "A" * 22
KEY = "the instructor's own key"


class Here:
    """A class and its members, without an engine."""

    def __init__(self, folder: Path) -> None:
        engine = EngineClient(EngineSettings(), RunFeed(lambda act: act()))
        self.classroom = Classroom(folder / "class.sqlite", KEY, engine, EvidenceStore(engine))
        self.classroom.instructors.admit(TEACHER, KEY)
        self.code = self.classroom.actions.open(TEACHER).code
        self.classroom.actions.join(self.code, ME, "Ada")
        words = ["Why does a *giant* make others wait?"]
        engine.feed.add(Run("mine", Scenario(workload=Workload(4, None, 64)), ME, words))


@pytest.fixture
def here(tmp_path: Path, no_cookies: None) -> Here:
    return Here(tmp_path)


def learner_page(here: Here, runs: tuple[str, ...] = ("mine",)) -> AppTest:
    def script(classroom, runs) -> None:  # type: ignore[no-untyped-def]  # its source is run by itself
        from lab.classroom.offer_view import offer_own

        offer_own(classroom, runs)

    return visit(AppTest.from_function(script, args=(here.classroom, runs)), ME)


def instructor_page(here: Here) -> AppTest:
    def script(classroom, code) -> None:  # type: ignore[no-untyped-def]
        from lab.classroom.offer_view import offered

        offered(classroom, classroom.actions.room(code))

    return visit(AppTest.from_function(script, args=(here.classroom, here.code)), TEACHER)


def visit(app: AppTest, learner: str) -> AppTest:
    app.session_state["learner"] = learner
    return app.run()


def words(app: AppTest) -> str:
    assert not app.exception
    return "\n".join(element.value for element in (*app.subheader, *app.markdown, *app.caption, *app.error))


def press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def test_from_the_learner_s_button_to_the_wall_and_back(here: Here) -> None:
    page = learner_page(here)
    assert words(instructor_page(here)) == ""
    press(page, "Offer to the projector")
    assert "A run of yours is offered to the projector." in words(page)
    desk = instructor_page(here)
    assert "**1. Ada** · Two stations and a pass" in words(desk)
    assert here.classroom.offers.up(here.code) is None
    press(desk, "Put on the projector")
    up = here.classroom.offers.up(here.code)
    assert up is not None
    assert (up.runs, up.by) == (("mine",), "a learner")
    press(learner_page(here, ()), "Take it back")  # from a page that has no run of the own
    assert here.classroom.offers.up(here.code) is None


def test_a_run_that_is_declined_leaves_the_list_and_its_learner_is_told_in_a_sentence(here: Here) -> None:
    press(learner_page(here), "Offer to the projector")
    desk = press(instructor_page(here), "Decline")
    assert words(desk) == ""
    assert not desk.button
    page = learner_page(here)
    assert "The instructor does not show the run that you offered" in words(page)
    assert [button.label for button in page.button] == ["All right"]  # and not the same run once more
    assert [button.label for button in learner_page(here, ("another",)).button] == [
        "All right",
        "Offer this one instead",
    ]
    press(page, "All right")
    assert "does not show" not in words(page)
    assert [button.label for button in page.button] == ["Offer to the projector"]


def test_the_instructor_reads_the_learner_s_own_words_as_text(here: Here) -> None:
    press(learner_page(here), "Offer to the projector")
    assert "in their own words: “Why does a \\*giant\\* make others wait?”" in words(instructor_page(here))


def test_outside_of_a_class_there_is_nothing_to_offer_to(here: Here) -> None:
    here.classroom.actions.leave(ME)
    page = learner_page(here)
    assert not page.button
    assert words(page) == ""


def test_a_run_in_one_line() -> None:
    load = Workload(1, None, 64)
    long = Workload(12, None, 64, long_prompt_tokens=1024, long_every=4)
    assert (
        what([Scenario(Deployment("colocated"), LinkSpec(20e6), load)]) == "Each cook does both · 1 order of 64 tokens"
    )
    both = [Scenario(Deployment(kind), LinkSpec(20e6), long) for kind in ("colocated", "disaggregated")]
    assert what(both) == (
        "Each cook does both beside Two stations and a pass · 20 MB/s · 12 orders of 64 tokens, every 4th of 1,024"
    )

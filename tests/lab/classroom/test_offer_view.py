"""Offers as the pages show them, without an engine: a learner's button, the instructor's list, the wall."""

import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.link import LinkSpec
from engine.scenario import Deployment, Scenario, Workload
from lab.classroom.actions import Rooms
from lab.classroom.offer_view import what
from lab.classroom.offers import Offers
from lab.classroom.store import RoomFile
from lab.runs.engine_client import ENGINE_ROOM
from lab.runs.run_feed import Run

TEACHER, ME = "T" * 22, "A" * 22


class Here:
    """Who looks, and the class of the test."""

    def __init__(self, path: Path) -> None:
        self.who = ME
        file = RoomFile(path, {TEACHER})
        self.rooms = Rooms(file)
        self.offers = Offers(file, lambda run: known.by if (known := ENGINE_ROOM.hub.runs.get(run)) else None)
        self.code = self.rooms.open(TEACHER).code
        self.rooms.join(self.code, ME, "Ada")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    made = Here(tmp_path / "class.sqlite")
    for name, found in (("learner", lambda: made.who), ("rooms", lambda: made.rooms), ("offers", lambda: made.offers)):
        for module in ("lab.classroom.offer_view", "lab.classroom.live_updates"):
            monkeypatch.setattr(sys.modules[module], name, found, raising=name != "learner")
    run = Run("mine", Scenario(workload=Workload(4, None, 64)), ME, ["Why does a *giant* make others wait?"])
    monkeypatch.setitem(ENGINE_ROOM.hub.runs, "mine", run)
    return made


def learner_page(runs: tuple[str, ...] = ("mine",)) -> AppTest:
    def script(runs) -> None:  # type: ignore[no-untyped-def]  # its source is run by itself
        from lab.classroom.offer_view import offer_own

        offer_own(runs)

    return AppTest.from_function(script, args=(runs,)).run()


def instructor_page(here: Here) -> AppTest:
    def script(code) -> None:  # type: ignore[no-untyped-def]
        from lab.classroom.offer_view import offered, rooms

        offered(rooms().room(code))

    here.who = TEACHER
    return AppTest.from_function(script, args=(here.code,)).run()


def words(app: AppTest) -> str:
    assert not app.exception
    return "\n".join(element.value for element in (*app.subheader, *app.markdown, *app.caption, *app.error))


def press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def test_from_the_learner_s_button_to_the_wall_and_back(here: Here) -> None:
    page = learner_page()
    assert words(instructor_page(here)) == ""
    here.who = ME
    press(page, "Offer to the projector")
    assert "A run of yours is offered to the projector." in words(page)
    desk = instructor_page(here)
    assert "**1. Ada** · Two stations and a pass" in words(desk)
    assert here.offers.up(here.code) is None
    press(desk, "Put on the projector")
    up = here.offers.up(here.code)
    assert up is not None
    assert (up.runs, up.by) == (("mine",), "a learner")
    here.who = ME
    press(learner_page(()), "Take it back")  # from a page that has no run of the own
    assert here.offers.up(here.code) is None


def test_a_run_that_is_declined_leaves_the_list_and_its_learner_is_told_in_a_sentence(here: Here) -> None:
    press(learner_page(), "Offer to the projector")
    desk = press(instructor_page(here), "Decline")
    assert words(desk) == ""
    assert not desk.button
    here.who = ME
    page = learner_page()
    assert "The instructor does not show the run that you offered" in words(page)
    assert [button.label for button in page.button] == ["All right"]  # and not the same run once more
    assert [button.label for button in learner_page(("another",)).button] == ["All right", "Offer this one instead"]
    press(page, "All right")
    assert "does not show" not in words(page)
    assert [button.label for button in page.button] == ["Offer to the projector"]


def test_the_instructor_reads_the_learner_s_own_words_as_text(here: Here) -> None:
    press(learner_page(), "Offer to the projector")
    assert "in their own words: “Why does a \\*giant\\* make others wait?”" in words(instructor_page(here))


def test_outside_of_a_class_there_is_nothing_to_offer_to(here: Here) -> None:
    here.rooms.leave(ME)
    page = learner_page()
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

"""The instructor's list of members, without an engine: as long as the class, and no heavier for it."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.lab.classroom.test_offer_view import TEACHER, Here, press, visit


@pytest.fixture
def here(tmp_path: Path, no_cookies: None) -> Here:
    return Here(tmp_path)


def desk(here: Here) -> AppTest:
    def script(classroom, code) -> None:  # type: ignore[no-untyped-def]  # its source is run by itself
        from lab.classroom.instructor_records import keep

        keep(classroom, classroom.actions.room(code))

    return visit(AppTest.from_function(script, args=(here.classroom, here.code)), TEACHER)


def drawn(app: AppTest) -> int:
    """How many elements the page has."""
    assert not app.exception
    return sum(len(kind) for kind in (app.markdown, app.button, app.caption, app.number_input))


def told(app: AppTest) -> str:
    return "\n".join(one.value for one in app.markdown)


def test_a_member_is_removed_by_number_and_the_button_says_whom(here: Here) -> None:
    here.classroom.actions.join(here.code, "B" * 22, "Bo_b")
    app = desk(here)
    assert "1. Ada\n2. Bo\\_b" in told(app)
    (remove,) = [button for button in app.button if button.label == "Remove"]
    assert remove.disabled
    app.number_input[0].set_value(7).run()
    assert next(button for button in app.button if button.label == "Remove 7").disabled
    app.number_input[0].set_value(2).run()
    press(app, "Remove 2")
    assert here.classroom.actions.roster(here.code) == [(1, "Ada", True), (2, "Bo_b", False)]
    assert "2. Bo\\_b · left" in told(desk(here))


def test_a_large_class_is_drawn_with_no_more_elements(here: Here) -> None:
    small = drawn(desk(here))
    for n in range(30):
        here.classroom.actions.join(here.code, f"learner {n}")
    app = desk(here)
    assert drawn(app) == small
    assert "31. (no nickname)" in told(app)

"""The advisor's page in Chromium: asked by mouse, answered, within WCAG AA, and no wider than a phone."""

from typing import Literal

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.lab.conftest import Lab
from tests.lab.looks import faults

pytestmark = [pytest.mark.browser, pytest.mark.live]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_visitor_asks_and_can_read_the_answer(
    lab: Lab, browser: Browser, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(f"{lab.url}/advisor")
    page.get_by_role("button", name="Ask the advisor").click()
    expect(page.get_by_role("heading", name="Fix the road between the stations first")).to_be_visible()
    expect(page.get_by_text("Next tier:", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="vllm.sh")).to_be_visible()
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    assert faults(page) == []
    page.close()


def test_a_field_whose_script_comes_late_has_its_value(lab: Lab, browser: Browser) -> None:
    """The button is there before the fields are, and is pressed at once."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    held: list[Route] = []
    page.route("**/static/js/NumberInput*", lambda route: held.append(route))
    page.goto(f"{lab.url}/advisor")
    page.get_by_role("button", name="Ask the advisor").click()
    expect(page.get_by_role("progressbar").or_(page.get_by_text("In serving terms"))).to_be_visible()
    for route in held:
        route.continue_()
    expect(page.get_by_label("GPUs, in all")).to_have_value("4")
    expect(page.get_by_label("Prompt tokens (ISL)")).to_have_value("4096")
    expect(page.get_by_text("In serving terms")).to_be_visible()
    expect(page.get_by_label("GPUs, in all")).to_have_value("4")
    page.close()

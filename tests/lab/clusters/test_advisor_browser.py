"""The advisor's page in Chromium: asked by mouse, answered, within WCAG AA, and no wider than a phone."""

from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

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
    expect(page.get_by_text("Next tier.")).to_be_visible()
    expect(page.get_by_role("button", name="vllm.sh")).to_be_visible()
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    assert faults(page) == []
    page.close()

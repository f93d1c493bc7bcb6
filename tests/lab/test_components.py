"""The browser modules as Streamlit calls them: again on every change, and cleaned up after in an order of its own."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

ASSETS = Path(__file__).parents[2] / "assets"
DATA: dict[str, dict[str, Any]] = {
    "kitchen.js": {"kitchens": [], "can": []},
    "pulse.js": {"stream": "ws://localhost:1/lab/class?room=A", "at": "a", "says": "5 here", "done": None},
    "number.js": {"unit": "s", "low": 0, "high": 2, "stops": [0, 1, 2], "at": 1, "value": None},
    "curve.js": {
        "x": [1, 2],
        "x_label": "",
        "y_label": "",
        "unit": "s",
        "low": 0,
        "high": 1,
        "log": False,
        "log_x": False,
    },
}

# Two calls close to each other, the end of the first, the end of the second: what stands on the page after each.
OVERTAKEN = """async ([source, data]) => {
  const { default: mount } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const parentElement = document.createElement("div"), stands = () => parentElement.childElementCount > 0;
  document.body.append(parentElement);
  const call = () => mount({ parentElement, data, setStateValue() {} });
  const first = call(), second = call(), seen = [stands()];
  first();
  seen.push(stands());
  second();
  return [...seen, stands()];
}"""


@pytest.mark.browser
@pytest.mark.parametrize("module", DATA)
def test_a_call_that_was_overtaken_takes_nothing_away(browser: Browser, module: str) -> None:
    page = browser.new_page()
    page.goto("about:blank")
    seen = page.evaluate(OVERTAKEN, [(ASSETS / module).read_text("utf-8"), DATA[module]])
    page.close()
    assert seen == [True, True, False]

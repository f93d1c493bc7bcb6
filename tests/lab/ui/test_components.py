"""The browser modules as Streamlit calls them: again on every change, and cleaned up after in an order of its own."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from lab.scene.bundle import SCENE
from lab.ui.js_component import source

DATA: dict[str, dict[str, Any]] = {
    "kitchen": {"kitchens": [], "can": []},
    "markup": {"html": "<p>drawn</p>"},
    "pulse": {"stream": "ws://localhost:1/lab/class?room=A", "at": "a", "says": "5 here", "done": None},
    "number": {"unit": "s", "low": 0, "high": 2, "stops": [0, 1, 2], "at": 1, "value": None},
    "curve": {
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


def empty_page(browser: Browser) -> Page:
    """At an address, which modules find their server by."""
    page = browser.new_page()
    page.route("**/*", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.goto("http://lab.test/")
    return page


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
@pytest.mark.parametrize("name", DATA)
def test_a_call_that_was_overtaken_takes_nothing_away(browser: Browser, name: str) -> None:
    page = empty_page(browser)
    seen = page.evaluate(OVERTAKEN, [SCENE if name == "kitchen" else source(name), DATA[name]])
    page.close()
    assert seen == [True, True, False]


# As a hand does it: what is emitted, what stands in the other field, what is said.
NUMBER = """async ([source, data]) => {
  const { default: mount } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const parentElement = document.createElement("div"), emitted = [];
  document.body.append(parentElement);
  mount({ parentElement, data, setStateValue: (name, value) => emitted.push([name, value]) });
  const find = (what) => parentElement.querySelector(what);
  const slider = find("input[type=range]"), exact = find("input[type=number]");
  const set = (field, value) => {
    field.value = value;
    field.dispatchEvent(new Event("input"));
    field.dispatchEvent(new Event("change"));
    const shown = slider.getAttribute("aria-valuetext"), said = find("[role=status]").textContent;
    return [emitted.at(-1)[1], slider.value, shown, exact.value, said];
  };
  const before = [emitted.length, slider.value, exact.value];
  return { before, slid: set(slider, 3), typed: set(exact, 30), beyond: set(exact, 5000), emptied: set(exact, "") };
}"""


@pytest.mark.browser
def test_slider_and_exact_entry_follow_each_other_and_nothing_is_set_by_itself(browser: Browser) -> None:
    data = {"unit": "ms", "low": 1, "high": 1000, "stops": [1, 10, 100, 1000], "at": 12, "value": None}
    page = empty_page(browser)
    seen = page.evaluate(NUMBER, [source("number"), data])
    page.close()
    assert seen == {
        "before": [0, "1", ""],
        "slid": [1000, "3", "1,000 ms", "1000", ""],
        "typed": [30, "1", "30 ms", "30", ""],
        "beyond": [None, "1", "10 ms", "5000", "Not set: from 1 ms to 1,000 ms."],
        "emptied": [None, "1", "10 ms", "", "Not set: from 1 ms to 1,000 ms."],
    }


LIVE = {
    "id": "one",
    "run": "one",
    "title": "",
    "deployment": "disaggregated",
    "stream": "ws://localhost:1/run",
    "live": True,
}

# A live kitchen and a server that says what the test has it say; `belt` is what a visitor sees of the slider.
BELT = """async ([source, data]) => {
  const { default: mount } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const parentElement = document.createElement("div");
  document.body.append(parentElement);
  Object.assign(window, { told: [], sent: [] });
  window.WebSocket = class {
    static OPEN = 1;
    readyState = 1;
    constructor() { window.hear = (motions) => this.onmessage({ data: JSON.stringify({ now: 1, motions }) }); }
    send(text) { sent.push(JSON.parse(text).bandwidth_bytes_per_s); }
    close() {}
  };
  mount({ parentElement, data, setStateValue: (name, value) => told.push(value) });
  window.belt = () => parentElement.querySelector("input.sk-link");
  window.drag = (notch) => {
    belt().value = notch;
    belt().dispatchEvent(new Event("input"));
    belt().dispatchEvent(new Event("change"));
  };
}"""


@pytest.mark.browser
def test_a_link_that_was_chosen_stays_until_the_run_has_it(browser: Browser) -> None:
    page = empty_page(browser)
    page.clock.install()

    def link(bandwidth: float | None) -> None:
        page.evaluate("link => hear([link])", {"kind": "link", "t": 0.5, "bandwidth": bandwidth, "latency": 0})

    def stands() -> list[Any]:
        page.clock.run_for(2000)
        return page.evaluate("[belt().value, belt().getAttribute('aria-valuetext')]")  # type: ignore[no-any-return]

    page.evaluate(BELT, [SCENE, {"kitchens": [LIVE], "can": ["link"]}])
    link(5e5)
    assert stands() == ["0", "500 kB/s"]
    page.evaluate("drag(200)")
    assert stands() == ["200", "unpaced"]
    page.evaluate("drag(199)")
    link(None)  # what was asked for first, and late
    assert stands() == ["199", "2 GB/s"]
    page.clock.run_for(10_000)
    assert stands() == ["200", "unpaced"]  # it was never done; what the run has is what is shown
    assert page.evaluate("[sent, told]") == [[None, 2e9], [None, 2e9]]
    page.close()

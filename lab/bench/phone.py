"""A phone that has scanned the wall's code: how long until it has voted, in Chromium at a phone's pace."""

import secrets
from typing import Any

from engine.bench.figure import Figure
from lab.bench.startup import fresh_lab

VOTES_S = 4.0
CPU = 4  # times slower than this machine
LATENCY_MS, DOWN_BYTES_PER_S, UP_BYTES_PER_S = 150, 1.6e6 / 8, 0.75e6 / 8
SCREEN = {"width": 390, "height": 844}
VOTED = "() => document.getElementById('bar-where').textContent.startsWith('Voted')"


def voting(model: str, browser: Any) -> list[Figure]:
    """An instructor asks the course's first question, and a phone with a cold cache comes to it. Whoever holds it needs
    no time to think."""
    key = secrets.token_urlsafe(12)
    with fresh_lab(model, SPLIT_KITCHEN_INSTRUCTOR_KEY=key) as lab:
        code = _asked(browser.new_page(), lab.url, key)
        context = browser.new_context(viewport=SCREEN, is_mobile=True, has_touch=True)
        phone = context.new_page()
        loaded_bytes = slowed_down(context.new_cdp_session(phone))
        phone.goto(f"{lab.url}/join?room={code}", wait_until="commit")
        phone.get_by_role("button", name="Join", exact=True).click()
        joins_s = phone.evaluate("performance.now() / 1000")
        phone.locator("input[type=range]").press("End")
        phone.get_by_text("fairly sure", exact=True).click()
        phone.get_by_role("button", name="Lock my vote").click()
        phone.wait_for_function(VOTED)
        votes_s = phone.evaluate("performance.now() / 1000")
    return [
        Figure("a phone with a cold cache, from the code until it joins", joins_s, "s"),
        Figure("until it has voted", votes_s, "s", most=VOTES_S),
        Figure("what it has loaded by then", sum(loaded_bytes), "B"),
    ]


def _asked(page: Any, url: str, key: str) -> str:
    """The code of a class that is at a question."""
    page.goto(f"{url}/instructor")
    page.get_by_label("Instructor's key").fill(key)
    page.get_by_role("button", name="Enter", exact=True).click()
    page.get_by_role("button", name="Open a class", exact=True).click()
    page.get_by_role("button", name="Ask this", exact=True).click()
    page.get_by_text("0 of 0 have voted").wait_for()
    said: str = page.get_by_text("Join at").inner_text()
    return said.split()[-1]


def slowed_down(devtools: Any) -> list[float]:
    """The bytes over the wire of each answer to the page of `devtools`, as they come from now on, as slowly as to a
    phone."""
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": CPU})
    devtools.send("Network.enable")
    line = {"latency": LATENCY_MS, "downloadThroughput": DOWN_BYTES_PER_S, "uploadThroughput": UP_BYTES_PER_S}
    devtools.send("Network.emulateNetworkConditions", {"offline": False, **line})
    loaded_bytes: list[float] = []
    devtools.on("Network.loadingFinished", lambda told: loaded_bytes.append(told["encodedDataLength"]))
    return loaded_bytes

"""Measure the delay from an event in the engine to the pixel: `python -m tests.page_lag`, on the real model.

The event of token k carries the run's time; the token is on the page when its plate shows k. Each message says what the
run's clock showed when it was sent, and the fastest message is assumed to have taken no time. So every delay that is
printed is too small by that message's own delay, about 1 ms.
"""

import json
import os
import time

os.environ["SPLIT_KITCHEN_TEST_MODEL"] = "smollm2-135m"

from playwright.sync_api import Page, expect, sync_playwright

from engine.metrics import Spread
from tests.lab.conftest import FLAGS, Lab, open_lab

WATCH = """
window.heard = []; window.seen = {};
const Plain = WebSocket;
window.WebSocket = class extends Plain {
  constructor(...all) { super(...all);
    if (!String(all[0]).includes("/lab/ws")) return;
    this.addEventListener("message", (message) => heard.push([performance.now(), message.data])); }
};
function scene(root) {
  for (const node of root.querySelectorAll("*")) {
    if (node.classList.contains("sk")) return node;
    const inner = node.shadowRoot && scene(node.shadowRoot);
    if (inner) return inner;
  }
  return null;
}
let found = null;
(function look() {
  requestAnimationFrame(look);
  if (!found?.isConnected) found = document.body && scene(document);
  for (const plate of found?.querySelectorAll(".sk-plate") || [])
    seen[plate.dataset.order + "/" + plate.dataset.made] ??= performance.now();
})();
"""


def lags_s(page: Page, lab: Lab) -> list[float]:
    page.goto(f"{lab.url}/?orders=6&rate=1&answer=64")
    button = page.get_by_role("button", name="Open the kitchen")
    expect(button).to_be_enabled(timeout=120_000)
    page.evaluate("seen = {}")
    button.click()
    expect(page.get_by_role("heading", name="What was measured")).to_be_visible(timeout=120_000)
    heard, seen = page.evaluate("[heard, seen]")
    messages = [(at, json.loads(data)) for at, data in heard]
    offset_ms = min(at - message["now"] * 1e3 for at, message in messages if "now" in message)
    motions = [motion for _, message in messages for motion in message.get("motions", [])]
    number = {motion["request"]: motion["number"] for motion in motions if motion["kind"] == "order" and "t0" in motion}
    shown = {
        f"{number[motion['request']]}/{motion['index'] + 1}": motion["t"]
        for motion in motions
        if motion["kind"] == "token"
    }
    return [(seen[key] - offset_ms) / 1e3 - t for key, t in shown.items() if key in seen and not key.endswith("/1")]


def main() -> None:
    with open_lab() as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        window = browser.new_context(viewport={"width": 1280, "height": 900})
        for visit in ("cold", "warm", "warm"):
            page = window.new_page()
            began = time.monotonic()
            page.goto(lab.url, wait_until="commit")  # the load event waits for what the kitchen does not need
            page.locator(".sk-work[data-mode=prefill], .sk-work[data-mode=decode]").first.wait_for()
            print(f"{visit} page to a moving kitchen: {time.monotonic() - began:.2f} s")  # noqa: T201
            page.close()
        page = window.new_page()
        page.add_init_script(WATCH)
        lags = lags_s(page, lab)
        spread = Spread.of(lags)
        print(f"{len(lags)} tokens, event to pixel: p50 {spread.p50 * 1e3:.0f} ms, p90 {spread.p90 * 1e3:.0f} ms")  # noqa: T201
        print(f"p95 {sorted(lags)[int(0.95 * len(lags))] * 1e3:.0f} ms, max {spread.max * 1e3:.0f} ms")  # noqa: T201
        browser.close()


if __name__ == "__main__":
    main()

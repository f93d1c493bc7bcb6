"""The page: a round by keyboard alone, kept in its address, and what it sends refused where it is nothing."""

import json
import re
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import Browser, Page, expect

from lab.ui.assets import asset
from tests.lab.conftest import ROOT, Lab
from tests.lab.looks import faults, wear
from tests.patience import PATIENCE_S

ROUND = "play?level=1&seed=1&pace=recorded"
MOST_PRESSES = 60


def sent(lab: Lab, body: bytes) -> tuple[int, bytes]:
    asked = urllib.request.Request(f"{lab.url}/lab/play", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def test_its_menu_is_that_of_all_pages() -> None:
    """It is drawn without Streamlit, so it has a menu of its own."""
    script = (ROOT / "lab/web/navigation.py").read_text()
    pages = re.findall(r'title="([^"]+)", url_path="([^"]+)"(?!, visibility)', script)
    ours = re.search(r"<nav.*?</nav>", asset("play.html"))
    assert ours
    assert sorted(re.findall(r'href="./([^"]+)"', ours[0])) == sorted(path for _, path in pages)
    assert all(f">{title}</a>" in ours[0] for title, _ in pages)


@pytest.mark.live
def test_what_is_sent_is_answered_or_refused(lab: Lab) -> None:
    status, body = sent(lab, b"{}")
    told = json.loads(body)
    assert (status, told["why"]) == (200, "")
    assert told["answer"]["buttons"]
    status, body = sent(lab, b'{"moves": ["9"]}')
    assert status == 409
    assert json.loads(body)["why"].endswith("each of them once.")
    assert sent(lab, b'{"level": 9}')[0] == 409
    assert sent(lab, b'{"pace": "no such"}')[0] == 409
    assert sent(lab, b'{"level": "one"}')[0] == 400
    assert sent(lab, b"[" * 100_000)[0] == 413
    assert lab.get("/play?level=one")[0] == 200
    assert lab.get("/lab/play/card?level=one")[0] == 409
    assert lab.get("/lab/play/card?moves=p")[0] == 409


@pytest.mark.live
@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_round_is_played_by_keyboard_and_survives_a_reload(lab: Lab, browser: Browser, width: int) -> None:
    with browser.new_context(viewport={"width": width, "height": 844}, reduced_motion="reduce") as window:
        page = window.new_page()
        page.goto(f"{lab.url}/{ROUND}")
        moves, result = page.locator(".move"), page.locator("#result h2")
        expect(moves.first).to_be_visible()
        first = now(page)
        press(page, "3")
        second = now(page)
        page.goto(f"{page.url}.99")  # one move more, which cannot be made
        expect(page.locator("#why")).to_contain_text("each of them once")
        assert now(page) == first
        page.go_back()
        expect(moves.first).to_be_visible()
        assert now(page) == second
        press(page, "u")
        assert now(page) == first
        press(page, "3")
        assert now(page) == second
        page.reload()
        expect(moves.first).to_be_visible()
        assert now(page) == second
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for scheme in ("light", "dark"):
            wear(page, scheme)
            assert faults(page) == []
        for _ in range(MOST_PRESSES):
            if result.is_visible():
                break
            press(page, "1")
        expect(result).to_be_focused()
        expect(page.locator("[data-watch=best]")).to_be_visible()  # once the search is over
        page.reload()
        expect(page.locator("[data-watch=best]")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for scheme in ("light", "dark"):
            wear(page, scheme)
            assert faults(page) == []
        page.locator("[data-watch=best]").click()
        expect(page.locator(".sk-kitchen")).to_have_count(2)
        page.locator("[data-do=what-if]").click()
        expect(moves.first).to_be_visible()


@pytest.mark.live
@pytest.mark.browser
def test_a_key_that_repeats_makes_no_move_before_the_step_is_drawn(lab: Lab, browser: Browser) -> None:
    with browser.new_context(viewport={"width": 1280, "height": 844}) as window:
        page = window.new_page()
        page.goto(f"{lab.url}/{ROUND}")
        moves = page.locator("#moves")
        expect(moves.locator(".move").first).to_be_visible()
        expect(moves).not_to_have_attribute("data-drawing", "")
        page.evaluate(
            """() => new MutationObserver(([{ target }], watching) => {
              if (!target.hasAttribute("data-drawing")) return;
              watching.disconnect();
              window.pressed = true;
              document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "1", bubbles: true }));
            }).observe(document.getElementById("moves"), { attributes: true })"""
        )
        press(page, "1")
        page.wait_for_function("window.pressed")
        expect(moves).not_to_have_attribute("data-drawing", "")
        assert page.url.split("moves=")[1] == "p"
        press(page, "1")
        assert page.url.split("moves=")[1].startswith("p.")


def now(page: Page) -> str:
    """What can be done, and what has come of the round."""
    return f"{page.locator('#hand').inner_text()}"


def press(page: Page, key: str) -> None:
    """The move of that number; the page has heard the answer when its address is another."""
    before = page.url
    page.keyboard.press(key)
    page.wait_for_function("before => location.href !== before", arg=before)


@pytest.mark.live
@pytest.mark.browser
def test_against_a_clock_the_first_move_is_made_when_the_time_is_up(lab: Lab, browser: Browser) -> None:
    with browser.new_context(viewport={"width": 1280, "height": 844}, reduced_motion="reduce") as window:
        page = window.new_page()
        page.clock.install()
        page.goto(f"{lab.url}/{ROUND}")
        moves, left = page.locator(".move"), page.locator("#left")
        expect(moves.first).to_be_visible()
        page.locator("#clock").select_option("5")
        expect(left).to_be_hidden()
        page.clock.run_for(20_000)
        assert "moves=" not in page.url, "nothing runs before the first move"
        page.keyboard.press("Tab")  # out of the field
        press(page, "3")
        expect(left).to_contain_text("5 s, then: ")
        expect(page.locator("[data-do=undo]")).to_be_disabled()
        wear(page, "light")
        assert faults(page) == []
        first, before = moves.first.get_attribute("data-move"), page.url
        page.clock.run_for(4_000)
        assert page.url == before
        page.clock.run_for(2_000)
        page.wait_for_function("before => location.href !== before", arg=before)
        assert page.url.endswith(f".{first}")
        assert "clock=5" in page.url
        page.reload()
        expect(left).to_be_visible()


@pytest.mark.live
@pytest.mark.browser
def test_whoever_comes_from_a_lesson_finds_back(lab: Lab, browser: Browser) -> None:
    with browser.new_context() as window:
        page = window.new_page()
        page.goto(f"{lab.url}/{ROUND}&from=one-station")
        back = page.get_by_role("link", name="Back to lesson 3")
        expect(back).to_be_visible()
        page.get_by_role("button", name="Other orders").click()
        page.wait_for_url("**from=one-station**")
        back.click()
        page.wait_for_url("**/one-station")
        page.goto(f"{lab.url}/{ROUND}&from=no-lesson")
        expect(page.locator(".move").first).to_be_visible()
        expect(page.locator("#beside")).to_be_hidden()


@pytest.mark.live
def test_the_round_of_a_class_is_for_its_members(lab: Lab) -> None:
    """Everybody else comes to the page on which one joins."""
    asked = urllib.request.Request(f"{lab.url}/play?room=ABCDE", headers={"Accept": "text/html"})
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        assert answer.url == f"{lab.url}/join?room=ABCDE"

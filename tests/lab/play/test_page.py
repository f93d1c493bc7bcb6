"""The page: a round by keyboard alone, kept in its address, and what it sends refused where it is nothing."""

import json
import re
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from lab.ui.assets import asset
from tests.lab.conftest import ROOT, Lab
from tests.lab.looks import SEEK, faults, wear
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
        expect(page.locator("#asks")).to_contain_text("Here you chose: ")
        expect(page.locator("[data-advised]")).to_have_count(1)
        page.keyboard.press("1")
        expect(page.locator("#asks")).to_be_empty()


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
        assert page.url.split("moves=")[1] == "pp"
        press(page, "1")
        assert page.url.split("moves=")[1].startswith("pp.")


@pytest.mark.live
@pytest.mark.browser
@pytest.mark.parametrize("level", [1, 2])
def test_on_a_phone_the_moves_cover_no_plate_and_say_all_that_they_are(lab: Lab, browser: Browser, level: int) -> None:
    """Also on a short one, whose browser has its bars up."""
    for height in (844, 664):
        with browser.new_context(viewport={"width": 390, "height": height}, reduced_motion="reduce") as window:
            page = window.new_page()
            page.goto(f"{lab.url}/play?level={level}&seed=1&pace=recorded")
            labels = page.locator(".move > span")
            expect(labels.first).to_be_visible()
            assert page.locator("#asks").inner_text().endswith("to begin.")
            for move in range(6):
                if move or level == 1:  # of two stations, one above the other, the opening shows one
                    page.wait_for_function(f"() => ({HIDDEN})().length === 0")
                if page.locator("#result").is_visible():
                    break
                assert all(len(said.split()) >= 2 for said in labels.all_inner_texts())
                acts = kinds(page)
                press(page, f"{acts.index('whole') + 1 if 'whole' in acts else 1}")


def kinds(page: Page) -> list[str]:
    """Of the moves, in their order."""
    found: list[str] = page.locator(".move").evaluate_all("all => all.map((one) => one.dataset.kind)")
    return found


# plates that lie in part behind the moves
HIDDEN = """() => [...document.querySelectorAll("#scene .sk-plate")]
  .filter((one) => one.getBoundingClientRect().bottom > document.getElementById("hand").getBoundingClientRect().top + 1)
  .map((one) => one.textContent)"""


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
def test_a_replay_counts_a_wait_while_it_lasts(lab: Lab, browser: Browser) -> None:
    """All prompts are prepped whole: for over a second the first answer gets no token, and no gap has ended yet."""
    with browser.new_context(reduced_motion="reduce") as window:
        page = window.new_page()
        page.goto(f"{lab.url}/{ROUND}&moves=2.3")
        expect(page.locator("[data-watch=best]")).to_be_visible()
        stall = page.locator(".sk-chip").filter(has_text="Longest stall")
        stall.scroll_into_view_if_needed()  # out of sight nothing is drawn
        expect(stall).to_contain_text("order 1, at")
        page.evaluate(SEEK, 400)  # of a thousand
        expect(stall).to_contain_text("order 1, now")
        expect(page.locator(".sk-chip").filter(has_text="Token gap")).to_contain_text("–")


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
@pytest.mark.browser
def test_what_a_search_takes_holds_up_no_button(lab: Lab, browser: Browser) -> None:
    with browser.new_context(reduced_motion="reduce") as window:
        page = window.new_page()
        asks: list[Route] = []
        page.route(
            "**/lab/play",
            lambda one: asks.append(one) if '"best"' in (one.request.post_data or "") else one.continue_(),
        )
        page.goto(f"{lab.url}/{ROUND}")
        expect(page.locator(".move").first).to_be_visible()
        for _ in range(MOST_PRESSES):
            if page.locator("#result h2").is_visible():
                break
            press(page, "1")
        expect(page.get_by_text("Looking for the best schedule")).to_be_visible()
        assert asks
        page.get_by_role("button", name="The same orders again").click()
        expect(page.locator(".move").first).to_be_visible()
        asks[0].continue_()
        page.wait_for_load_state("networkidle")
        expect(page.locator("#result")).to_be_hidden()


@pytest.mark.live
def test_the_round_of_a_class_is_for_its_members(lab: Lab) -> None:
    """Everybody else comes to the page on which one joins."""
    asked = urllib.request.Request(f"{lab.url}/play?room=ABCDE", headers={"Accept": "text/html"})
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        assert answer.url == f"{lab.url}/join?room=ABCDE"

"""The picture of a moment is a function of the log and the time: however one gets there, and however it was heard."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from playwright.sync_api import Browser, Page

from engine.events import StepStarted
from engine.link import LinkSpec
from engine.router import Output
from engine.scenario import KINDS, Kind
from lab.scene.bundle import SCENE
from lab.scene.export_html import kitchen
from lab.scene.motions import Motions, motions
from lab.scene.recordings import recorded
from lab.scene.spans import Motion
from tests.lab.fake_kitchen import Kitchen, cook, requests

# A scene's elements, whatever the order of their attributes, without what depends on how many scenes there have been.
SHOWN = """
const told = (node) => node.nodeType === 3 ? node.data
  : `<${node.tagName}${[...node.attributes].map((one) => ` ${one.name}="${one.value}"`).sort().join("")}>`
    + [...node.childNodes].map(told).join("") + `</${node.tagName}>`;
const differ = (t, a, b) => {
  let n = 0;
  while (a[n] === b[n]) n += 1;
  return [t, a.slice(Math.max(0, n - 120), n + 120), b.slice(Math.max(0, n - 120), n + 120)];
};
globalThis.scene = (kitchens) => {
  const place = document.createElement("div");
  document.body.append(place);
  const made = createKitchens(place);
  made.update({ kitchens, can: [] });
  if (made.stage.clock.playing) made.stage.toggle();
  const shown = () => [...place.querySelectorAll(".sk-inner, .sk-told")].map(told).join("")
    .replace(/sk-\\d+-\\d+-/g, "");
  const go = (t) => { made.stage.seek(t); made.stage.draw(); };
  return { shown, go, at: (t) => { go(t); return shown(); },
    playing: () => made.stage.clock.playing, stop: () => made.stage.toggle(), edge: made.stage.edge,
    gone: () => { made.destroy(); place.remove(); } };
};
"""
# Played from the start in steps of a frame, against going there and back in any order.
COMPARED = """([kitchens, shares]) => {
  const played = scene(kitchens), scrubbed = scene(kitchens), end = played.edge(), wrong = [];
  const times = shares.map((share) => share * end), seen = new Map();
  for (const t of times) seen.set(t, scrubbed.at(t));
  let t = 0;
  for (const next of [...times].sort((a, b) => a - b)) {
    for (; t < next; t += end / 25) played.go(t);
    const shown = played.at(next);
    if (shown !== seen.get(next)) wrong.push(differ(next, shown, seen.get(next)));
  }
  for (const one of [...times].reverse()) {
    const shown = scrubbed.at(one);
    if (shown !== seen.get(one)) wrong.push(differ(one, shown, seen.get(one)));
  }
  played.gone();
  scrubbed.gone();
  return wrong;
}"""
# Heard message by message over a socket, against all of it at once.
HEARD = """([kitchen, updates, shares, before]) => {
  let line;  // the socket's end in the page, without a lab at the other one
  globalThis.WebSocket = class {
    static OPEN = 1;
    readyState = 1;
    constructor() { line = this; }
    close() {}
  };
  const over = { data: '{"over": true}' }, stream = "/lab/ws?run=1", wrong = [];
  const whole = scene([{ ...kitchen, stream }]);
  line.onmessage(over);
  const heard = scene([{ ...kitchen, stream, motions: [] }]);
  if (before.length) {  // the stream has begun with another run
    line.onmessage({ data: JSON.stringify({ seq: before.length, now: 1, motions: before }) });
    line.onmessage({ data: '{"over": true, "more": true}' });
    line.onmessage({ data: JSON.stringify({ kitchen: { ...kitchen, motions: [] } }) });
    if (!heard.playing()) wrong.push("the next run is not followed");
    heard.stop();
  }
  for (let n = 0; n < updates.length; n += 7) {
    line.onmessage({ data: JSON.stringify({ seq: n + 1, motions: updates.slice(n, n + 7) }) });
  }
  line.onmessage(over);
  for (const share of shares) {
    const t = share * whole.edge(), [a, b] = [whole.at(t), heard.at(t)];
    if (a !== b) wrong.push(differ(t, a, b));
  }
  whole.gone();
  heard.gone();
  return wrong;
}"""

# The line on the belt's slider, as a share of its width; and what the slider says of itself.
MARKED = """([kitchens, ceiling]) => {
  const place = document.createElement("div");
  document.body.append(place);
  const made = createKitchens(place);
  made.update({ kitchens, can: ["link"], links: [1e6, 1e10], ceiling });
  made.stage.draw();
  const line = place.querySelector(".ceiling")?.getBoundingClientRect(),
    belt = place.querySelector(".wedge").getBoundingClientRect(),
    says = place.querySelector(".sk-link").getAttribute("aria-valuetext");
  made.destroy();
  place.remove();
  return [line ? (line.x - belt.x) / belt.width : null, says];
}"""

shares = st.lists(st.floats(0, 1), min_size=2, max_size=6, unique=True)


def suffer(fault: str, worker: int, order: int, kitchen: Kitchen) -> Iterable[Output]:
    if fault == "kill":
        return kitchen.kill(f"worker-{worker}")
    if fault == "cancel":
        return kitchen.router.cancel(f"r{order}", kitchen.t)
    return kitchen.router.set_link(LinkSpec(5e6, 0.002), kitchen.t)


@st.composite
def evenings(draw: st.DrawFn) -> tuple[Kind, list[Any]]:
    """A kitchen of any kind and size, a link of any width, and whatever may go wrong."""
    kind: Kind = draw(st.sampled_from(KINDS))
    workers = draw(st.integers(2, 5))
    faults = draw(st.lists(st.tuples(st.floats(0.1, 5), st.sampled_from(["kill", "cancel", "link"])), max_size=3))
    orders = draw(st.integers(1, 16))

    def happen(kitchen: Kitchen) -> None:
        for n, (t, fault) in enumerate(faults):
            kitchen.at(t, partial(suffer, fault, n % workers, n, kitchen))

    link = LinkSpec(draw(st.sampled_from([1e6, 20e6, 2e9])), 0.001)
    load = requests(orders, every_s=draw(st.floats(0.02, 0.5)))
    return kind, cook(
        kind,
        load,
        workers=workers,
        prefill_workers=draw(st.integers(1, workers - 1)),
        link=link,
        happenings=happen,
    )


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page.set_content("<!doctype html><html lang=en><base href=http://lab.invalid/><body></body></html>")
    page.add_script_tag(content=SCENE.replace("export default", "").replace("export ", "") + SHOWN)
    yield page
    page.close()


def as_told(log: list[Any]) -> list[Motion]:
    """A run's motions as they come one by one."""
    fold = Motions().fold
    return [update for event in log for update in fold(event)]


calm = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.browser
@calm
@given(evenings(), shares)
def test_scrubbing_is_playing(page: Page, evening: tuple[Kind, list[Any]], shares: list[float]) -> None:
    kind, log = evening
    other = cook("colocated", requests(3))
    for kitchens in ([kitchen(log, kind)], [kitchen(log, kind), kitchen(other, "other", id="b")]):
        assert page.evaluate(COMPARED, [kitchens, shares]) == []


@pytest.mark.browser
@calm
@given(evenings(), shares)
def test_a_run_that_is_watched_is_the_run_that_is_replayed(
    page: Page, evening: tuple[Kind, list[Any]], shares: list[float]
) -> None:
    """Also where the same stream told of another run before."""
    kind, log = evening
    for before in ([], as_told(cook("colocated", requests(2)))):
        assert page.evaluate(HEARD, [kitchen(motions(log), kind), as_told(log), shares, before]) == []


# From one picture to the next: what differs from drawing it at once, and how many nodes each had made.
PATCHED = """(pictures) => {
  const tree = (kid) => typeof kid === "string" ? kid
    : h(kid.tag, { class: kid.name, key: kid.key ?? undefined }, kid.kids?.map(tree));
  const place = document.createElement("div"), put = canvas(place), wrong = [], counts = [];
  for (const kids of pictures) {
    const whole = h("g", {}, kids.map(tree)), before = place.firstChild ? [...place.firstChild.childNodes] : [];
    put(whole);
    const now = [...place.firstChild.childNodes], fresh = mount(whole).node;
    if (told(place.firstChild) !== told(fresh)) wrong.push([told(place.firstChild), told(fresh)]);
    counts.push(now.filter((node) => !before.includes(node)).length);
  }
  return [wrong, counts];
}"""
kid = st.one_of(
    st.sampled_from(["a word", "another"]),
    st.builds(
        lambda tag, name, key: {"tag": tag, "name": name, "key": key},
        st.sampled_from(["rect", "path", "g"]),
        st.sampled_from(["lit", "lit prep", "dark"]),
        st.none(),
    ),
)
keyed = st.lists(st.sampled_from("abcde"), unique=True).map(lambda keys: [{"tag": "g", "key": key} for key in keys])
pictures = st.lists(
    st.tuples(st.lists(kid, max_size=6), keyed, st.lists(kid, max_size=3)).map(
        lambda parts: [*parts[0], *parts[1], *parts[2]]
    ),
    min_size=2,
    max_size=5,
)


@pytest.mark.browser
@settings(calm, max_examples=60)
@given(pictures)
def test_a_picture_does_not_depend_on_the_one_before_it(page: Page, pictures: list[Any]) -> None:
    wrong, _ = page.evaluate(PATCHED, pictures)
    assert wrong == []


@pytest.mark.browser
def test_what_comes_or_goes_leaves_its_neighbours_alone(page: Page) -> None:
    """Else a note on the wall has the whole room behind it drawn from the start, in the middle of a frame."""
    room = [
        {"tag": tag, "name": name} for tag, name in [("rect", "wall"), ("g", "hood"), ("text", "t13"), ("g", "cook")]
    ]
    note, plate = {"tag": "text", "name": "note"}, {"tag": "g", "key": "plate"}
    shown = [room, [note, *room], room, [room[0], *room[2:], note], [*room, plate], [plate, *room], room]
    wrong, made = page.evaluate(PATCHED, shown)
    assert wrong == []
    assert made == [4, 1, 0, 1, 2, 0, 0]


# An answer of few words at many widths, down to where its longest word must be squeezed: the words that are not whole.
BROKEN = """([tokens, longest]) => {
  const wrong = [], known = new Set(tokens.join("").split(" "));
  for (let width = Math.ceil(widthOf(longest, 12.5) / SQUEEZE); width < 200; width += 1) {
    const { lines, last } = wrapped({ tokens: tokens.map((text) => ({ text })) }, tokens.length, width);
    wrong.push(...[...lines, last].flatMap((line) => line.split(" ")).filter((word) => !known.has(word)));
  }
  return wrong;
}"""


@pytest.mark.browser
def test_an_answer_is_broken_between_its_words(page: Page) -> None:
    assert page.evaluate(BROKEN, [["All", " inform", "ation", ".", " Then"], "information."]) == []
    assert page.evaluate(BROKEN, [["inform", "ation", "."], "information."]) == []


@pytest.mark.browser
@pytest.mark.parametrize("dish", [20, 31, 40])
def test_a_plate_counts_its_tokens_out_of_all(page: Page, dish: int) -> None:
    says = page.evaluate(
        """(dish) => [7, 94, 100, 128].map((made) => {
          const order = { request: "r1", tokens: [] }, spot = { x: 0, y: 0, w: 190, h: 2 * dish, dish };
          return mount(plateOf({}, spot, { made, max: 128, number: 1, order }, {})).node.textContent;
        })""",
        dish,
    )
    assert ["/128" in text for text in says] == [True] * 4


# Words on the wall that lie behind a cook, in two kitchens side by side.
BEHIND_A_COOK = """([kitchens, t]) => {
  const one = scene(kitchens);
  one.go(t);
  const words = [...document.querySelectorAll(".writing text")].map((node) => node.getBoundingClientRect()),
    cooks = [...document.querySelectorAll(".cook")].map((node) => node.getBoundingClientRect());
  const wide = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left),
    high = (a, b) => Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top),
    crossed = words.filter((a) => cooks.some((b) => wide(a, b) > 3 && high(a, b) > 0));
  one.gone();
  return [words.length, crossed.length];
}"""


@pytest.mark.browser
@pytest.mark.parametrize("workers", [2, 3])
def test_what_is_written_on_the_wall_stands_beside_the_cook(page: Page, workers: int) -> None:
    """A decode step that takes a second longer holds up every plate of its line."""
    log = cook("disaggregated", requests(6, every_s=0.1), workers=workers)
    step = [event for event in log if isinstance(event, StepStarted) and [s.tokens for s in event.plan] == [1, 1]][6]
    late = [event if event.t <= step.t else msgspec.structs.replace(event, t=event.t + 1.0) for event in log]
    drawn = [kitchen(motions(late), "a", id=id) for id in "ab"]
    words, crossed = page.evaluate(BEHIND_A_COOK, [drawn, step.t + 0.9])
    assert words > 0
    assert crossed == 0


@pytest.mark.browser
@pytest.mark.parametrize(
    ("ceiling", "share", "says"), [(1e8, 0.5, "carries 100 MB/s at most"), (5e9, 0.92, ""), (None, None, "")]
)
def test_what_the_road_carries_is_marked_on_the_belt_s_slider(
    page: Page, ceiling: float | None, share: float | None, says: str
) -> None:
    log = cook("disaggregated", requests(2), link=LinkSpec(1e9, 0.001))
    marked, said = page.evaluate(MARKED, [[kitchen(log, "disaggregated")], ceiling])
    assert marked == (share if share is None else pytest.approx(share, abs=0.02))
    assert said.partition(", ")[2] == says, "the link that is set is about 1 GB/s"


# Words that lie on other words, or beyond the room, at eight moments of a run.
OVERLAPS = """(kitchens) => {
  const one = scene(kitchens), wrong = [];
  for (let n = 1; n < 9; n += 1) {
    one.go((n / 9) * one.edge());
    const scene = document.querySelector(".sk-scene"),  // not a still below it, which shows a part of a room
      room = scene.getBoundingClientRect(),
      words = [...scene.querySelectorAll("text")].map((node) => [node.textContent, node.getBoundingClientRect()])
        .filter(([says, at]) => says.trim() && at.width);
    words.forEach(([says, a], i) => {
      if (a.left < room.left - 1 || a.right > room.right + 1) wrong.push([says, "the room"]);
      for (const [other, b] of words.slice(i + 1)) {
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left),
          high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 1.5 && high > 5) wrong.push([says, other]);
      }
    });
  }
  one.gone();
  return wrong;
}"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 390, 640, 1280])
def test_no_words_in_a_room_lie_on_others(page: Page, width: int) -> None:
    """Also on a small phone, at twice the size, and with three-digit orders on a floor of tiles."""
    many = cook("disaggregated", requests(130, every_s=0.02), workers=12, prefill_workers=8)
    page.set_viewport_size({"width": width, "height": 900})
    try:
        for kind in KINDS:
            assert page.evaluate(OVERLAPS, [kitchen(recorded(kind).events, kind)]) == []
        assert page.evaluate(OVERLAPS, [kitchen(many, "many")]) == []
    finally:
        page.set_viewport_size({"width": 1280, "height": 900})

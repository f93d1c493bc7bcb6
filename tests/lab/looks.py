"""How a page looks: in which colours, and what axe finds wrong with it."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

WCAG_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
WORN = """scheme => [...document.querySelectorAll(".stApp")].every(one => getComputedStyle(one).colorScheme === scheme)
  && document.getAnimations().every((one) => one.playState !== "running"
    || one.effect.getComputedTiming().endTime === Infinity)"""


def wear(page: Page, scheme: str) -> None:
    """The page in these colours, once nothing fades any more: what does, has whatever contrast."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.wait_for_function(WORN, arg=scheme)
    # A kitchen hears of it only with the browser's next frame. A locator looks into shadow roots as well.
    expect(page.locator(f".sk[data-theme]:not([data-theme={scheme}])")).to_have_count(0)


def faults(page: Page, *more: str, within: str | None = None) -> list[tuple[str, list[str]]]:
    """Rules that are broken, and the first elements that break them. `more`: tags of rules beside WCAG's; `within`: a
    selector of what is ours, where the page around it is not."""
    expect(page.locator("[data-stale=true]")).to_have_count(0)  # Streamlit pales what it draws again
    # To describe all that is as it should be would take axe as long again as the rules.
    options = {"runOnly": [*WCAG_AA, *more], "resultTypes": ["violations"]}
    broken = Axe().run(page, context=within, options=options).response["violations"]
    return [(rule["id"], [node["html"][:200] for node in rule["nodes"][:3]]) for rule in broken]


# axe does not look at drawn text: contrast with what is painted behind it, size of text and of targets, and words that
# lie on each other, over everything that is shown. The window must be as high as the page: the browser is asked what
# lies at a point.
SIGHT = """() => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data];
  };
  const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const opacity = (node) => (node instanceof Element ? getComputedStyle(node).opacity * opacity(node.parentNode) : 1);
  const behind = (node, box) => {
    const all = document.elementsFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    const at = all.findIndex((one) => one === node || node.contains(one));
    if (at < 0) return null; // scrolled out of sight
    const below = all.slice(node instanceof SVGElement ? at + 1 : at).reverse();
    let seen = [255, 255, 255];
    for (const one of below) {
      const style = getComputedStyle(one), drawn = one instanceof SVGElement;
      if (drawn && (one.matches("text, tspan, svg, g") || /^(none|url)/.test(style.fill))) continue;
      const colour = rgba(drawn ? style.fill : style.backgroundColor), share = colour[3] / 255 * opacity(one);
      seen = seen.map((v, n) => v * (1 - share) + colour[n] * share);
    }
    return seen;
  };
  const picture = (node) => node.closest(".sk-xray") || node.ownerSVGElement; // one timeline is drawn in layers
  const wrong = [], boxes = [];
  for (const node of document.querySelectorAll(".sk *")) {
    const box = node.getBoundingClientRect(), style = getComputedStyle(node);
    if (!box.width || style.visibility === "hidden" || node.closest(".sk-hidden, style")) continue;
    const control = node.matches("button, input, summary");
    if (control && (box.width < 24 || box.height < 24)) wrong.push(["small target", node.className]);
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
    const drawn = node instanceof SVGElement;
    const shown = document.elementsFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    if (drawn && !shown.some((one) => node.contains(one) || (one.matches("text") && one.contains(node))))
      continue; // of what is drawn twice, for the past and for what is to come, one is covered
    const seen = behind(node, box);
    if (!seen) continue;
    const [a, b] = [light(rgba(drawn ? style.fill : style.color)), light(seen)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) wrong.push(["contrast", contrast.toFixed(2), node.textContent]);
    if (parseFloat(style.fontSize) < 12) wrong.push(["small text", style.fontSize, node.textContent]);
    if (drawn && !node.closest(".next, .ticket")) boxes.push([node, box]);
  }
  for (const [n, [one, a]] of boxes.entries()) for (const [other, b] of boxes.slice(n + 1)) {
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 2 && high > 5 && !one.contains(other) && picture(one) === picture(other))
      wrong.push(["overlap", one.textContent, other.textContent]);
  }
  return wrong;
}"""
# What a frame draws may change widths, and those the next frame: after six, nothing does any more.
SEEK = """async t => {
  const scrub = document.querySelector(".sk-scrub");
  scrub.value = t;
  scrub.dispatchEvent(new Event("input"));
  for (let frames = 6; frames; frames--) await new Promise(requestAnimationFrame);
}"""

"""How a page looks: in which colours, and what axe finds wrong with it."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WCAG_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
WORN = """scheme => getComputedStyle(document.querySelector(".stApp")).colorScheme === scheme
  && document.getAnimations().every((one) => one.playState !== "running"
    || one.effect.getComputedTiming().endTime === Infinity)"""


def wear(page: Page, scheme: str) -> None:
    """Streamlit's page in these colours, once nothing fades any more: what does, has whatever contrast."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.wait_for_function(WORN, arg=scheme)


def faults(page: Page, *more: str) -> list[tuple[str, list[str]]]:
    """Rules that are broken, and the first elements that break them. `more`: tags of rules beside WCAG's."""
    # To describe all that is as it should be would take axe as long again as the rules.
    options = {"runOnly": [*WCAG_AA, *more], "resultTypes": ["violations"]}
    broken = Axe().run(page, options=options).response["violations"]
    return [(rule["id"], [node["html"][:200] for node in rule["nodes"][:3]]) for rule in broken]

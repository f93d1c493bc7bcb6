"""A `RoundView` as HTML without scripts: the parts that the pages of a class are made of. No Streamlit."""

from html import escape

from lab.course.chart_html import drawn_html
from lab.course.known import Tested
from lab.course.moments_html import moments_html
from lab.course.once import OnceFor
from lab.course.view import Locked, Reveal, RoundView
from lab.ui.markdown import to_html
from lessons.lesson import AsCook, Round

shown_html = OnceFor(lambda chart, asked: drawn_html(asked, chart))  # what the runs show, the same for everybody
MARKS = {"right": "✓", "close": "≈", "off": "✗", "": ""}


def told_html(view: RoundView) -> str:
    """What a voter has to know."""
    chosen = f"<p><strong>{escape(view.chosen)}</strong></p>" if view.chosen else ""
    return chosen + to_html(view.tells)


def opening_html(view: RoundView) -> str:
    """A lesson's opening, folded; empty if it has none."""
    return folded("What to know first", to_html(view.opening)) if view.opening else ""


def locked_html(own: Locked) -> str:
    """What was guessed, how sure, when and why."""
    because = f"<br><small>Because: {escape(own.reason)}</small>" if own.reason else ""
    said = f"<strong>Your guess: {escape(own.value)}</strong> · {escape(own.confidence)} · locked {escape(own.at)}"
    return f'<p class="own">{said}{because}</p>'


def headline_html(found: Reveal) -> str:
    """The answer in one sentence, which the page moves to."""
    mark = f'<span aria-hidden="true">{MARKS[found.word]}</span> ' if found.word else ""
    return f'<h2 tabindex="-1" data-arrive>{mark}{escape(found.headline)}</h2>'


def reveal_html(asked: Round, found: Reveal, at: str) -> str:
    """Guess, measurement, explanation, what decided the runs, and claims. `at`: as `moments_html` takes it."""
    parts = [drawn_html(asked, found.chart)]
    if found.unclear:
        parts.append(f"<p>The runs at hand could not tell: {escape(found.unclear)}</p>")
    parts.append(to_html(found.explains))
    if found.explains and found.one_of > 1:
        parts.append("<p><small>These are the numbers of one run, the one that has the measured value.</small></p>")
    if found.shows is not None:
        parts.append(shown_html(found.shows, asked))
    parts.append(moments_html(asked, found, at))
    if found.cook is not None:
        parts.append(cook_html(found.cook))
    parts += map(claim_html, found.claims)
    if found.made:
        parts.append(f"<p><small>{escape(found.made)}</small></p>")
    limits = to_html(found.limits) + (f"<p>{escape(found.noise)}</p>" if found.noise else "")
    parts.append(folded("What this shows and what it does not", limits))
    return "".join(parts)


def cook_html(cook: AsCook, slug: str = "") -> str:
    """The way into the game, and by the lesson's `slug` back to it."""
    address = f"play?level={cook.level}&seed={cook.seed}" + (f"&from={slug}" if slug else "")
    return f'<p>{escape(cook.says)} <a class="ch-go" target="_self" href="{escape(address)}">Be the cook</a></p>'


def claim_html(claim: Tested) -> str:
    """A claim and whether it holds here."""
    if claim.holds is None:
        how, mark = "The repeats disagree:", "?"
    else:
        how, mark = (f"Holds {claim.where}:", "✓") if claim.holds else (f"Not so {claim.where}:", "✗")
    says = to_html(claim.says).removeprefix("<p>").removesuffix("</p>\n")
    return f'<p><span aria-hidden="true">{mark}</span> <strong>{escape(how)}</strong> {says}</p>'


def folded(label: str, inside: str) -> str:
    """HTML that opens at a click."""
    return f"<details><summary>{escape(label)}</summary>{inside}</details>"

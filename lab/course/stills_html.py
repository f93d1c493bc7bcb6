"""Three stills of the kitchen, hung on the seconds of the run that they show: as HTML in which the scene's module draws
them (`assets/kitchen/stills.js`). Where no script runs, their words stand there alone.
"""

from html import escape
from typing import NamedTuple

from lab.course.chart_html import Scale
from lab.scene.decisive import Decisive
from lab.scene.stills import Hung


class Still(NamedTuple):
    """The kitchen `at` seconds of the run, or at its end. `guessed`: a learner has said so; nothing happened then."""

    at: float
    title: str
    says: str
    guessed: bool = False


def stills(run: Decisive, hung: Hung, said: float | None = None) -> list[Still]:
    """The last token, what came between and when it went on, as they follow each other. `said`: when a learner thought
    that it would."""
    order, until = f"order {hung.order}", run.last_token + run.longest_s
    count = f"token {hung.made} of {hung.most}"
    last = Still(run.last_token, "The last token before it", f"{order}: {count}")
    if not hung.made:
        last = Still(run.last_token, "The end of its prefill", f"{order}: no token yet")
    if said is None:
        since, end = run.shadow or (run.last_token, until)
        between = Still((since + end) / 2, "In between", "")
    else:
        between = Still(said, "When you thought it would go on", "", guessed=True)
    between = between._replace(
        says=_meanwhile(run, order, between.at, until, over=said is not None and said > hung.over_s)
    )
    went = Still(
        until, "When it went on" if said is None else "When it did", f"{order}: token {hung.made + 1} of {hung.most}"
    )
    return sorted((last, between, went), key=lambda one: one.at)


def _meanwhile(run: Decisive, order: str, at: float, until: float, *, over: bool) -> str:
    if over:
        return "the run was over by then"
    if at >= until:
        return f"{order} had gone on before"
    work = next((one for one in run.work if one.since <= at < one.until), None)
    if work is None:
        return f"{order} waits"
    return f"{work.whose} {'crosses the pass' if run.where == 'the pass' else 'is in prep'}: {work.what}"


def stills_html(hung: Hung, shown: list[Still], at: str = "") -> str:
    """The stills with their words. `at`: below which address a page finds what they are drawn from; "" to have it in
    the HTML."""
    place = f'data-worker="{escape(hung.worker)}"{" data-pass" if hung.by_pass else ""}'
    drawn = "".join(
        f"<figure><figcaption><b>{escape(one.title)}</b> <span>at {one.at:.2f} s</span><br>{escape(one.says)}"
        "</figcaption>"
        f'<div data-at="{min(one.at, hung.over_s):.6f}" {place}></div></figure>'
        for one in shown
    )
    run = f' run="{escape(at)}/{hung.name}"' if at else ""
    data = "" if at else f'<script type="application/json">{hung.run}</script>'
    return f'<kitchen-stills class="mo-stills"{run}>{data}{drawn}</kitchen-stills>'


def leads_html(shown: list[Still], scale: Scale) -> str:
    """From each still to its second of the axis below."""
    leads = (f'<i{_kind(one, "")} style="--n:{n};--at:{_at(one, scale)}"></i>' for n, one in enumerate(shown))
    return f'<div class="mo-leads" aria-hidden="true">{"".join(leads)}</div>'


def lines_html(shown: list[Still], scale: Scale) -> str:
    """The same seconds, down through the rows."""
    return "".join(f'<i{_kind(one, "mo-when")} style="--at:{_at(one, scale)}"></i>' for one in shown)


def _kind(one: Still, name: str) -> str:
    names = " ".join(filter(None, (name, "guessed" if one.guessed else "")))
    return f' class="{names}"' if names else ""


def _at(one: Still, scale: Scale) -> str:
    """A share of the axis; what lies beyond its end stands at the end."""
    return f"{min(1.0, max(0.0, scale(one.at) / 100)):.4f}"

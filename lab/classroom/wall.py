"""What the wall of a class shows at this moment, to be read from ten metres: the question and the way in, then how the
class voted, the run, the answer and why. What only keeps the books is small. Anybody may open it. No Streamlit.
"""

from html import escape
from typing import Any

from lab.classroom.cook_page import STEPS, game_of, wall_parts
from lab.classroom.light import GONE, Page, round_of, stills_at
from lab.classroom.offers import Offer, conditions
from lab.classroom.service import Classroom, topic
from lab.classroom.store import ClassQuestion, Room
from lab.course.moments_html import moments_html
from lab.course.round_html import claim_html, shown_html
from lab.course.view import Reveal
from lab.runs.live_scene import live
from lab.runs.run_feed import Run
from lab.scene.recordings import replayed
from lab.scene.words import TITLES
from lab.ui.markdown import to_html
from lessons.lesson import Lesson, Round

NO_CLASS = (
    "<h1>The projector</h1><p>Open it from the instructor's page, which adds the code of the class to its address.</p>"
)
IN = "<h1>Join the class</h1>"


def wall_of(classroom: Classroom, code: str) -> Page:
    """The wall of the class with that code."""
    room = classroom.actions.room(code)
    if room is None:
        return Page("none", stage="none", parts=(("says", NO_CLASS),))
    if (up := classroom.offers.up(code)) is not None:
        return _offer(classroom, room, up)
    if (game := game_of(classroom, room)) is not None:
        parts = tuple(wall_parts(classroom, room, game))
        return Page(STEPS[game.on], room.code, "Be the cook", parts, stage=STEPS[game.on])
    if room.question is None or room.pace == "free":
        return Page("in", room.code, stage="in", parts=(("heading", IN),))
    if (found := topic(room.question)) is None:
        return Page("gone", room.code, stage="in", parts=(("says", f"<p>{GONE}</p>"),))
    return _question(classroom, room, room.question, *found)


def _offer(classroom: Classroom, room: Room, offer: Offer) -> Page:
    """Live while it runs; a run that is over is replayed from its start. Each kitchen has its name above it."""
    runs = [run for name in offer.runs if (run := classroom.engine.run(name))]
    heading = f"<h1>{escape(conditions([run.scenario for run in runs]))}</h1>"
    kitchens = [_spec(classroom, run) for run in runs]
    return Page(
        f"offer {' '.join(offer.runs)}",
        room.code,
        f"A run of the class, offered by {offer.by}",
        (("heading", heading), ("kitchen", "")),
        stage="offer",
        kitchen={"kitchens": kitchens, "can": []},
    )


def _spec(classroom: Classroom, run: Run) -> dict[str, Any] | None:
    log = classroom.engine.log(run.id)
    if log is None or not run.over:
        return live(run)
    return replayed(TITLES[log.scenario.deployment.kind], log)


def _question(classroom: Classroom, room: Room, at: ClassQuestion, lesson: Lesson, asked: Round) -> Page:
    view = round_of(classroom, room, at, lesson, asked, None, voted=True)
    counts = classroom.counts(room, asked)
    chosen = view.chosen.replace("Your instructor has chosen for everybody", "For everybody")
    if at.open:
        stage, shown = "vote", [("told", "" if at.counts else to_html(view.tells)), ("counts", counts)]
    elif isinstance(view.found, Reveal):
        stage, shown = "answer", [*_answer(room, asked, view.found), ("counts", counts)]
    elif at.running:
        stage, shown = "run", [("kitchen", "")]
    else:
        stage, shown = "talk", [("counts", counts)]
    parts = [("heading", f"<h1>{escape(view.asks)}</h1>"), ("chosen", f"<p>{escape(chosen)}</p>" if chosen else "")]
    return Page(
        f"{lesson.slug} {asked.name} {stage}",
        room.code,
        f"Lesson {lesson.number} · {lesson.title}",
        tuple((name, html) for name, html in [*parts, *shown] if html or name == "kitchen"),
        stage=stage,
    )


def _answer(room: Room, asked: Round, found: Reveal) -> list[tuple[str, str]]:
    """The answer and why; beside it what decided the run, on the run's own seconds."""
    why = to_html(found.explains) + "".join(claim_html(claim) for claim in found.claims if claim.holds is not None)
    chart = shown_html(found.shows, asked) if found.shows is not None else ""
    made = f"<p><small>{escape(found.made)}</small></p>" if found.made else ""
    seen = chart + moments_html(asked, found, stills_at(room)) + made
    return [("found", f"<h2>{escape(found.headline)}</h2>"), ("why", why), ("seen", seen)]

"""What a learner's page of a class shows at this moment: parts of HTML, a form, and a place for the kitchen. No
Streamlit.

The page itself (assets/class.js) is one file of a few kilobytes. It keeps a part as it is for as long as the part says
the same, so that nothing is lost of a form that is being filled in.
"""

from html import escape
from typing import Any

import msgspec

from lab.classroom.cook_page import DISCUSS, STEPS, game_of, learners_parts
from lab.classroom.presence import known_as
from lab.classroom.service import Classroom, topic
from lab.classroom.store import Ballot, ClassQuestion, Refusal, Room
from lab.course.round_html import headline_html, locked_html, opening_html, reveal_html, told_html
from lab.course.view import Form, InClass, Reveal, RoundView, round_view
from lessons.book import Book, Entry, Guess, Outcome, now
from lessons.keys import judged
from lessons.lesson import Lesson, Round

PLACES = ("join", "form", "kitchen")  # parts that are not HTML
GONE = "The class is at a lesson that this lab does not have."


class Asked(msgspec.Struct, frozen=True):
    """The vote that a form is for, as its learner sees it: a vote on anything else is refused."""

    lesson: str
    round: str
    vote: int


class Page(msgspec.Struct, frozen=True, omit_defaults=True):
    """`parts`: (name, HTML) from top to bottom; those in PLACES have none. When `step` is another, the page moves to
    the heading that is marked to be arrived at. `bar`: where one is, and what to do. `kitchen`: what is played there,
    if that is no run of the class's question: those come over the line. `stage`: how a wall is laid out.
    """

    step: str
    room: str = ""
    where: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    form: Form | None = None
    asked: Asked | None = None
    kitchen: dict[str, Any] | None = None
    bar: tuple[str, str] = ("", "")
    stage: str = ""


class Vote(msgspec.Struct, frozen=True):
    """What a page sends."""

    asked: Asked
    guess: Guess


def page_of(classroom: Classroom, learner: str, coming: str = "") -> Page:
    """`coming`: the code in the address, which may be of another class than the learner's."""
    classroom.presence.saw(known_as(learner))
    room = classroom.actions.room_of(learner)
    if room is None or (coming and coming != room.code):
        return Page("join", parts=(("join", ""),))
    if (game := game_of(classroom, room)) is not None:
        parts = (*learners_parts(classroom, room, game, learner), *_below(classroom, learner))
        bar = ("The round is on", "It ends when the instructor says so.") if game.on else ("Over", DISCUSS)
        return Page(STEPS[game.on], room.code, f"Class {room.code} · Be the cook", parts, bar=bar)
    if room.pace == "free" or room.question is None:
        says = "<p>You are in. When the instructor asks a question, <strong>this page</strong> takes you to it.</p>"
        heading = f'<h1 tabindex="-1" data-arrive>Class {escape(room.code)}</h1>'
        parts = (("heading", heading), ("says", says), *_below(classroom, learner))
        does = "Keep this page open, or look at the lessons in the meantime."
        return Page("free", room.code, f"Class {room.code}", parts, bar=("Free roam", does))
    found = topic(room.question)
    if found is None:
        return Page("gone", room.code, f"Class {room.code}", (("says", f"<p>{GONE}</p>"),))
    return _question(classroom, room, learner, room.question, *found)


def _question(classroom: Classroom, room: Room, learner: str, at: ClassQuestion, lesson: Lesson, asked: Round) -> Page:
    own = {vote: classroom.actions.own(room, learner, vote) for vote in (1, 2)}
    view = round_of(classroom, room, at, lesson, asked, own[2] or own[1], voted=own[at.vote] is not None)
    arrives = "" if (at.running or at.answer is not None or at.vote == 2) else " data-arrive"
    parts = [("heading", f'<h1 tabindex="-1"{arrives}>{escape(view.asks)}</h1>')]
    if at.open and at.vote == 2:
        parts.append(("second", '<h2 tabindex="-1" data-arrive>Vote again, after the talk</h2>'))
    told = [("told", told_html(view)), ("opening", opening_html(view))]
    mine = [("locked", locked_html(view.locked))] if view.locked else []
    shown = [("counts", counts)] if (counts := classroom.counts(room, asked)) else []
    if at.open:
        parts += [*(told if at.vote == 1 else []), *mine, ("form", ""), *shown, *(told if at.vote == 2 else [])]
    elif isinstance(view.found, Reveal):
        none = "" if view.locked else "<p>You did not vote on this one.</p>"
        answer = headline_html(view.found) + none
        parts += [
            ("answer", answer),
            *mine,
            ("reveal", reveal_html(asked, view.found, stills_at(room))),
            *shown,
            ("kitchen", ""),
            *told,
        ]
    elif at.running:
        parts += [("run", '<h2 tabindex="-1" data-arrive>The run</h2>'), ("kitchen", ""), *mine, *shown, *told]
    else:
        parts += [*mine, *shown, *told]
    number = lesson.rounds.index(asked) + 1
    return Page(
        step=f"{lesson.slug} {asked.name} {at.vote} {at.counts} {at.running} {at.answer is not None}",
        room=room.code,
        where=f"Class {room.code} · Lesson {lesson.number} · question {number} of {len(lesson.rounds)}",
        parts=(*((name, html) for name, html in parts if html or name in PLACES), *_below(classroom, learner)),
        form=view.form,
        asked=Asked(lesson.slug, asked.name, at.vote) if view.form else None,
        bar=_bar(at, voted=view.form is None),
    )


def _below(classroom: Classroom, learner: str) -> list[tuple[str, str]]:
    """The learner's offer to the wall, if there is one, and the way out."""
    parts = []
    if (mine := classroom.offers.own(learner)) is not None:
        label = "All right" if mine.declined else "Take it back"
        says = "The instructor does not show the run that you offered. Nobody else is told."
        if not mine.declined:
            says = "A run of yours is on the projector." if mine.up else "A run of yours is offered to the projector."
        parts.append(("offer", f'<p>{says} <button type="button" data-act="take_back">{label}</button></p>'))
    leave = (
        '<p><a href="./lessons">To the lessons</a> <button type="button" data-act="leave">Leave the class</button></p>'
    )
    return [*parts, ("leave", leave)]


def round_of(
    classroom: Classroom,
    room: Room,
    at: ClassQuestion,
    lesson: Lesson,
    asked: Round,
    mine: Ballot | None,
    *,
    voted: bool,
) -> RoundView:
    """The evidence is looked up only once the answer is shown."""
    entry = Entry(lesson.slug, asked.name, mine.at, mine.guess) if mine else None
    known = classroom.known(room, lesson, asked) if at.answer is not None else None
    of_class = InClass(at.setting, at.open and not voted, at.answer, at.machine, at.made)
    return round_view(lesson, asked, entry, known, of_class)


def stills_at(room: Room) -> str:
    """Below which address the pages of a class find what their stills are drawn from (lab/web/class_routes.py)."""
    return f"lab/class/stills/{room.code}"


def stills_of(classroom: Classroom, code: str, name: str) -> str | None:
    """What these stills are drawn from, as JSON; None before the answer is shown, and once the class is elsewhere."""
    room = classroom.actions.room(code)
    at = room.question if room else None
    found = topic(at) if at and at.answer is not None else None
    known = classroom.known(room, *found) if room and found else None
    hung = (one.hung for one in known.moments) if known else ()
    return next((one.run for one in hung if one and one.name == name), None)


def _bar(at: ClassQuestion, *, voted: bool) -> tuple[str, str]:
    if at.answer is not None:
        return "Answered", "The instructor goes on to the next question."
    if at.running:
        return "The run", "One engine, one run, everybody watches."
    if not at.open:
        return "Vote closed", "Talk it over with your neighbours."
    if voted:
        return "Voted", "Waiting for the others. Your vote is kept, even if you reload."
    return ("First vote, alone" if at.vote == 1 else "Second vote, after the talk"), "A locked vote can't be changed."


# ---- what a learner does


def vote(classroom: Classroom, book: Book, learner: str, said: Vote) -> None:
    """Cast a vote, and enter the first one into the learner's own book, unless a guess was locked there before. Raises
    Refusal or BadInput."""
    room = classroom.actions.room_of(learner)
    if room is None:
        raise Refusal("You are in no class any more. Join it again with its code.")
    at = room.question
    found = topic(at) if at else None
    if at is None or found is None or (at.lesson, at.round) != (said.asked.lesson, said.asked.round):
        raise Refusal("The class has gone on to another question.")
    lesson, asked = found
    guess = msgspec.structs.replace(said.guess, setting=at.setting)
    seen = msgspec.structs.replace(at, vote=said.asked.vote)
    classroom.actions.cast(room.code, learner, seen, asked, guess)
    if said.asked.vote == 1 and book.entry(lesson.slug, asked.name) is None:
        book.commit(lesson.slug, asked, guess)


def settle(classroom: Classroom, book: Book, learner: str) -> None:
    """Enter what the class was shown into the learner's own book, where it answers the guess there."""
    room = classroom.actions.room_of(learner)
    at = room.question if room else None
    if at is None or at.answer is None or (kept := book.entry(at.lesson, at.round)) is None:
        return
    if kept.outcome is None and kept.guess.setting == at.setting:
        verdict = judged(kept.guess.value, at.answer)
        book.settle(at.lesson, at.round, Outcome(at.answer, verdict, at.machine, now()))


def told(classroom: Classroom, book: Book, learner: str) -> Page:
    """The learner's page, and into their book what it tells."""
    settle(classroom, book, learner)
    return page_of(classroom, learner)

"""The lab's classes: the one file they are kept in, and the runs that the engine makes once for everybody."""

import os
import threading
from functools import cache
from typing import NamedTuple
from urllib.parse import urlsplit

import segno
import streamlit as st

from lab.classroom.actions import Rooms
from lab.classroom.auth import VARIABLE, Instructors, instructor_key
from lab.classroom.offers import Offers
from lab.classroom.store import Question, Room, RoomFile
from lab.course.evidence_runs import Gathering
from lab.course.evidence_store import GATHERED
from lab.runs.engine_client import ENGINE_ROOM
from lab.ui.learner import DATA, learner
from lessons import lesson as lesson_of
from lessons.evidence import Evidence
from lessons.lesson import Lesson, Round

URL = os.environ.get("SPLIT_KITCHEN_URL", "").rstrip("/")  # where browsers find the lab, if it can't know


class _Kept(NamedTuple):
    instructors: Instructors
    rooms: Rooms
    offers: Offers


@cache
def _made() -> _Kept:
    leaders = Instructors(DATA / "class.sqlite", instructor_key(DATA))
    file = RoomFile(DATA / "class.sqlite", leaders)
    runs = ENGINE_ROOM.hub.runs
    offered = Offers(file, lambda run: known.by if (known := runs.get(run)) else None)
    ENGINE_ROOM.hub.wanted = offered.runs
    return _Kept(leaders, Rooms(file), offered)


_making = threading.Lock()


def _kept() -> _Kept:
    """Made once, by whoever comes first: two files would not know what the other has written."""
    with _making:
        return _made()


def instructors() -> Instructors:
    return _kept().instructors


def rooms() -> Rooms:
    return _kept().rooms


def offers() -> Offers:
    return _kept().offers


def class_in_step() -> bool:
    """Whether this visitor's class is at one question together: then lessons show that one and no other."""
    room = rooms().room_of(learner())
    return room is not None and room.pace == "step" and room.question is not None


def topic(asked: Question) -> tuple[Lesson, Round] | None:
    """What the class is asked; None if this lab has no such lesson any more."""
    lesson = lesson_of(asked.lesson)
    round = next((one for one in lesson.rounds if one.name == asked.round), None) if lesson else None
    return (lesson, round) if lesson and round else None


# ---- once for all


def evidence(room: Room, lesson: Lesson, asked: Round) -> Evidence | None:
    """What answers the question, once no run is missing: from the start, if the runs before it show it."""
    found = GATHERED.evidence(_everybody(room), lesson, asked)
    if found is None and (begun := _gathering(room, lesson, asked)).complete:
        GATHERED.keep(_everybody(room), lesson, asked, begun)
        found = GATHERED.evidence(_everybody(room), lesson, asked)
    return found


def gathering(room: Room, lesson: Lesson, asked: Round) -> Gathering | None:
    """The class's runs, one step on if the last is over; None once all are. Any page that looks moves them on: if the
    lab is started anew in the middle, the first that comes back has them begun again."""
    if evidence(room, lesson, asked) is not None:
        return None
    begun = _gathering(room, lesson, asked)
    begun.advance()
    return begun if evidence(room, lesson, asked) is None else None


def _gathering(room: Room, lesson: Lesson, asked: Round) -> Gathering:
    kept = rooms().settings(room.code, lesson.slug)
    first = {one.name: one.knob.values[0] for one in lesson.rounds if one.knob}  # where a question was not asked
    settings = first | {name: setting for name, (setting, _) in kept.items()}
    seeds = {name: seed for name, (_, seed) in kept.items()}
    return GATHERED.gathering(_everybody(room), lesson, asked, settings, seeds=seeds, for_all=True)


def run_again(room: Room, lesson: Lesson, asked: Round) -> None:
    """Whatever there is already."""
    GATHERED.again(_everybody(room), lesson, asked)


def forget_runs(room: Room) -> None:
    GATHERED.forget(_everybody(room))


def _everybody(room: Room) -> str:
    """Stands for the class where a learner's name would be; no cookie's name has a space in it."""
    return f"class {room.code}"


# ---- the way in


def address(path: str) -> str:
    """Of a page of this lab, as somebody else's browser can open it."""
    here = urlsplit(st.context.url or "")
    return f"{URL or f'{here.scheme}://{here.netloc}'}/{path}"


def only_here() -> bool:
    """Whether that address leads nowhere from another machine."""
    return urlsplit(address("")).hostname in ("localhost", "127.0.0.1", "::1", None)


def way_in(room: Room) -> str:
    return address(f"join?room={room.code}")


@cache
def qr(text: str) -> str:
    """A picture's address, an SVG in itself: Streamlit takes SVG out of a page's HTML. Black on white with a margin, in
    dark pages too."""
    picture: str = segno.make(text, error="m").svg_data_uri(scale=8, border=4, light="#fff", dark="#000", omitsize=True)
    return picture


def announcement() -> str:
    """What the lab says about classes when it starts. The key only if nobody could know it otherwise."""
    if os.environ.get(VARIABLE):
        return f"  Instructor: /instructor, with the key from {VARIABLE}."
    return f"  Instructor: /instructor, with the key {instructor_key(DATA)}"

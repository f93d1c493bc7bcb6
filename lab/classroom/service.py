"""A lab's classes: who leads, what is in the class file, and the runs that the engine makes once for a whole class."""

import threading
from collections.abc import Sequence
from operator import is_
from pathlib import Path
from typing import Literal

from engine.log import Log
from lab.classroom.actions import ClassActions
from lab.classroom.auth import Instructors
from lab.classroom.games import Games
from lab.classroom.offers import Offers
from lab.classroom.presence import Presence, known_as
from lab.classroom.store import ClassQuestion, Room, RoomFile
from lab.classroom.tally import tally_html
from lab.course.evidence_runs import Gathering
from lab.course.evidence_store import EvidenceStore
from lab.course.known import Known, known
from lab.runs.engine_client import EngineClient
from lab.runs.lru import LRU
from lessons import lesson as lesson_of
from lessons.evidence import Evidence
from lessons.keys import Key
from lessons.lesson import Lesson, Round

QUESTIONS_KEPT = 20  # whose evidence is kept worked out


class Classroom:
    """Made once per lab: two objects on one file would not see what the other has written. Thread-safe.

    `url`: where browsers find the lab, if it can't know; "" otherwise.
    """

    def __init__(self, file: Path, key: str, engine: EngineClient, evidence: EvidenceStore, url: str = "") -> None:
        self.engine, self.url = engine, url
        self._evidence = evidence
        self.presence = Presence()
        self._known: LRU[tuple[str, str, str], tuple[Sequence[Log], Known]] = LRU(QUESTIONS_KEPT)
        self._counts: LRU[tuple[str, str, str], tuple[object, Key | None, str]] = LRU(QUESTIONS_KEPT)
        self._lock = threading.Lock()
        self.instructors = Instructors(file, key)
        rooms = RoomFile(file, self.instructors)
        self.actions = ClassActions(rooms)
        self.offers = Offers(rooms, lambda run: made.by if (made := engine.run(run)) else None)
        self.games = Games(rooms)
        engine.feed.pinned = self.offers.runs

    def at_question(self, learner: str) -> bool:
        """Whether the learner's class is together at a question, or plays: then lessons show that and nothing else."""
        room = self.actions.room_of(learner)
        return room is not None and room.together

    def headcount(self, room: Room) -> int:
        """Members who are here, and those who have voted on the question, wherever they are."""
        return self.actions.headcount(room, lambda learner: self.presence.here(known_as(learner)))

    def roster(self, room: Room, by: str) -> list[tuple[int, str, Literal["here", "away", "left"]]]:
        """(number, nickname, where) of each member."""
        return [
            (number, name, ("here" if self.presence.here(known_as(learner)) else "away") if joined else "left")
            for learner, number, name, joined in self.actions.who(room.code, by)
        ]

    # ---- once for all

    def evidence(self, room: Room, lesson: Lesson, asked: Round) -> Evidence | None:
        """What answers the question; None while a run is missing. Earlier questions' runs may answer it at once."""
        found = self._evidence.evidence(_everybody(room), lesson, asked)
        if found is None and (begun := self._gathering(room, lesson, asked)).complete:
            self._evidence.keep(_everybody(room), lesson, asked, begun)
            found = self._evidence.evidence(_everybody(room), lesson, asked)
        return found

    def known(self, room: Room, lesson: Lesson, asked: Round) -> Known | None:
        """What that evidence says to anybody: worked out once, for however many pages."""
        evidence = self.evidence(room, lesson, asked)
        if evidence is None:
            return None
        logs = [log for repeats in evidence.logs.values() for log in repeats]
        with self._lock:
            kept = self._known.get((room.code, lesson.slug, asked.name))
            if kept is not None and len(kept[0]) == len(logs) and all(map(is_, kept[0], logs)):
                return kept[1]
            told = known(lesson, asked, evidence, of_class=True)
            self._known.put((room.code, lesson.slug, asked.name), (logs, told))
            return told

    def counts(self, room: Room, asked: Round) -> str:
        """The counts that the instructor has shown, as HTML, worked out once; "" before."""
        votes, at = self.actions.shown(room), room.question
        if not votes or at is None:
            return ""
        with self._lock:
            kept = self._counts.get((room.code, at.lesson, at.round))
            if kept is None or kept[0] is not votes or kept[1] != at.answer:
                kept = votes, at.answer, tally_html(asked.answer, votes, at.answer)
                self._counts.put((room.code, at.lesson, at.round), kept)
            return kept[2]

    def gathering(self, room: Room, lesson: Lesson, asked: Round) -> Gathering | None:
        """The class's runs, one step further if the last is over; None once all are. Any page that looks advances
        them: after a restart of the lab, the first page to come back starts them again."""
        if self.evidence(room, lesson, asked) is not None:
            return None
        begun = self._gathering(room, lesson, asked)
        begun.advance()
        return begun if self.evidence(room, lesson, asked) is None else None

    def _gathering(self, room: Room, lesson: Lesson, asked: Round) -> Gathering:
        kept = self.actions.settings(room.code, lesson.slug)
        first = {one.name: one.knob.values[0] for one in lesson.rounds if one.knob}  # for questions that were not asked
        settings = first | {name: setting for name, (setting, _) in kept.items()}
        seeds = {name: seed for name, (_, seed) in kept.items()}
        return self._evidence.gathering(_everybody(room), lesson, asked, settings, seeds=seeds, for_all=True)

    def run_again(self, room: Room, lesson: Lesson, asked: Round) -> None:
        """Make the runs again, whatever is kept."""
        self._evidence.again(_everybody(room), lesson, asked)

    def forget_runs(self, room: Room) -> None:
        self._evidence.forget(_everybody(room))


def topic(asked: ClassQuestion) -> tuple[Lesson, Round] | None:
    """The lesson and round that the class is asked; None if this lab no longer has that lesson."""
    lesson = lesson_of(asked.lesson)
    round = next((one for one in lesson.rounds if one.name == asked.round), None) if lesson else None
    return (lesson, round) if lesson and round else None


def following(course: Sequence[Lesson], at: ClassQuestion | None) -> tuple[Lesson, Round] | None:
    """The question after that one, or the first; None after the last."""
    every = [(lesson, one) for lesson in course for one in lesson.rounds]
    if at is None:
        return every[0] if every else None
    names = [(lesson.slug, one.name) for lesson, one in every]
    if (at.lesson, at.round) not in names:
        return every[0] if every else None
    place = names.index((at.lesson, at.round)) + 1
    return every[place] if place < len(every) else None


def _everybody(room: Room) -> str:
    """Stands for the class where a learner's name would be; no cookie's name has a space in it."""
    return f"class {room.code}"

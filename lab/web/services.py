"""The lab as one object: everything that pages and routes share, made when the app starts."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.classroom import light
from lab.classroom.live_updates import LiveUpdates
from lab.classroom.looks import Looks
from lab.classroom.service import Classroom
from lab.classroom.together import Together
from lab.classroom.wall import wall_of
from lab.clusters.jobs import Jobs
from lab.course.evidence_store import EvidenceStore
from lab.play.paces import Paces
from lab.runs.engine_client import EngineClient
from lab.runs.run_feed import RunFeed
from lab.ui.learner import Books
from lab.web.settings import Settings


@dataclass(frozen=True)
class Lab:
    """Everything that the lab's pages share, made once when the server starts."""

    settings: Settings
    engine: EngineClient
    books: Books
    evidence: EvidenceStore
    classroom: Classroom
    live_updates: LiveUpdates
    together: Together  # what many pages of a class want at once
    jobs: Jobs
    paces: Paces
    announcement: str  # what the lab says about classes when it starts

    @classmethod
    def of(cls, settings: Settings, call: Callable[[Callable[[], None]], object]) -> "Lab":
        """`call` runs a function on the event loop's thread; call this from that thread. The engine is not started."""
        engine = EngineClient(settings.engine, RunFeed(call))
        together = Together()
        evidence, books = EvidenceStore(engine), Books(settings.data / "guesses.sqlite")
        key = settings.key()
        classroom = Classroom(settings.data / "class.sqlite", key, engine, evidence, settings.url)
        paces = Paces(engine.finished)
        for pace in classroom.games.paces():  # a class may be in the middle of a round
            paces.keep(pace)
        known = "from SPLIT_KITCHEN_INSTRUCTOR_KEY" if settings.instructor_key else key  # printed if nobody knows it
        return cls(
            settings=settings,
            engine=engine,
            books=books,
            evidence=evidence,
            classroom=classroom,
            live_updates=LiveUpdates(
                Looks(classroom),
                page=lambda learner: light.told(classroom, books.of(learner), learner),
                wall=lambda code: wall_of(classroom, code),
                together=together,
            ),
            together=together,
            jobs=Jobs(),
            paces=paces,
            announcement=f"  Instructor: /instructor, with the key {known}",
        )


# The one hand-over from the app's lifespan to the code that it does not call: Streamlit runs the pages' script in
# threads of its own, without a way to the app, and builds the Starlette app that calls the routes.
_running: list[Lab] = []


def hand_over(lab: Lab | None) -> None:
    """By the lifespan: the lab while the app runs, None when it ends."""
    _running[:] = [lab] if lab else []


def running() -> Lab:
    """The lab of this process. Only after the server has started."""
    assert _running, "the app has not started"
    return _running[0]

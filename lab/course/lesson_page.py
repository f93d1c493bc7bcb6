"""One lesson: a question, a guess that is locked, the run, the comparison, and on to the next question.

The page is a function of the learner's book and of the evidence in memory; the session only knows the current question.
So a reload, another tab or a restart of the lab changes no guess and no outcome.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import streamlit as st

from engine.errors import BadInput
from lab.course.comparison import locked, opening, reveal, untold
from lab.course.evidence_runs import Gathering, says
from lab.course.evidence_store import EvidenceStore
from lab.course.gathering_feed import kitchen, shown
from lab.course.guess_form import guess_form
from lab.course.simulation import free_knob
from lab.course.tables import Table
from lab.course.view import Form, Untold, round_view
from lab.runs.engine_client import EngineClient
from lab.scene.component import scene
from lab.ui.formatting import asked_words, in_words
from lab.ui.learner import Books, learner
from lab.ui.next_step import next_step
from lab.ui.pulse import pulse
from lessons.book import Entry, Outcome, now
from lessons.evidence import Evidence
from lessons.keys import Key, judged
from lessons.lesson import Lesson, Round

ON_GPUS = (
    "This lab's workers compute on GPUs. The questions, their links and all claims of this course were made for "
    "workers on CPUs, and tested there only: here a run may answer otherwise, or show no difference at all. For the "
    "course, start the lab with `--device cpu`."
)


@dataclass(frozen=True)
class Course:
    """What lessons need. `offer_own` draws the button that offers one's own runs to a class."""

    engine: EngineClient
    evidence: EvidenceStore
    books: Books
    offer_own: Callable[[Sequence[str]], None]


def page(course: Course, lesson: Lesson, onward: Callable[[], None], onward_label: str) -> None:
    """`onward` leaves for what comes after this lesson."""
    book = course.books.mine()
    entries = {entry.round: entry for entry in book.entries() if entry.lesson == lesson.slug}
    at = _at(lesson, entries)
    st.caption(f"Lesson {lesson.number} · about {lesson.minutes} minutes")
    st.title(lesson.title, anchor=False)
    if course.engine.settings.model.device.startswith("cuda"):
        st.caption(f":material/info: {ON_GPUS}")
    if at == len(lesson.rounds):
        _finale(lesson, entries, onward, onward_label)
        return
    asked = lesson.rounds[at]
    entry = entries.get(asked.name)
    view = round_view(lesson, asked, entry)
    opening(view, first=at == 0 and not entries)
    with st.container(key="question" if entry and entry.outcome else "arrive"):
        st.subheader(view.asks, anchor=False)
    if view.tells:
        st.markdown(view.tells)
    if entry is None or view.locked is None:
        assert view.form is not None
        _ask(course, lesson, asked, view.form)
        return
    with st.container(key="locked"):
        locked(view.locked)
    try:
        _answered(course, lesson, asked, entry, entries)
    except Exception:  # whatever it is, the guess stands and there is a way on
        logging.getLogger(__name__).exception("%s, %s", lesson.slug, asked.name)
        _failed(course, lesson, asked)


def _answered(course: Course, lesson: Lesson, asked: Round, entry: Entry, entries: Mapping[str, Entry]) -> None:
    """The guess is locked: run, judge, compare."""
    evidence = course.evidence.evidence(learner(), lesson, asked)
    if evidence is None and (entry.outcome is None or st.session_state.get(_again(lesson, asked))):
        settings = {name: one.guess.setting for name, one in entries.items()}
        _run(course, lesson, asked, course.evidence.gathering(learner(), lesson, asked, settings))
        return
    if evidence is not None and entry.outcome is None:
        with _computing(asked):
            key = asked.finding(evidence)
        if isinstance(key, Key):
            course.books.mine().settle(lesson.slug, asked.name, _outcome(course, entry, key))
            st.rerun()
    with _computing(asked):
        found = round_view(lesson, asked, entry, evidence).found
    if isinstance(found, Untold):
        untold(asked, found)
        _again_button(course, lesson, asked)
    elif found is not None:
        reveal(lesson, asked, found)
        if evidence is not None and found.chart.key is not None:
            free_knob(asked, evidence, found.chart.key.repeat, f"{lesson.slug} {asked.name}")
        _anew(course, lesson, asked, evidence)
    _next(lesson, asked)


def _computing(asked: Round) -> AbstractContextManager[None]:
    """Says so while a simulation takes its seconds."""
    return st.spinner("Computing the answer") if asked.computed else nullcontext()


# ---- which question


def _at(lesson: Lesson, entries: Mapping[str, Entry]) -> int:
    """The current question: on the first visit the last one answered, and never beyond the first without a guess."""
    answered = 0
    while answered < len(lesson.rounds) and lesson.rounds[answered].name in entries:
        answered += 1
    at: int = st.session_state.setdefault(f"{lesson.slug} at", max(0, answered - 1))
    return min(at, answered)


def _go(lesson: Lesson, at: int) -> None:
    st.session_state[f"{lesson.slug} at"] = at
    st.rerun()


def _again(lesson: Lesson, asked: Round) -> str:
    return f"{lesson.slug} {asked.name} again"


def _bar(
    lesson: Lesson, asked: Round, does: str, button: str = "", *, ready: bool = True, main: bool = True, seen: str = ""
) -> bool:
    """Which step this is and the one thing to do next. Returns whether its button was pressed."""
    at = lesson.rounds.index(asked)
    pressed = next_step(
        f"Question {at + 1} of {len(lesson.rounds)}",
        does,
        button,
        ready=ready,
        back=at > 0,
        main=main,
        step=f"{lesson.slug} {at} {seen}",
        at="locked" if seen == "run" else "arrive",  # so that the kitchen, not the question, fills the window
    )
    if pressed == "back":
        _go(lesson, at - 1)
    return pressed == "go"


# ---- before the guess


def _ask(course: Course, lesson: Lesson, asked: Round, form: Form) -> None:
    draft = guess_form(form, f"{lesson.slug} {asked.name}")
    needs = (
        "Still missing: " + " and ".join(draft.missing) + "." if draft.missing else "A locked guess can't be changed."
    )
    label = "Lock my guess and run" if asked.has_runs else "Lock my guess"
    if _bar(lesson, asked, needs, label, ready=draft.guess is not None) and draft.guess is not None:
        try:
            course.books.mine().commit(lesson.slug, asked, draft.guess)
        except BadInput as wrong:
            st.error(str(wrong))
            return
        st.rerun()


# ---- the run


def _run(course: Course, lesson: Lesson, asked: Round, gathering: Gathering) -> None:
    gathering.advance()
    if gathering.complete:
        _gathered(course, lesson, asked, gathering)
    # the line under the picture; the page reruns whenever it would show something else
    share = gathering.on.done / gathering.on.total
    pulse("progress", f"/lab/gathering?id={gathering.id}", shown(gathering), says(gathering), share)
    if gathering.stopped:
        st.warning(gathering.stopped)
    if spec := kitchen(gathering):
        scene({"kitchens": [spec], "can": []})
        if gathering.on is gathering:
            course.offer_own((gathering.run,))
    if gathering.stopped:
        if _bar(lesson, asked, "The run has stopped; your guess is locked.", "Run it now", seen="run"):
            gathering.resume()
            st.rerun()
    elif _bar(lesson, asked, "The engine runs; nothing to do but watch.", "Cancel the run", main=False, seen="run"):
        gathering.stop()
        st.rerun()


def _gathered(course: Course, lesson: Lesson, asked: Round, gathering: Gathering) -> None:
    course.evidence.keep(learner(), lesson, asked, gathering)
    st.session_state.pop(_again(lesson, asked), None)
    st.rerun()


# ---- the comparison


def _outcome(course: Course, entry: Entry, key: Key) -> Outcome:
    return Outcome(key, judged(entry.guess.value, key), course.engine.machine_name, now())


def _anew(course: Course, lesson: Lesson, asked: Round, evidence: Evidence | None) -> None:
    """The button that makes the runs again, where there is a reason to."""
    made = evidence.made if evidence else None
    if evidence is None:
        _without_evidence(lesson, asked)
    elif asked.has_runs and made and (made.reused or made.disturbed):
        stays = "Your result stays as it was measured first; the charts follow the new runs."
        if st.button("Run it again for me", icon=":material/replay:", help=stays):
            course.evidence.again(learner(), lesson, asked)
            _once_more(lesson, asked)


def _next(lesson: Lesson, asked: Round) -> None:
    at = lesson.rounds.index(asked)
    last = at + 1 == len(lesson.rounds)
    does = "That was the last one." if last else f"Next: {lesson.rounds[at + 1].asks}"
    if _bar(lesson, asked, does, "Finish the lesson" if last else "Next question", seen="reveal"):
        _go(lesson, at + 1)


def _failed(course: Course, lesson: Lesson, asked: Round) -> None:
    """Something raised: the lab's log says what."""
    st.warning("This question could not be worked out from its runs. Your guess stays locked. Run it again, or go on.")
    _again_button(course, lesson, asked)
    _next(lesson, asked)


def _again_button(course: Course, lesson: Lesson, asked: Round) -> None:
    if st.button("Run it again", icon=":material/replay:", key=f"{_again(lesson, asked)} now"):
        course.evidence.again(learner(), lesson, asked)
        _once_more(lesson, asked)


def _without_evidence(lesson: Lesson, asked: Round) -> None:
    st.info("This lab was restarted since your run, and runs are kept in memory only. Your result stays as it was.")
    if st.button("Run it again to see the charts", icon=":material/replay:"):
        _once_more(lesson, asked)


def _once_more(lesson: Lesson, asked: Round) -> None:
    st.session_state[_again(lesson, asked)] = True
    st.rerun()


# ---- the end


def _finale(lesson: Lesson, entries: Mapping[str, Entry], onward: Callable[[], None], onward_label: str) -> None:
    with st.container(key="arrive"):
        st.subheader("What you found", anchor=False)
    rows: Table = {"Question": [], "You": [], "Found": [], "Verdict": []}
    for asked in lesson.rounds:
        entry = entries[asked.name]
        outcome = entry.outcome
        rows["Question"].append(asked_words(asked, entry.guess.setting))
        rows["You"].append(in_words(asked.answer, entry.guess.value))
        rows["Found"].append(in_words(asked.answer, outcome.key.value) if outcome else "no verdict yet")
        rows["Verdict"].append(outcome.verdict.word.capitalize() if outcome else "")
    st.table(rows, border="horizontal")
    if cluster := lesson.text("In the cluster"):
        st.subheader("In the cluster", anchor=False)
        st.markdown(cluster)
    pressed = next_step(
        "Lesson done", "Every guess makes the next one better.", onward_label, back=True, step=f"{lesson.slug} done"
    )
    if pressed == "back":
        _go(lesson, len(lesson.rounds) - 1)
    elif pressed == "go":
        onward()

"""A class and its votes: what is kept, what is refused, and that no vote is lost or changed."""

import csv
import io
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from engine.errors import BadInput
from lab.classroom.actions import MOST_SEED, ClassActions
from lab.classroom.auth import KEY_CHARS, TRIES, TRIES_OF_ALL, WINDOW_S, Instructors, made_key
from lab.classroom.service import following
from lab.classroom.store import ClassQuestion, Refusal, Room, RoomFile
from lab.classroom.tally import as_csv
from lessons import all_lessons
from lessons.book import Guess
from lessons.evidence import Made
from lessons.keys import Key
from lessons.lesson import Round
from lessons.question import Choice

TEACHER, ME, YOU = "T" * 22, "A" * 22, "B" * 22
ASKED = Round("first", "Which?", Choice({"a": "A", "b": "B"}), key=lambda evidence: Key("a"))
A, B = Guess("a", "sure"), Guess("b", "guessing")


@pytest.fixture
def rooms(tmp_path: Path) -> ClassActions:
    return ClassActions(RoomFile(tmp_path / "class.sqlite", {TEACHER}))


@pytest.fixture
def code(rooms: ClassActions) -> str:
    """A class that is at a question, with two members."""
    code = rooms.open(TEACHER).code
    rooms.ask(code, TEACHER, "lesson", "first")
    for learner in (ME, YOU):
        rooms.join(code, learner)
    return code


def at(rooms: ClassActions, code: str) -> ClassQuestion:
    room = rooms.room(code)
    assert room is not None
    assert room.question is not None
    return room.question


def cast(rooms: ClassActions, code: str, learner: str, guess: Guess) -> None:
    rooms.cast(code, learner, at(rooms, code), ASKED, guess)


# ---- a lesson


def test_a_question_from_the_first_vote_to_the_answer(rooms: ClassActions, code: str) -> None:
    def room() -> Room:
        found = rooms.room(code)
        assert found is not None
        return found

    cast(rooms, code, ME, A)
    assert (rooms.headcount(room(), lambda _: True), room().voted, rooms.shown(room())) == (2, (1, 0), ())
    rooms.show_counts(code, TEACHER)
    assert rooms.shown(room()) == ((A,),)
    rooms.vote_again(code, TEACHER)
    for learner in (ME, YOU):
        cast(rooms, code, learner, B)
    assert (room().voted, rooms.shown(room())) == ((1, 2), ((A,),))
    rooms.run(code, TEACHER)
    assert not at(rooms, code).open
    rooms.show_answer(code, TEACHER, Key("b"), "this machine")
    assert rooms.shown(room()) == ((A,), (B, B))
    assert (at(rooms, code).answer, at(rooms, code).machine) == (Key("b"), "this machine")
    assert [(one.number, one.vote, one.guess) for one in rooms.ballots(code, TEACHER)] == [
        (1, 1, A),
        (1, 2, B),
        (2, 2, B),
    ]


def test_who_comes_late_or_back_is_at_the_question(rooms: ClassActions, code: str) -> None:
    cast(rooms, code, ME, A)
    late = "C" * 22
    rooms.join(code, late, "Late")
    rooms.leave(ME)
    assert rooms.room_of(ME) is None
    rooms.join(code, ME)
    for learner in (ME, late):
        found = rooms.room_of(learner)
        assert found is not None
        assert (found.code, found.question, rooms.headcount(found, lambda _: True)) == (code, at(rooms, code), 3)
    assert found is not None
    own = rooms.own(found, ME, 1)
    assert own is not None
    assert (own.guess, own.number) == (A, 1)
    assert rooms.own(found, late, 1) is None


def test_a_question_that_is_asked_again_is_as_it_was_left(rooms: ClassActions, code: str) -> None:
    cast(rooms, code, ME, A)
    rooms.show_counts(code, TEACHER)
    before = at(rooms, code)
    rooms.ask(code, TEACHER, "lesson", "second")
    rooms.ask(code, TEACHER, "lesson", "first", setting=7.0)
    assert at(rooms, code) == before


def test_reset_keeps_the_members_and_delete_nothing(rooms: ClassActions, code: str, tmp_path: Path) -> None:
    cast(rooms, code, ME, A)
    rooms.reset(code, TEACHER)
    assert rooms.ballots(code, TEACHER) == []
    assert [number for number, *_ in rooms.members(code, TEACHER)] == [1, 2]
    rooms.ask(code, TEACHER, "lesson", "first")
    cast(rooms, code, ME, B)
    rooms.delete(code, TEACHER)
    with sqlite3.connect(tmp_path / "class.sqlite") as db:
        tables = ("rooms", "members", "questions", "votes", "offers")
        assert [db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables] == [0] * 5
    assert rooms.room_of(ME) is None


def test_a_timer_is_of_its_step_alone(rooms: ClassActions, code: str) -> None:
    steps: list[Callable[[], None]] = [
        lambda: rooms.show_counts(code, TEACHER),
        lambda: rooms.vote_again(code, TEACHER),
        lambda: rooms.run(code, TEACHER),
        lambda: rooms.show_answer(code, TEACHER, Key("a"), ""),
        lambda: rooms.set_pace(code, TEACHER, "free"),
        lambda: rooms.ask(code, TEACHER, "lesson", "second"),
    ]
    for step in steps:
        rooms.set_timer(code, TEACHER, 60)
        step()
        room = rooms.room(code)
        assert room is not None
        assert room.timer_s == 0


def test_a_member_can_be_removed_and_their_votes_stay(rooms: ClassActions, code: str) -> None:
    cast(rooms, code, ME, A)
    with pytest.raises(Refusal, match="Only the instructor"):
        rooms.remove(code, YOU, 1)
    rooms.remove(code, TEACHER, 1)
    assert rooms.room_of(ME) is None
    assert rooms.room_of(YOU) is not None
    assert [one.guess for one in rooms.ballots(code, TEACHER)] == [A]
    assert rooms.members(code, TEACHER) == [(1, "", False), (2, "", True)]
    rooms.join(code, ME)
    assert rooms.members(code, TEACHER) == [(1, "", True), (2, "", True)]


def test_what_is_exported_has_the_measured_value_and_the_verdict_once_it_is_shown(
    rooms: ClassActions, code: str
) -> None:
    for learner, guess in ((ME, A), (YOU, B)):
        cast(rooms, code, learner, guess)
    assert {(one.measured, one.verdict) for one in rooms.ballots(code, TEACHER)} == {(None, "")}
    rooms.show_answer(code, TEACHER, Key("b"), "")
    found = [(one.measured, one.verdict) for one in rooms.ballots(code, TEACHER)]
    assert found == [("b", "off"), ("b", "right")]
    rows = list(csv.DictReader(io.StringIO(as_csv(rooms.ballots(code, TEACHER)).decode())))
    assert [(row["measured"], row["verdict"]) for row in rows] == found


# ---- refusals


def test_a_second_vote_needs_the_counts_of_the_first(rooms: ClassActions, code: str) -> None:
    """What it silently ended was a vote that nobody had talked over."""
    cast(rooms, code, ME, A)
    with pytest.raises(Refusal, match="counts of the first vote first"):
        rooms.vote_again(code, TEACHER)
    assert at(rooms, code).open
    assert at(rooms, code).vote == 1


def test_a_vote_after_the_counts_the_run_or_the_answer_is_refused(rooms: ClassActions, code: str) -> None:
    cast(rooms, code, ME, A)
    shown = at(rooms, code)
    rooms.show_counts(code, TEACHER)
    with pytest.raises(Refusal, match="closed"):
        rooms.cast(code, YOU, shown, ASKED, B)
    rooms.vote_again(code, TEACHER)
    with pytest.raises(Refusal, match="first vote is over"):
        rooms.cast(code, YOU, shown, ASKED, B)
    rooms.run(code, TEACHER)
    with pytest.raises(Refusal, match="closed"):
        cast(rooms, code, YOU, B)
    rooms.show_answer(code, TEACHER, Key("a"), "")
    with pytest.raises(Refusal, match="closed"):
        cast(rooms, code, YOU, B)
    with pytest.raises(Refusal, match="shown"):
        rooms.vote_again(code, TEACHER)
    assert len(rooms.ballots(code, TEACHER)) == 1


def test_what_only_the_instructor_may_do_is_refused_to_everybody_else(rooms: ClassActions, code: str) -> None:
    cast(rooms, code, ME, A)
    for act in (
        lambda by: rooms.open(by),
        lambda by: rooms.all(by),
        lambda by: rooms.ask(code, by, "lesson", "first"),
        lambda by: rooms.set_pace(code, by, "free"),
        lambda by: rooms.set_timer(code, by, 60),
        lambda by: rooms.show_counts(code, by),
        lambda by: rooms.vote_again(code, by),
        lambda by: rooms.run(code, by, 7),
        lambda by: rooms.show_answer(code, by, Key("a"), ""),
        lambda by: rooms.reset(code, by),
        lambda by: rooms.delete(code, by),
        lambda by: rooms.ballots(code, by),
        lambda by: rooms.members(code, by),
    ):
        for nobody in (ME, "", "nobody"):
            with pytest.raises(Refusal, match="Only the instructor"):
                act(nobody)
    found = rooms.room(code)
    assert found is not None
    assert (found.voted, at(rooms, code).counts, at(rooms, code).answer) == ((1, 0), 0, None)


def test_nobody_votes_twice_nor_for_somebody_who_has_not_joined(rooms: ClassActions, code: str) -> None:
    cast(rooms, code, ME, A)
    with pytest.raises(Refusal, match="can't be changed"):
        cast(rooms, code, ME, B)
    for forged in ("C" * 22, "", "1", f"{ME}' OR '1'='1"):
        with pytest.raises(Refusal, match="joined"):
            cast(rooms, code, forged, B)
    other = rooms.open(TEACHER).code
    rooms.ask(other, TEACHER, "lesson", "first")
    with pytest.raises(Refusal, match="joined"):
        cast(rooms, other, ME, B)
    assert [one.guess for one in rooms.ballots(code, TEACHER)] == [A]


def test_no_learner_s_id_leaves_the_room(rooms: ClassActions, code: str) -> None:
    """Whoever knows it could vote in that learner's place."""
    cast(rooms, code, ME, A)
    rooms.show_counts(code, TEACHER)
    found = rooms.room(code)
    assert found is not None
    said = repr((found, rooms.shown(found), rooms.ballots(code, TEACHER), rooms.members(code, TEACHER)))
    assert ME not in said
    assert YOU not in said


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "<b>", "=1+1", "-1", "@sum", "a\x00b", "a\u202eb", "[x](y)", "`x`", "x" * 25, "$x$"],
)
def test_a_nickname_that_could_be_code_is_refused(rooms: ClassActions, code: str, name: str) -> None:
    with pytest.raises(Refusal, match="nickname"):
        rooms.join(code, ME, name)
    assert all(not nickname for _, nickname, _ in rooms.members(code, TEACHER))


@pytest.mark.parametrize("name", ["", "Ada", "Žofia Nováková", "李雷", "O'Neill-2", "  Ada   L. "])
def test_people_s_names_are_taken(rooms: ClassActions, code: str, name: str) -> None:
    rooms.join(code, ME, name)
    assert rooms.members(code, TEACHER)[0][1] == " ".join(name.split())


def test_no_room_no_answer_no_question(rooms: ClassActions, code: str) -> None:
    with pytest.raises(Refusal, match="no class with the code"):
        rooms.join("NOONE", ME)
    with pytest.raises(BadInput, match="guess"):
        cast(rooms, code, ME, Guess("c", "sure"))
    empty = rooms.open(TEACHER).code
    with pytest.raises(Refusal, match="No question"):
        rooms.show_counts(empty, TEACHER)
    with pytest.raises(Refusal, match="question first"):
        rooms.set_pace(empty, TEACHER, "step")
    with pytest.raises(Refusal, match="hour"):
        rooms.set_timer(code, TEACHER, 1e9)


@pytest.mark.parametrize("seed", [-1, MOST_SEED + 1, 2**70, 0.5, float("nan"), "7", None])
def test_a_seed_beyond_its_caps_is_refused(rooms: ClassActions, code: str, seed: object) -> None:
    with pytest.raises(Refusal, match=r"0 to 999,999"):
        rooms.run(code, TEACHER, seed)  # type: ignore[arg-type]
    assert at(rooms, code).open


def test_the_seed_is_chosen_once_and_kept_with_the_answer(rooms: ClassActions, code: str, tmp_path: Path) -> None:
    cast(rooms, code, ME, A)
    rooms.run(code, TEACHER, 7)
    with pytest.raises(Refusal, match="seed can't be changed"):
        rooms.run(code, TEACHER, 8)
    made = Made(3, (7, 9), ("2026-01-01T10:42:00+00:00", "2026-01-01T10:43:00+00:00"), 1, 0)
    rooms.show_answer(code, TEACHER, Key("a"), "this machine", made)
    rooms.show_answer(code, TEACHER, Key("b"), "another", None)  # the first one shown stays
    shown = at(ClassActions(RoomFile(tmp_path / "class.sqlite", {TEACHER})), code)
    assert (shown.seed, shown.made, shown.answer, shown.machine) == (7, made, Key("a"), "this machine")
    assert rooms.settings(code, "lesson") == {"first": (0.0, 7)}
    assert [one.seed for one in rooms.ballots(code, TEACHER)] == [7]


def test_a_file_from_before_there_were_seeds_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE rooms (code TEXT PRIMARY KEY, opened TEXT, pace TEXT, lesson TEXT, round TEXT, timer_s)"
        )
        db.execute(
            "CREATE TABLE questions (room TEXT, lesson TEXT, round TEXT, setting REAL, vote INTEGER DEFAULT 1, counts "
            "INTEGER DEFAULT 0, running INTEGER DEFAULT 0, answer TEXT, machine TEXT DEFAULT '')"
        )
        db.execute("INSERT INTO rooms VALUES ('OLDER', '2026-01-01', 'step', 'lesson', 'first', 0)")
        db.execute("INSERT INTO questions (room, lesson, round, setting) VALUES ('OLDER', 'lesson', 'first', 0)")
    for _ in range(2):
        rooms = ClassActions(RoomFile(path, {TEACHER}))
        assert at(rooms, "OLDER").open
        assert (at(rooms, "OLDER").seed, at(rooms, "OLDER").made) == (0, None)


# ---- whatever order things come in

ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("cast"), st.integers(0, 4), st.sampled_from("ab")),
        st.tuples(st.sampled_from(["counts", "again", "run", "answer", "reopen"])),
    ),
    max_size=25,
)


STEPS: dict[str, Callable[[ClassActions, str], None]] = {
    "counts": lambda rooms, code: rooms.show_counts(code, TEACHER),
    "again": lambda rooms, code: rooms.vote_again(code, TEACHER),
    "run": lambda rooms, code: rooms.run(code, TEACHER),
    "answer": lambda rooms, code: rooms.show_answer(code, TEACHER, Key("a"), ""),
}


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_no_vote_is_lost_or_changed(tmp_path: Path, acts: list[tuple[object, ...]]) -> None:
    """What was accepted is there, once and as it was said, whatever came after it and though the file is reopened."""
    path = tmp_path / "class.sqlite"
    rooms = ClassActions(RoomFile(path, {TEACHER}))
    code = rooms.open(TEACHER).code
    rooms.ask(code, TEACHER, "lesson", "first")
    for n in range(5):
        rooms.join(code, f"learner {n}")
    accepted: dict[tuple[int, int], str] = {}  # (vote, learner) -> guess
    for act in acts:
        question = at(rooms, code)
        with suppress(Refusal):
            match act:
                case ("cast", int(n), str(said)):
                    cast(rooms, code, f"learner {n}", Guess(said, "sure"))
                    assert question.open
                    assert (question.vote, n) not in accepted
                    accepted[question.vote, n] = said
                case ("reopen",):
                    rooms = ClassActions(RoomFile(path, {TEACHER}))
                case (str(name),):
                    STEPS[name](rooms, code)
        room = rooms.room(code)
        assert room is not None
        assert room.voted == tuple(sum(vote == v for vote, _ in accepted) for v in (1, 2))
        for vote, guesses in enumerate(rooms.shown(room), start=1):
            assert sorted(g.value for g in guesses) == sorted(said for (v, _), said in accepted.items() if v == vote)
    ballots = ClassActions(RoomFile(path, {TEACHER})).ballots(code, TEACHER)
    assert {(one.vote, one.number - 1): one.guess.value for one in ballots} == accepted
    assert len(ballots) == len(accepted)


def read_of(rooms: ClassActions, code: str) -> dict[str, object]:
    """All that anybody reads of a class."""
    room = rooms.room(code)
    assert room is not None
    return {
        "rooms": (room, rooms.room_of(ME), rooms.room_of(YOU), rooms.all(TEACHER)),
        "votes": [rooms.own(room, who, vote) for who in (ME, YOU) for vote in (1, 2)],
        "ballots": (rooms.ballots(code, TEACHER), rooms.voters(room), rooms.shown(room)),
        "members": (rooms.who(code, TEACHER), rooms.roster(code), rooms.nickname(code, ME)),
        "settings": rooms.settings(code, "lesson"),
    }


def test_what_is_kept_in_memory_is_what_the_file_says_after_every_act(
    rooms: ClassActions, code: str, tmp_path: Path
) -> None:
    acts: list[Callable[[], object]] = [
        lambda: cast(rooms, code, ME, A),
        lambda: rooms.show_counts(code, TEACHER),
        lambda: rooms.vote_again(code, TEACHER),
        lambda: cast(rooms, code, YOU, B),
        lambda: rooms.join(code, ME, "Ada"),
        lambda: rooms.set_timer(code, TEACHER, 60),
        lambda: rooms.run(code, TEACHER, 7),
        lambda: rooms.show_answer(code, TEACHER, Key("a"), "here"),
        lambda: rooms.remove(code, TEACHER, 2),
        lambda: rooms.ask(code, TEACHER, "lesson", "second", 3.0),
        lambda: rooms.leave(ME),
        lambda: rooms.set_pace(code, TEACHER, "free"),
        lambda: rooms.reset(code, TEACHER),
    ]
    before = read_of(rooms, code)
    for act in acts:
        act()
        read = read_of(rooms, code)
        assert read != before, "an act that nobody sees"
        assert read == read_of(ClassActions(RoomFile(tmp_path / "class.sqlite", {TEACHER})), code)
        before = read


def test_sixty_vote_at_once_while_the_counts_are_shown(rooms: ClassActions) -> None:
    """Whoever was told that the vote counts is counted; whoever was refused is not."""
    code = rooms.open(TEACHER).code
    rooms.ask(code, TEACHER, "lesson", "first")
    learners = [f"learner {n}" for n in range(60)]
    for learner in learners:
        rooms.join(code, learner)
    shown, told = at(rooms, code), []

    def vote(learner: str) -> None:
        try:
            rooms.cast(code, learner, shown, ASKED, A)
            told.append(learner)
        except Refusal:
            pass

    threads = [threading.Thread(target=vote, args=(learner,)) for learner in learners]
    for thread in threads[:30]:
        thread.start()
    rooms.show_counts(code, TEACHER)
    after = rooms.room(code)
    for thread in threads[30:]:
        thread.start()
    for thread in threads:
        thread.join()
    room = rooms.room(code)
    assert after is not None
    assert room is not None
    assert room.voted == after.voted == (len(told), 0)


# ---- the key


@pytest.fixture
def doors(tmp_path: Path) -> Instructors:
    return Instructors(tmp_path / "new" / "class.sqlite", "a long enough key")


def test_who_has_the_key_leads_until_it_is_another(doors: Instructors, tmp_path: Path) -> None:
    assert ME not in doors
    doors.admit(ME, " a long enough key ")
    assert ME in doors
    assert YOU not in doors
    assert ME in Instructors(tmp_path / "new" / "class.sqlite", "a long enough key")
    assert ME not in Instructors(tmp_path / "new" / "class.sqlite", "another long key")
    doors.dismiss(ME)
    assert ME not in doors


def test_guessing_the_key_is_cut_short(tmp_path: Path) -> None:
    now_s = [100.0]
    doors = Instructors(tmp_path / "class.sqlite", "a long enough key", lambda: now_s[0])
    for wrong in ("", "a long enough keY", "é", "x" * 1000, "a long enough key2"):
        with pytest.raises(Refusal, match="not the key"):
            doors.admit(ME, wrong)
    with pytest.raises(Refusal, match="Too many"):
        doors.admit(ME, "a long enough key")
    doors.admit(YOU, "a long enough key")  # one learner's mistakes are not another's
    for n in range(TRIES_OF_ALL - TRIES):
        with pytest.raises(Refusal, match="not the key"):
            doors.admit(f"made up {n}", "wrong")
    with pytest.raises(Refusal, match="Too many"):
        doors.admit("another made up", "a long enough key")
    now_s[0] += WINDOW_S + 1
    doors.admit(ME, "a long enough key")


def test_a_key_is_made_once_and_read_by_its_owner_only(tmp_path: Path) -> None:
    made = made_key(tmp_path / "new")
    assert len(made) >= KEY_CHARS
    assert made_key(tmp_path / "new") == made
    assert os.stat(tmp_path / "new" / "instructor-key").st_mode & 0o777 == 0o600


def test_an_empty_key_file_opens_nothing(tmp_path: Path) -> None:
    """A first start on a full disk once left one, and then an empty field opened the desk to everybody."""
    path = tmp_path / "instructor-key"
    path.touch()
    made = made_key(tmp_path)
    assert len(made) >= KEY_CHARS
    assert made_key(tmp_path) == made == path.read_text()


@pytest.mark.parametrize("kept", ["secret", " \n", "\0" * 11])
def test_a_key_that_is_kept_obeys_the_rule_of_one_that_is_given(kept: str, tmp_path: Path) -> None:
    (tmp_path / "instructor-key").write_text(kept)
    with pytest.raises(BadInput, match=r"instructor-key .* at least 12"):
        made_key(tmp_path)


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="SPLIT_KITCHEN_DATA"):
        made_key(tmp_path / "file" / "folder")


# ---- the way through the course


def test_the_next_question_is_the_one_after_to_the_end_of_the_course() -> None:
    course = all_lessons()
    at, seen = None, []
    while (after := following(course, at)) is not None:
        lesson, asked = after
        seen.append((lesson.slug, asked.name))
        at = ClassQuestion(lesson.slug, asked.name, 0.0, 1, 0, False, None, "")
    assert seen == [(lesson.slug, one.name) for lesson in course for one in lesson.rounds]
    gone = ClassQuestion("a lesson that is gone", "first", 0.0, 1, 0, False, None, "")
    assert following(course, gone) == following(course, None)
    assert following([], None) is None

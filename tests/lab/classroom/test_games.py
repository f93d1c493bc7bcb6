"""A round of the game that a class plays: what counts, who sees what when, and that a restart loses nothing."""

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from engine.errors import BadInput
from lab.classroom.cloud import dots, said
from lab.classroom.cook_page import finish, sign
from lab.classroom.games import Games, Point
from lab.classroom.light import page_of
from lab.classroom.looks import Look, look_at
from lab.classroom.presence import digest
from lab.classroom.service import Classroom
from lab.classroom.store import Refusal, RoomFile
from lab.classroom.wall import wall_of
from lab.play.game import Ask, play, played_by
from lab.play.moves import PLATE, written
from lab.play.pace import Pace, from_text, shipped
from lab.play.par import as_policy
from lab.play.puzzle import Puzzle, puzzle
from lab.play.score import Score, score
from lessons import all_lessons
from tests.lab.classroom.test_offer_view import ME, TEACHER, Here
from tests.lab.play.test_game import PACE

YOU = "B" * 22
MEASURED = Pace("here-12345678", "this machine", "As measured here.", PACE.cost, PACE.kv_bytes_per_token)
GIVEN = puzzle(1, 1, MEASURED)
LARGE = max(draft.prompt_tokens for draft in GIVEN.drafts)
LESSON = all_lessons()[0]
SCORE = st.builds(
    Score,
    ttft_s=st.floats(0.1, 2.0),
    worst_ttft_s=st.just(2.0),
    stall_s=st.floats(0.0, 2.0),
    ends_s=st.just(9.0),
)


def as_(policy: str, given_: Puzzle = GIVEN) -> tuple[str, ...]:
    return played_by(given_, as_policy(given_, policy)).made


def slowly(ask: Ask) -> str:
    """Plates while no large order waits, preps that one whole, and then plates when there is nothing else to do."""
    if ask.running and max(job.left for job in ask.waiting) < LARGE:
        return PLATE
    return written([(max(ask.waiting, key=lambda job: job.left), max(job.left for job in ask.waiting))])


@pytest.fixture
def room(tmp_path: Path) -> Classroom:
    """A class of two that plays."""
    here = Here(tmp_path)
    here.classroom.actions.join(here.code, YOU)
    here.classroom.games.begin(here.code, TEACHER, GIVEN)
    return here.classroom


def code_of(room: Classroom) -> str:
    found = room.actions.room_of(ME)
    assert found is not None
    return found.code


def end(room: Classroom) -> None:
    room.games.end(code_of(room), TEACHER, (Score(0.1, 0.1, 0.01, 1.0),))


def look(room: Classroom) -> Look:
    found = room.actions.room(code_of(room))
    assert found is not None
    return look_at(room, found)


def learner(room: Classroom, who: str = ME) -> str:
    """Everything that this learner's page says."""
    return "".join(html for _, html in page_of(room, who).parts)


def wall(room: Classroom) -> str:
    return "".join(html for _, html in wall_of(room, code_of(room)).parts)


# ---- what counts


def test_the_lab_plays_the_moves_itself_and_keeps_the_latest_round_unless_an_earlier_one_beats_it(
    room: Classroom,
) -> None:
    def mine() -> Point:
        return room.games.points(code_of(room))[ME]

    finish(room, ME, as_("prefill_first"))
    first = mine()
    finish(room, ME, as_("chunked"))
    second = mine()
    assert (first.moves, second.moves) == (as_("prefill_first"), as_("chunked"))
    assert not first.score.beats(second.score), "better in one, worse in the other"
    slow = played_by(GIVEN, slowly).made
    finish(room, ME, slow)
    assert second.score.beats(score(play(GIVEN, slow).events))
    assert mine() == second


@pytest.mark.parametrize(
    ("moves", "says"),
    [((), "not at its end"), (("2",), "not at its end"), (("9",), "of orders that wait"), (("!",), "as")],
)
def test_what_is_no_finished_round_is_not_counted(room: Classroom, moves: tuple[str, ...], says: str) -> None:
    with pytest.raises((Refusal, BadInput), match=says):
        finish(room, ME, moves)
    assert room.games.points(code_of(room)) == {}


def test_a_round_counts_only_while_the_class_plays_and_only_for_its_members(room: Classroom) -> None:
    finish(room, ME, as_("chunked"))
    room.actions.ask(code_of(room), TEACHER, LESSON.slug, LESSON.rounds[0].name)
    for _ in range(2):
        with pytest.raises(Refusal, match="is over"):
            finish(room, YOU, as_("chunked"))
        room.games.show(code_of(room), TEACHER)
        end(room)
    with pytest.raises(Refusal, match="in no class"):
        finish(room, "C" * 22, as_("chunked"))
    with pytest.raises(Refusal, match="Only the instructor"):
        room.games.begin(code_of(room), ME, GIVEN)
    assert list(room.games.points(code_of(room))) == [ME]


def test_the_next_round_takes_the_place_of_the_last_and_a_reset_leaves_none(room: Classroom) -> None:
    finish(room, ME, as_("chunked"))
    code = code_of(room)
    room.games.begin(code, TEACHER, puzzle(2, 3, shipped("recorded")))
    assert room.games.points(code) == {}
    room.actions.reset(code, TEACHER)
    assert room.games.of(code) is None
    assert room.games.paces() == []


def test_a_restart_of_the_lab_loses_nothing_not_even_a_pace_that_was_measured_before(
    room: Classroom, tmp_path: Path
) -> None:
    finish(room, ME, as_("chunked"))
    code = code_of(room)
    end(room)
    again = Games(RoomFile(tmp_path / "class.sqlite", {TEACHER}))
    assert again.of(code) == room.games.of(code)
    assert again.points(code) == room.games.points(code)
    assert again.paces() == [MEASURED]


@pytest.mark.parametrize("pace", [MEASURED, shipped("recorded"), shipped("h100")])
def test_a_pace_is_read_as_it_was_written(pace: Pace) -> None:
    assert from_text(pace.as_text()) == pace


# ---- who sees what


def test_a_learner_s_page_leads_to_the_round_and_back_to_where_it_lies(room: Classroom) -> None:
    assert page_of(room, ME).step == "cook"
    assert f'href="./play?room={code_of(room)}"' in learner(room)
    finish(room, ME, as_("chunked"))
    assert "Your first tokens came after" in learner(room)
    assert "Your first tokens" not in learner(room, YOU)
    assert "ch-dots" not in learner(room), "a class looks for its own schedule"
    end(room)
    assert page_of(room, ME).step == "cooked"
    assert "moves=" in learner(room)
    assert "You have finished no round" in learner(room, YOU)
    assert learner(room, YOU).count("ch-dots") == 1
    assert (learner(room).count("ch-dots"), "ch-mark ring" in learner(room)) == (0, True)


def test_the_wall_has_the_points_from_the_first_on_and_the_best_only_at_the_end(room: Classroom) -> None:
    assert wall_of(room, code_of(room)).stage == "cook"
    assert "Nobody has finished" in wall(room)
    for who in (ME, YOU):
        finish(room, who, as_("chunked"))
    assert ">2</i>" in wall(room), "two alike are one dot, with their number"
    assert "best found" not in wall(room)
    end(room)
    assert "best found" in wall(room)


def test_a_name_stands_on_the_wall_only_if_its_learner_offers_it_and_the_instructor_shows_it(room: Classroom) -> None:
    code = code_of(room)
    finish(room, ME, as_("chunked"))
    end(room)
    room.games.show_names(code, TEACHER, shown=True)
    assert "Ada" not in wall(room)
    room.games.show_names(code, TEACHER, shown=False)
    sign(room, ME, named=True)
    assert "Ada" not in wall(room)
    room.games.show_names(code, TEACHER, shown=True)
    assert "Ada" in wall(room)
    assert "Ada" not in learner(room, YOU)
    sign(room, ME, named=False)
    assert "Ada" not in wall(room)
    sign(room, ME, named=True)
    room.actions.leave(ME)
    assert "Ada" not in "".join(html for _, html in wall_of(room, code).parts)


def test_who_finishes_redraws_the_wall_and_nobody_else_s_page(room: Classroom) -> None:
    before = look(room)
    finish(room, ME, as_("chunked"))
    after = look(room)
    assert after.at("wall") != before.at("wall")
    assert after.at("page", digest(ME)) != before.at("page", digest(ME))
    assert after.at("page", digest(YOU)) == before.at("page", digest(YOU))
    assert after.at() == before.at(), "the desk's status line says it"
    assert (before.stand.says.split(" · ")[0], after.stand.says.split(" · ")[0]) == (
        "0 of 2 have finished a round",
        "1 of 2 have finished a round",
    )
    assert "left" in after.stand.says
    end(room)
    assert look(room).at("page", digest(YOU)) != after.at("page", digest(YOU))


# ---- pure parts


@settings(max_examples=50, deadline=None)
@given(scores=st.lists(SCORE, max_size=30), names=st.booleans())
def test_every_point_is_in_one_dot(scores: list[Score], names: bool) -> None:
    points = [Point((), one, f"n{n}") for n, one in enumerate(scores)]
    drawn = dots(points, names=names)
    assert sum(dot.many for dot in drawn) == len(points)
    assert sum(len(dot.names.split(", ")) for dot in drawn if dot.names) == names * len(points)
    assert all(any(dot.score == one for one in scores) for dot in drawn)


@settings(max_examples=50, deadline=None)
@given(scores=st.lists(SCORE, max_size=30), rival=SCORE, best=st.lists(SCORE, max_size=3))
def test_the_sentence_counts_who_beats_whom(scores: list[Score], rival: Score, best: list[Score]) -> None:
    says = said(scores, {"chunked prefill": rival}, best)
    beats = sum(one.beats(rival) for one in scores)
    if not scores:
        assert says == "Nobody has finished a round yet."
        return
    assert says.startswith(f"{len(scores)} learner")
    wanted = (
        f"{beats} beat{'s' * (beats == 1)} chunked prefill in both" if beats else "None beats chunked prefill in both"
    )
    assert wanted in says
    assert ("a search found" in says.lower()) == bool(best)

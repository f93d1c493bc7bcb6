"""Own runs on the projector: nothing without consent, and back whenever the learner wants."""

import sqlite3
from pathlib import Path

import pytest

from lab.classroom.actions import ClassActions
from lab.classroom.offers import IN_A_ROOM, Offers
from lab.classroom.store import Refusal, RoomFile

TEACHER, ME, YOU = "T" * 22, "A" * 22, "B" * 22


class Wall:
    """A class of two and the lab's runs: `mine` and `other` are ME's, `yours` is YOU's."""

    def __init__(self, path: Path) -> None:
        self.runs = {"mine": ME, "other": ME, "yours": YOU}
        self.path = path
        self.open()
        self.code = self.rooms.open(TEACHER).code
        self.rooms.join(self.code, ME, "Ada")
        self.rooms.join(self.code, YOU)

    def open(self) -> None:
        """Also: what a restarted lab does."""
        file = RoomFile(self.path, {TEACHER})
        self.rooms, self.offers = ClassActions(file), Offers(file, lambda run: self.runs.get(run))

    def up(self) -> tuple[str, ...]:
        shown = self.offers.up(self.code)
        return shown.runs if shown else ()

    @property
    def offered(self) -> list[tuple[str, ...]]:
        return [offer.runs for offer in self.offers.of(self.code, TEACHER)]


@pytest.fixture
def wall(tmp_path: Path) -> Wall:
    return Wall(tmp_path / "class.sqlite")


def test_offered_shown_and_taken_back(wall: Wall) -> None:
    wall.offers.offer(ME, ["mine"])
    assert (wall.offered, wall.up()) == ([("mine",)], ())
    wall.offers.put_up(wall.code, TEACHER, 1)
    assert wall.up() == ("mine",)
    wall.offers.take_back(ME)
    assert (wall.offered, wall.up()) == ([], ())
    with pytest.raises(Refusal, match="not offered any more"):
        wall.offers.put_up(wall.code, TEACHER, 1)


def test_one_is_on_the_wall_at_a_time_and_what_is_taken_down_stays_offered(wall: Wall) -> None:
    wall.offers.offer(ME, ["mine"])
    wall.offers.offer(YOU, ["yours"])
    for number, runs in ((1, ("mine",)), (2, ("yours",)), (1, ("mine",))):
        wall.offers.put_up(wall.code, TEACHER, number)
        assert wall.up() == runs
    wall.offers.take_down(wall.code, TEACHER)
    assert (wall.up(), wall.offered) == ((), [("mine",), ("yours",)])


def test_what_is_declined_is_its_learner_s_to_see_and_nobody_else_s(wall: Wall) -> None:
    wall.offers.offer(ME, ["mine"])
    wall.offers.offer(YOU, ["yours"])
    wall.offers.put_up(wall.code, TEACHER, 1)
    wall.offers.decline(wall.code, TEACHER, 1)
    assert (wall.up(), wall.offered) == ((), [("yours",)])
    mine, yours = wall.offers.own(ME), wall.offers.own(YOU)
    assert mine is not None
    assert yours is not None
    assert (mine.declined, yours.declined) == (True, False)
    assert wall.offers.runs() == {"yours"}  # the lab need not keep the other
    with pytest.raises(Refusal, match="not offered any more"):
        wall.offers.put_up(wall.code, TEACHER, 1)
    wall.offers.offer(ME, ["other"])
    assert wall.offered == [("yours",), ("other",)]


def test_a_file_from_before_offers_could_be_declined_is_taken_as_it_is(wall: Wall) -> None:
    wall.offers.offer(ME, ["mine"])
    with sqlite3.connect(wall.path) as db:
        db.execute("ALTER TABLE offers DROP COLUMN declined")
    for _ in range(2):
        wall.open()
        assert wall.offered == [("mine",)]
    wall.offers.decline(wall.code, TEACHER, 1)
    assert wall.offered == []


def test_nobody_but_the_instructor_declines(wall: Wall) -> None:
    wall.offers.offer(ME, ["mine"])
    with pytest.raises(Refusal, match="Only the instructor"):
        wall.offers.decline(wall.code, YOU, 1)
    assert wall.offered == [("mine",)]


def test_another_run_is_not_shown_in_the_place_of_the_one_that_is_up(wall: Wall) -> None:
    """The instructor has chosen that run and not whatever its learner offers next."""
    wall.offers.offer(ME, ["mine"])
    wall.offers.put_up(wall.code, TEACHER, 1)
    wall.offers.offer(ME, ["other"])
    assert (wall.up(), wall.offered) == ((), [("other",)])


@pytest.mark.parametrize("runs", [["yours"], ["mine", "yours"], ["forgotten"], ["mine yours"], ["' OR 1=1 --"], [""]])
def test_nobody_offers_what_is_not_the_own(wall: Wall, runs: list[str]) -> None:
    with pytest.raises(Refusal, match="your own"):
        wall.offers.offer(ME, runs)
    assert wall.offered == []


@pytest.mark.parametrize("runs", [[], ["mine"] * 4])
def test_a_few_kitchens_fit_on_a_wall(wall: Wall, runs: list[str]) -> None:
    with pytest.raises(Refusal, match="1 to 3"):
        wall.offers.offer(ME, runs)


def test_only_the_owner_takes_back_and_only_the_instructor_puts_up(wall: Wall) -> None:
    wall.offers.offer(ME, ["mine"])
    for other in (YOU, "", "Ada", "1", TEACHER):
        wall.offers.take_back(other)
    assert wall.offered == [("mine",)]
    for nobody in (ME, YOU, ""):
        for act in (
            lambda by: wall.offers.put_up(wall.code, by, 1),
            lambda by: wall.offers.take_down(wall.code, by),
            lambda by: wall.offers.of(wall.code, by),
        ):
            with pytest.raises(Refusal, match="Only the instructor"):
                act(nobody)
    assert wall.up() == ()


@pytest.mark.parametrize("number", [0, 2, -1, 99])
def test_nobody_is_put_up_who_has_offered_nothing(wall: Wall, number: int) -> None:
    wall.offers.offer(ME, ["mine"])
    with pytest.raises(Refusal, match="not offered"):
        wall.offers.put_up(wall.code, TEACHER, number)
    assert wall.up() == ()


def test_an_offer_belongs_to_one_class(wall: Wall) -> None:
    wall.offers.offer(ME, ["mine"])
    other = wall.rooms.open(TEACHER).code
    with pytest.raises(Refusal, match="not offered"):
        wall.offers.put_up(other, TEACHER, 1)
    wall.rooms.leave(YOU)
    with pytest.raises(Refusal, match="in a class"):
        wall.offers.offer(YOU, ["yours"])


@pytest.mark.parametrize("how", ["leave", "join another", "reset", "delete"])
def test_who_goes_takes_the_own_run_along(wall: Wall, how: str) -> None:
    wall.offers.offer(ME, ["mine"])
    wall.offers.put_up(wall.code, TEACHER, 1)
    match how:
        case "leave":
            wall.rooms.leave(ME)
        case "join another":
            wall.rooms.join(wall.rooms.open(TEACHER).code, ME)
        case "reset":
            wall.rooms.reset(wall.code, TEACHER)
        case "delete":
            wall.rooms.delete(wall.code, TEACHER)
    assert (wall.up(), wall.offered, wall.offers.own(ME)) == ((), [], None)
    if how == "leave":  # and coming back is no consent
        wall.rooms.join(wall.code, ME)
        assert (wall.up(), wall.offered) == ((), [])


def test_coming_in_once_more_leaves_the_offer_as_it_is(wall: Wall) -> None:
    wall.offers.offer(ME, ["mine"])
    wall.rooms.join(wall.code, ME)
    assert wall.offered == [("mine",)]


def test_after_a_restart_there_is_no_offer_of_a_run_that_is_gone(wall: Wall) -> None:
    wall.offers.offer(ME, ["mine"])
    wall.offers.put_up(wall.code, TEACHER, 1)
    wall.runs.clear()
    wall.open()
    assert (wall.up(), wall.offered, wall.offers.own(ME), wall.offers.runs()) == ((), [], None, set())
    with pytest.raises(Refusal, match="while the lab has it"):
        wall.offers.offer(ME, ["mine"])
    wall.runs["new"] = ME
    wall.offers.offer(ME, ["new"])
    assert (wall.up(), wall.offered) == ((), [("new",)])


def test_a_nickname_is_on_the_wall_only_if_its_owner_said_so(wall: Wall) -> None:
    for named, by in ((False, "a learner"), (True, "Ada")):
        wall.offers.offer(ME, ["mine"], named=named)
        (offer,) = wall.offers.of(wall.code, TEACHER)
        assert (offer.by, offer.nickname, offer.number) == (by, "Ada", 1)
    wall.offers.offer(YOU, ["yours"], named=True)
    assert wall.offers.of(wall.code, TEACHER)[1].by == "a learner"
    assert ME not in repr(wall.offers.of(wall.code, TEACHER))


def test_a_flood_of_offers_pushes_none_off_the_wall(wall: Wall) -> None:
    wall.offers.offer(ME, ["mine"])
    wall.offers.put_up(wall.code, TEACHER, 1)
    for n in range(IN_A_ROOM + 5):
        wall.rooms.join(wall.code, f"learner {n}")
        wall.runs[f"run {n}".replace(" ", "-")] = f"learner {n}"
        wall.offers.offer(f"learner {n}", [f"run-{n}"])
    assert wall.up() == ("mine",)
    assert len(wall.offered) == IN_A_ROOM + 1
    assert wall.offered[-1] == (f"run-{IN_A_ROOM + 4}",)

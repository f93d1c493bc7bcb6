"""What a class's file says of it: all of it is read here or in `lab/classroom/offers.py`. No Streamlit."""

import sqlite3
from collections.abc import Callable

from lab.classroom.store import Ballot, Room, RoomFile, ballots_in, room_in
from lessons.book import Guess

ON_QUESTION = "WHERE v.room = ? AND v.lesson = ? AND v.round = ?"
OF_LEARNER = (
    "AND v.vote IN (1, 2) AND v.learner = ?"  # all of the key: without the vote, all that voted are looked through
)


class ClassRecords:
    """Whoever reads is told all at once, and again only after something has changed."""

    def __init__(self, file: RoomFile) -> None:
        self._file = file

    # ---- what anybody may see

    def room(self, code: str) -> Room | None:
        kept: Room | None = self._file.read(("room", code), lambda db: room_in(db, code))
        return kept

    def room_of(self, learner: str) -> Room | None:
        """The class that this learner is in."""
        query = "SELECT room FROM members WHERE learner = ? AND here = 1"
        row = self._file.read(("member", learner), lambda db: db.execute(query, (learner,)).fetchone())
        return self.room(row[0]) if row else None

    def shown(self, room: Room) -> tuple[tuple[Guess, ...], ...]:
        """The guesses of each vote whose counts are shown, without names."""
        asked = room.question
        if asked is None or not asked.counts:
            return ()
        values = (room.code, asked.lesson, asked.round)

        def read(db: sqlite3.Connection) -> tuple[tuple[Guess, ...], ...]:
            votes = [one for _, one in ballots_in(db, ON_QUESTION, values)]
            return tuple(
                tuple(one.guess for one in votes if one.vote == counted) for counted in range(1, asked.counts + 1)
            )

        kept: tuple[tuple[Guess, ...], ...] = self._file.read(("shown", *values, str(asked.counts)), read)
        return kept

    def own(self, room: Room, learner: str, vote: int) -> Ballot | None:
        """This learner's vote on the room's question. Read by itself: each vote has its learner's page drawn, and the
        file read again."""
        if room.question is None:
            return None
        values = (room.code, room.question.lesson, room.question.round, learner)
        kept: dict[int, Ballot] = self._file.read(
            ("own", *values),
            lambda db: {one.vote: one for _, one in ballots_in(db, f"{ON_QUESTION} {OF_LEARNER}", values)},
        )
        return kept.get(vote)

    def nickname(self, code: str, learner: str) -> str:
        query = "SELECT nickname FROM members WHERE room = ? AND learner = ?"
        row = self._file.read(("nickname", code, learner), lambda db: db.execute(query, (code, learner)).fetchone())
        return row[0] if row else ""

    def settings(self, code: str, lesson: str) -> dict[str, tuple[float, int]]:
        """For each round, the knob's setting when it was asked, and its run's seed."""
        query = "SELECT round, setting, seed FROM questions WHERE room = ? AND lesson = ?"
        kept: dict[str, tuple[float, int]] = self._file.read(
            ("settings", code, lesson),
            lambda db: {round: (setting, seed) for round, setting, seed in db.execute(query, (code, lesson))},
        )
        return kept

    # ---- what the instructor may see

    def all(self, by: str) -> list[Room]:
        """Newest first."""
        self._file.only(by)
        query = "SELECT code FROM rooms ORDER BY opened DESC, rowid DESC"
        codes = self._file.read(("rooms",), lambda db: db.execute(query).fetchall())
        return [room for (code,) in codes if (room := self.room(code))]

    def ballots(self, code: str, by: str) -> list[Ballot]:
        """Every vote in the room, in the order cast. Only the instructor sees them before the counts are shown."""
        self._file.only(by)
        kept: list[Ballot] = self._file.read(
            ("ballots", code), lambda db: [one for _, one in ballots_in(db, "WHERE v.room = ?", (code,))]
        )
        return kept

    def members(self, code: str, by: str) -> list[tuple[int, str, bool]]:
        """(number, nickname, has not left) of each member."""
        return [(number, name, joined) for _, number, name, joined in self.who(code, by)]

    def who(self, code: str, by: str) -> list[tuple[str, int, str, bool]]:
        """The same with each learner's name in front, which no page may show."""
        self._file.only(by)
        return self._members(code)

    # ---- for callers that show it to nobody

    def roster(self, code: str) -> list[tuple[int, str, bool]]:
        return [(number, name, joined) for _, number, name, joined in self._members(code)]

    def voters(self, room: Room) -> list[str]:
        """Who has voted on the question: each learner once for each vote."""
        if room.question is None:
            return []
        values = (room.code, room.question.lesson, room.question.round)
        query = f"SELECT v.learner FROM votes AS v {ON_QUESTION}"
        kept: list[str] = self._file.read(
            ("voters", *values), lambda db: [learner for (learner,) in db.execute(query, values)]
        )
        return kept

    def joined(self, code: str) -> list[str]:
        return [learner for learner, _, _, joined in self._members(code) if joined]

    def learners(self, code: str) -> list[str]:
        """In the order of the roster."""
        return [learner for learner, *_ in self._members(code)]

    def headcount(self, room: Room, here: Callable[[str], bool]) -> int:
        """How many members are `here` or have voted on the question."""
        voted = set(self.voters(room))
        return sum((joined and here(learner)) or learner in voted for learner, _, _, joined in self._members(room.code))

    def _members(self, code: str) -> list[tuple[str, int, str, bool]]:
        query = "SELECT learner, number, nickname, here FROM members WHERE room = ? ORDER BY number"
        kept: list[tuple[str, int, str, bool]] = self._file.read(
            ("members", code),
            lambda db: [
                (learner, number, name, bool(here)) for learner, number, name, here in db.execute(query, (code,))
            ],
        )
        return kept

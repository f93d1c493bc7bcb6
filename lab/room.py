"""A class: a room with a short code, its members, the question it is at, and their votes. No Streamlit.

For each question: everybody votes alone; the instructor may show the counts, have everybody vote once more after a
talk, has the engine run once for all, and shows the answer. Each step shuts what came before it, and none can be taken
back: a vote cast after something was seen would say something else. What is asked of a room is asked `by` somebody,
and all rules hold here, whatever a page offers. One SQLite file; each act is a transaction.
"""

import secrets
import sqlite3
import time
import unicodedata
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from lessons.book import Guess, checked, now, opened
from lessons.keys import Key
from lessons.lesson import Round

Pace = Literal["step", "free"]  # all at the room's question; everyone where they like
ALPHABET = "ACDEFHJKMNPQRTUVWXY34679"  # none that is taken for another
CODE_CHARS = 5
NICKNAME_CHARS = 24
SCHEMA = """
CREATE TABLE IF NOT EXISTS rooms (code TEXT PRIMARY KEY, opened TEXT, pace TEXT, lesson TEXT DEFAULT '',
    round TEXT DEFAULT '', timer_s REAL DEFAULT 0);
CREATE TABLE IF NOT EXISTS members (room TEXT, learner TEXT, number INTEGER, nickname TEXT, here INTEGER,
    PRIMARY KEY (room, learner));
CREATE TABLE IF NOT EXISTS questions (room TEXT, lesson TEXT, round TEXT, setting REAL, vote INTEGER DEFAULT 1,
    counts INTEGER DEFAULT 0, running INTEGER DEFAULT 0, answer TEXT, machine TEXT DEFAULT '',
    PRIMARY KEY (room, lesson, round));
CREATE TABLE IF NOT EXISTS votes (room TEXT, lesson TEXT, round TEXT, vote INTEGER, learner TEXT, guess TEXT, at TEXT,
    PRIMARY KEY (room, lesson, round, vote, learner));
"""
TABLES = ("votes", "questions", "members")


class Refusal(Exception):
    """One clear sentence: why not."""


class Question(msgspec.Struct, frozen=True):
    """`vote`: the first or the second is on, or was last. `counts`: of how many votes the counts are shown."""

    lesson: str
    round: str
    setting: float
    vote: int
    counts: int
    running: bool  # the engine runs for all, or has run
    answer: Key | None  # once it is shown
    machine: str

    @property
    def open(self) -> bool:
        return not self.running and self.answer is None and self.counts < self.vote


class Room(msgspec.Struct, frozen=True):
    code: str
    pace: Pace
    question: Question | None
    timer_s: float  # when the timer ends, seconds since 1970; 0 without one
    members: int
    voted: tuple[int, int]  # how many, the first and the second time


class Ballot(msgspec.Struct, frozen=True):
    """`number` stands for the learner: the name in the cookie would let whoever reads it be that learner."""

    room: str
    lesson: str
    round: str
    vote: int
    number: int
    nickname: str
    guess: Guess
    at: str


class Rooms:
    """All rooms in the file at `path`. Safe to use from several threads, but by one process only: every page of a class
    looks once a second, so what was read is kept in memory until something is written."""

    def __init__(self, path: Path, instructors: Container[str]) -> None:
        self._path = path
        self._instructors = instructors
        self._kept: dict[tuple[str, ...], Any] = {}
        self._written = 0  # how often; what was read before the last time is not kept
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened(path) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(SCHEMA)

    # ---- what anybody may see

    def room(self, code: str) -> Room | None:
        kept: Room | None = self._read(("room", code), lambda db: _room(db, code))
        return kept

    def room_of(self, learner: str) -> Room | None:
        """Where this learner is."""
        query = "SELECT room FROM members WHERE learner = ? AND here = 1"
        row = self._read(("member", learner), lambda db: db.execute(query, (learner,)).fetchone())
        return self.room(row[0]) if row else None

    def shown(self, room: Room) -> tuple[tuple[Guess, ...], ...]:
        """The guesses whose counts are shown, vote by vote and without names."""
        asked = room.question
        if asked is None:
            return ()
        votes = self._votes(room.code, asked)
        return tuple(
            tuple(one.guess for (_, vote), one in votes.items() if vote == counted)
            for counted in range(1, asked.counts + 1)
        )

    def own(self, room: Room, learner: str, vote: int) -> Ballot | None:
        """This learner's vote on the room's question."""
        return self._votes(room.code, room.question).get((learner, vote)) if room.question else None

    def settings(self, code: str, lesson: str) -> dict[str, float]:
        """By round, where the knob stood when it was asked."""
        query = "SELECT round, setting FROM questions WHERE room = ? AND lesson = ?"
        kept: dict[str, float] = self._read(
            ("settings", code, lesson), lambda db: dict(db.execute(query, (code, lesson)).fetchall())
        )
        return kept

    # ---- what learners do

    def join(self, code: str, learner: str, nickname: str = "") -> Room:
        """Come in, or come back; at any time. Leaves the room one was in before."""
        name = _nickname(nickname)
        with self._act() as db:
            if _room(db, code) is None:
                raise Refusal(f"There is no class with the code {code!r}. Look at it once more.")
            db.execute("UPDATE members SET here = 0 WHERE learner = ?", (learner,))
            db.execute(
                "INSERT INTO members SELECT ?, ?, 1 + COUNT(*), ?, 1 FROM members WHERE room = ? "
                "ON CONFLICT DO UPDATE SET here = 1, nickname = CASE excluded.nickname WHEN '' THEN nickname "
                "ELSE excluded.nickname END",
                (code, learner, name, code),
            )
            return _known(db, code)

    def leave(self, learner: str) -> None:
        """Votes stay."""
        with self._act() as db:
            db.execute("UPDATE members SET here = 0 WHERE learner = ?", (learner,))

    def cast(self, code: str, learner: str, asked: Question, round: Round, guess: Guess) -> None:
        """Vote on `asked`, the question as the learner was shown it. Raises Refusal, and BadInput for no answer."""
        checked(round, guess)
        with self._act() as db:
            room = _known(db, code)
            at = room.question
            if not db.execute("SELECT 1 FROM members WHERE room = ? AND learner = ?", (code, learner)).fetchone():
                raise Refusal("Only those who have joined this class can vote in it.")
            if at is None or (at.lesson, at.round) != (asked.lesson, asked.round):
                raise Refusal("The class has gone on to another question.")
            if at.vote != asked.vote:
                raise Refusal("The first vote is over; the second is on.")
            if not at.open:
                raise Refusal(
                    "This vote is closed: it ended when the counts or the answer were shown or the run began."
                )
            try:
                db.execute(
                    "INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (code, at.lesson, at.round, at.vote, learner, msgspec.json.encode(guess).decode(), now()),
                )
            except sqlite3.IntegrityError as voted:
                raise Refusal("You have voted on this already, and a vote can't be changed.") from voted

    # ---- what the instructor does

    def open(self, by: str) -> Room:
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_CHARS))
        with self._act(by) as db:
            db.execute("INSERT INTO rooms (code, opened, pace) VALUES (?, ?, 'free')", (code, now()))
            return _known(db, code)

    def all(self, by: str) -> list[Room]:
        """Newest first."""
        with self._act(by) as db:
            codes = db.execute("SELECT code FROM rooms ORDER BY opened DESC, rowid DESC").fetchall()
            return [_known(db, code) for (code,) in codes]

    def ask(self, code: str, by: str, lesson: str, round: str, setting: float = 0.0) -> None:
        """Take everybody to that question. One that was asked before is as it was left."""
        with self._act(by) as db:
            _known(db, code)
            db.execute(
                "INSERT OR IGNORE INTO questions (room, lesson, round, setting) VALUES (?, ?, ?, ?)",
                (code, lesson, round, setting),
            )
            db.execute(
                "UPDATE rooms SET lesson = ?, round = ?, pace = 'step', timer_s = 0 WHERE code = ?",
                (lesson, round, code),
            )

    def set_pace(self, code: str, by: str, pace: Pace) -> None:
        with self._act(by) as db:
            if pace == "step" and _known(db, code).question is None:
                raise Refusal("Ask a question first; then everybody can be taken to it.")
            db.execute("UPDATE rooms SET pace = ? WHERE code = ?", (pace, code))

    def set_timer(self, code: str, by: str, seconds: float) -> None:
        """Shown to everybody; it ends nothing by itself. 0 takes it away."""
        if not 0 <= seconds <= 3600:
            raise Refusal("A timer runs for at most an hour.")
        with self._act(by) as db:
            db.execute("UPDATE rooms SET timer_s = ? WHERE code = ?", (seconds and time.time() + seconds, code))

    def show_counts(self, code: str, by: str) -> None:
        """Of the vote that is on, or was; it is closed with that."""
        self._question(code, by, "counts = vote")

    def vote_again(self, code: str, by: str) -> None:
        self._question(code, by, "vote = 2", open_only="The second vote can't be opened: something has been shown.")

    def run(self, code: str, by: str) -> None:
        """Close the vote; from now on the engine may run for all."""
        self._question(code, by, "running = 1")

    def show_answer(self, code: str, by: str, key: Key, machine: str) -> None:
        self._question(
            code, by, "counts = vote, running = 1, answer = COALESCE(answer, ?), machine = ?", (_json(key), machine)
        )

    def reset(self, code: str, by: str) -> None:
        """All votes and questions are gone; members stay."""
        with self._act(by) as db:
            _known(db, code)
            for table in ("votes", "questions"):
                db.execute(f"DELETE FROM {table} WHERE room = ?", (code,))
            db.execute("UPDATE rooms SET lesson = '', round = '', pace = 'free', timer_s = 0 WHERE code = ?", (code,))

    def delete(self, code: str, by: str) -> None:
        """The room and everything that was said in it."""
        with self._act(by) as db:
            for table in TABLES:
                db.execute(f"DELETE FROM {table} WHERE room = ?", (code,))
            db.execute("DELETE FROM rooms WHERE code = ?", (code,))

    def ballots(self, code: str, by: str) -> list[Ballot]:
        """Every vote in the room, in the order in which they were cast; the instructor sees them before anybody."""
        with self._act(by) as db:
            return [one for _, one in _ballots(db, "WHERE v.room = ?", (code,))]

    def members(self, code: str, by: str) -> list[tuple[int, str, bool]]:
        """Number, nickname, and whether they are still here."""
        with self._act(by) as db:
            query = "SELECT number, nickname, here FROM members WHERE room = ? ORDER BY number"
            return [(number, name, bool(here)) for number, name, here in db.execute(query, (code,))]

    # ---- inside

    def _question(self, code: str, by: str, change: str, values: tuple[str, ...] = (), *, open_only: str = "") -> None:
        with self._act(by) as db:
            asked = _known(db, code).question
            if asked is None:
                raise Refusal("No question has been asked yet.")
            if open_only and (asked.running or asked.answer is not None):
                raise Refusal(open_only)
            where = "WHERE room = ? AND lesson = ? AND round = ?"
            db.execute(f"UPDATE questions SET {change} {where}", (*values, code, asked.lesson, asked.round))

    @contextmanager
    def _act(self, by: str | None = None) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else's comes in between; as an instructor's if it is `by` somebody."""
        if by is not None and by not in self._instructors:
            raise Refusal("Only the instructor can do that.")
        try:
            with opened(self._path) as db:
                db.execute("BEGIN IMMEDIATE")
                yield db
        finally:
            self._written += 1
            self._kept = {}

    def _votes(self, code: str, asked: Question) -> dict[tuple[str, int], Ballot]:
        """By learner and vote, in the order in which they were cast."""
        where, values = "WHERE v.room = ? AND v.lesson = ? AND v.round = ?", (code, asked.lesson, asked.round)
        kept: dict[tuple[str, int], Ballot] = self._read(
            ("votes", *values),
            lambda db: {(learner, one.vote): one for learner, one in _ballots(db, where, values)},
        )
        return kept

    def _read(self, what: tuple[str, ...], read: Callable[[sqlite3.Connection], Any]) -> Any:
        kept, written = self._kept, self._written
        if what in kept:
            return kept[what]
        with opened(self._path) as db:
            found = read(db)
        if written == self._written:
            kept[what] = found
        return found


def _room(db: sqlite3.Connection, code: str) -> Room | None:
    row = db.execute("SELECT pace, lesson, round, timer_s FROM rooms WHERE code = ?", (code,)).fetchone()
    if row is None:
        return None
    pace, lesson, round, timer_s = row
    members = db.execute(
        "SELECT COUNT(*) FROM members AS m WHERE room = ?1 AND (here = 1 OR EXISTS "
        "(SELECT 1 FROM votes WHERE room = ?1 AND lesson = ?2 AND round = ?3 AND learner = m.learner))",
        (code, lesson, round),
    ).fetchone()[0]
    query = "SELECT setting, vote, counts, running, answer, machine FROM questions"
    question = db.execute(f"{query} WHERE room = ? AND lesson = ? AND round = ?", (code, lesson, round)).fetchone()
    asked = None
    if question is not None:
        setting, vote, counts, running, answer, machine = question
        key = msgspec.json.decode(answer, type=Key) if answer else None
        asked = Question(lesson, round, setting, vote, counts, bool(running), key, machine)
    query = "SELECT vote, COUNT(*) FROM votes WHERE room = ? AND lesson = ? AND round = ? GROUP BY vote"
    voted = dict(db.execute(query, (code, lesson, round)).fetchall())
    return Room(code, pace, asked, timer_s, members, (voted.get(1, 0), voted.get(2, 0)))


def _known(db: sqlite3.Connection, code: str) -> Room:
    room = _room(db, code)
    if room is None:
        raise Refusal(f"There is no class with the code {code!r}.")
    return room


def _ballots(db: sqlite3.Connection, where: str, values: tuple[object, ...]) -> Iterator[tuple[str, Ballot]]:
    """With whose they are."""
    query = (
        "SELECT v.learner, v.room, v.lesson, v.round, v.vote, m.number, m.nickname, v.guess, v.at FROM votes AS v "
        f"JOIN members AS m ON m.room = v.room AND m.learner = v.learner {where} ORDER BY v.at, v.rowid"
    )
    for learner, room, lesson, round, vote, number, nickname, guess, at in db.execute(query, values):
        yield learner, Ballot(room, lesson, round, vote, number, nickname, msgspec.json.decode(guess, type=Guess), at)


def _json(key: Key) -> str:
    return msgspec.json.encode(key).decode()


def _nickname(said: str) -> str:
    """Letters of any language, digits, spaces and - _ . ': nothing that a page or a spreadsheet could take for code."""
    name = " ".join(said.split())
    if len(name) > NICKNAME_CHARS:
        raise Refusal(f"A nickname has at most {NICKNAME_CHARS} characters.")
    fits = all(unicodedata.category(letter)[0] in "LMN" or letter in " -_.'" for letter in name)
    if not fits or (name and unicodedata.category(name[0])[0] not in "LN"):
        raise Refusal("A nickname has letters, digits, spaces and - _ . ' only, and begins with a letter or digit.")
    return name

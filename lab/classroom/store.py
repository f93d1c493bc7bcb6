"""What a class is, and the file that holds it: a room with a short code, its members, its question, their votes and
their offers. No Streamlit.

Pages read it; `lab/classroom/actions.py` and `lab/classroom/offers.py` write. One SQLite file; each act is a
transaction.
"""

import sqlite3
import unicodedata
from collections.abc import Callable, Collection, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from lessons.book import Guess, HeldOpen
from lessons.evidence import Made
from lessons.keys import Key, Value, Word, judged

NICKNAME_CHARS = 24
Pace = Literal["step", "free", "play"]  # all at the room's question; everyone where they like; all are the cook
SCHEMA = """
CREATE TABLE IF NOT EXISTS rooms (code TEXT PRIMARY KEY, opened TEXT, pace TEXT, lesson TEXT DEFAULT '',
    round TEXT DEFAULT '', timer_s REAL DEFAULT 0);
CREATE TABLE IF NOT EXISTS members (room TEXT, learner TEXT, number INTEGER, nickname TEXT, here INTEGER,
    PRIMARY KEY (room, learner));
CREATE INDEX IF NOT EXISTS members_by_learner ON members (learner);
CREATE TABLE IF NOT EXISTS questions (room TEXT, lesson TEXT, round TEXT, setting REAL, vote INTEGER DEFAULT 1,
    counts INTEGER DEFAULT 0, running INTEGER DEFAULT 0, answer TEXT, machine TEXT DEFAULT '',
    PRIMARY KEY (room, lesson, round));
CREATE TABLE IF NOT EXISTS votes (room TEXT, lesson TEXT, round TEXT, vote INTEGER, learner TEXT, guess TEXT, at TEXT,
    PRIMARY KEY (room, lesson, round, vote, learner));
CREATE TABLE IF NOT EXISTS offers (room TEXT, learner TEXT, runs TEXT, named INTEGER, at TEXT, up INTEGER DEFAULT 0,
    PRIMARY KEY (room, learner));
CREATE TABLE IF NOT EXISTS games (room TEXT PRIMARY KEY, level INTEGER, seed INTEGER, pace TEXT, best TEXT DEFAULT '',
    names INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS plays (room TEXT, learner TEXT, moves TEXT, score TEXT, named INTEGER DEFAULT 0,
    PRIMARY KEY (room, learner));
"""
ADDED = {  # later; a file may be older
    "questions": ("seed INTEGER DEFAULT 0", "made TEXT DEFAULT ''"),
    "offers": ("declined INTEGER DEFAULT 0",),
}
TABLES = ("plays", "games", "offers", "votes", "questions", "members")


class Refusal(Exception):
    """Why not, in one clear sentence."""


class ClassQuestion(msgspec.Struct, frozen=True):
    """`vote`: 1 or 2, the current or last one. `counts`: how many votes have their counts shown."""

    lesson: str
    round: str
    setting: float
    vote: int
    counts: int
    running: bool  # the engine runs for the class, or has run
    answer: Key | None  # once it is shown
    machine: str
    seed: int = 0  # of the first repeat of the class's run
    made: Made | None = None  # how the answer's runs were made; None for an answer without runs

    @property
    def open(self) -> bool:
        return not self.running and self.answer is None and self.counts < self.vote


class Room(msgspec.Struct, frozen=True):
    """A class: its code, its pace, where it is, and how many have voted."""

    code: str
    pace: Pace
    question: ClassQuestion | None
    timer_s: float  # when the timer ends, in seconds since 1970; 0 without a timer
    voted: tuple[int, int]  # how many voted in the first and in the second vote

    @property
    def together(self) -> bool:
        """Whether all are at the same: a question, or a round of the game."""
        return self.pace == "play" or (self.pace == "step" and self.question is not None)


class Ballot(msgspec.Struct, frozen=True):
    """`number` identifies the learner: whoever read the name in the cookie could act as that learner. `measured` and
    `verdict`: once the answer is shown."""

    room: str
    lesson: str
    round: str
    vote: int
    number: int
    nickname: str
    guess: Guess
    at: str
    seed: int = 0  # the class's run's, once there is one
    measured: Value | None = None
    verdict: Word | Literal[""] = ""


class RoomFile:
    """The file at `path`. Thread-safe, but for one process only: all pages of a class read the same things, so what was
    read is kept in memory until something is written, and the file stays open."""

    def __init__(self, path: Path, instructors: Container[str]) -> None:
        self._instructors = instructors
        self._kept: dict[str, dict[tuple[str, ...], Any]] = {}  # by the first part of its name
        self._written = 0  # how often; reads from before the last write are not kept
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open = HeldOpen(path).transaction
        with self._open() as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(SCHEMA)
            for table, columns in ADDED.items():
                there = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
                for column in columns:
                    if column.split()[0] not in there:
                        db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")

    def only(self, by: str) -> None:
        """Raises Refusal unless `by` is an instructor."""
        if by not in self._instructors:
            raise Refusal("Only the instructor can do that.")

    @contextmanager
    def act(self, by: str | None = None, changes: Collection[str] = ()) -> Iterator[sqlite3.Connection]:
        """An exclusive transaction. If it is `by` somebody, raises Refusal unless that is an instructor. `changes`:
        only what was read under these names can be another thing after it; () for everything."""
        if by is not None:
            self.only(by)
        try:
            with self._open() as db:
                db.execute("BEGIN IMMEDIATE")
                yield db
        finally:
            self._written += 1
            self._kept = {name: kept for name, kept in dict(self._kept).items() if changes and name not in changes}

    def read(self, what: tuple[str, ...], read: Callable[[sqlite3.Connection], Any]) -> Any:
        written = self._written
        kept = self._kept.setdefault(what[0], {})
        if what in kept:
            return kept[what]
        with self._open() as db:
            found = read(db)
        if written == self._written:
            kept[what] = found
        return found


def room_in(db: sqlite3.Connection, code: str) -> Room | None:
    """The class with this code; None if there is none."""
    row = db.execute("SELECT pace, lesson, round, timer_s FROM rooms WHERE code = ?", (code,)).fetchone()
    if row is None:
        return None
    pace, lesson, round, timer_s = row
    query = "SELECT setting, vote, counts, running, answer, machine, seed, made FROM questions"
    question = db.execute(f"{query} WHERE room = ? AND lesson = ? AND round = ?", (code, lesson, round)).fetchone()
    asked = None
    if question is not None:
        setting, vote, counts, running, answer, machine, seed, made = question
        key = msgspec.json.decode(answer, type=Key) if answer else None
        how = msgspec.json.decode(made, type=Made) if made else None
        asked = ClassQuestion(lesson, round, setting, vote, counts, bool(running), key, machine, seed, how)
    query = "SELECT vote, COUNT(*) FROM votes WHERE room = ? AND lesson = ? AND round = ? GROUP BY vote"
    voted = dict(db.execute(query, (code, lesson, round)).fetchall())
    return Room(code, pace, asked, timer_s, (voted.get(1, 0), voted.get(2, 0)))


def known(db: sqlite3.Connection, code: str) -> Room:
    """The class with this code. Raises Refusal if there is none."""
    room = room_in(db, code)
    if room is None:
        raise Refusal(f"There is no class with the code {code!r}.")
    return room


def ballots_in(db: sqlite3.Connection, where: str, values: tuple[object, ...]) -> Iterator[tuple[str, Ballot]]:
    """(learner, ballot) pairs."""
    query = (
        "SELECT v.learner, v.room, v.lesson, v.round, v.vote, m.number, m.nickname, v.guess, v.at, q.seed, q.answer "
        "FROM votes AS v JOIN members AS m ON m.room = v.room AND m.learner = v.learner "
        "JOIN questions AS q ON q.room = v.room "
        f"AND q.lesson = v.lesson AND q.round = v.round {where} ORDER BY v.at, v.rowid"
    )
    for learner, room, lesson, round, vote, number, nickname, said, at, seed, answer in db.execute(query, values):
        guess = msgspec.json.decode(said, type=Guess)
        key = msgspec.json.decode(answer, type=Key) if answer else None
        found = (key.value, judged(guess.value, key).word) if key else (None, "")
        yield learner, Ballot(room, lesson, round, vote, number, nickname, guess, at, seed, *found)


def checked_nickname(said: str) -> str:
    """Letters of any language, digits, spaces and - _ . ': nothing that a page or a spreadsheet could take for code."""
    name = " ".join(said.split())
    if len(name) > NICKNAME_CHARS:
        raise Refusal(f"A nickname has at most {NICKNAME_CHARS} characters.")
    fits = all(unicodedata.category(letter)[0] in "LMN" or letter in " -_.'" for letter in name)
    if not fits or (name and unicodedata.category(name[0])[0] not in "LN"):
        raise Refusal("A nickname has letters, digits, spaces and - _ . ' only, and begins with a letter or digit.")
    return name

"""Where guesses are kept: one SQLite file for a class, or for one person's notebooks.

A guess is written once. The database holds it: there is one row for a learner's round, it can't be overwritten, and an
outcome can be added to it but not exchanged.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from engine.errors import BadInput
from lessons.keys import Key, Value, Verdict
from lessons.lesson import Round
from lessons.question import CONFIDENCES, Choice, Confidence

REASON_CHARS = 400
VERSION = 1


class Guess(msgspec.Struct, frozen=True):
    """`value`: an option's name, or numbers in the answer's unit: one, or one for each x. `setting`: the knob's."""

    value: Value
    confidence: Confidence
    reason: str = ""
    setting: float = 0.0


class Outcome(msgspec.Struct, frozen=True):
    """What the round's evidence came to, where and when."""

    key: Key
    verdict: Verdict
    machine: str
    at: str


class Entry(msgspec.Struct, frozen=True):
    """One round of one learner: the guess, locked at `at` (UTC, ISO 8601), and the outcome once there is one."""

    lesson: str
    round: str
    at: str
    guess: Guess
    outcome: Outcome | None = None
    version: int = VERSION


Open = Callable[[], AbstractContextManager[sqlite3.Connection]]  # for one transaction


class Book:
    """One learner's pages in the file at `path`, which is opened for each transaction, or as `open` does it. Safe to
    use from several threads."""

    def __init__(self, path: str | Path, learner: str, open: Open | None = None) -> None:
        self._open: Open = open or partial(opened, path)
        self._learner = learner
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with self._open() as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(
                "CREATE TABLE IF NOT EXISTS entries (learner TEXT, lesson TEXT, round TEXT, at TEXT, guess TEXT, "
                "outcome TEXT, PRIMARY KEY (learner, lesson, round))"
            )

    def of(self, learner: str) -> "Book":
        """Another learner's pages in the same file."""
        other = copy(self)
        other._learner = learner
        return other

    def commit(self, lesson: str, asked: Round, guess: Guess) -> Entry:
        """Lock the guess. Raises BadInput if it is none, or if there is one already."""
        checked(asked, guess)
        at = now()
        with self._open() as db:
            row = (self._learner, lesson, asked.name, at, msgspec.json.encode(guess).decode())
            try:
                db.execute("INSERT INTO entries (learner, lesson, round, at, guess) VALUES (?, ?, ?, ?, ?)", row)
            except sqlite3.IntegrityError as locked:
                raise BadInput("guess", guess.value, "the first for this question: yours is locked") from locked
        return Entry(lesson, asked.name, at, guess)

    def settle(self, lesson: str, name: str, outcome: Outcome) -> None:
        """Add what was measured. The first outcome counts; without a guess there is nothing to add it to."""
        with self._open() as db:
            db.execute(
                "UPDATE entries SET outcome = ? WHERE learner = ? AND lesson = ? AND round = ? AND outcome IS NULL",
                (msgspec.json.encode(outcome).decode(), self._learner, lesson, name),
            )

    def entry(self, lesson: str, name: str) -> Entry | None:
        return next(iter(self._entries("AND lesson = ? AND round = ?", lesson, name)), None)

    def entries(self) -> list[Entry]:
        """All of this learner's, in the order in which they were locked."""
        return self._entries()

    def _entries(self, which: str = "", *values: str) -> list[Entry]:
        query = f"SELECT lesson, round, at, guess, outcome FROM entries WHERE learner = ? {which} ORDER BY at, rowid"
        with self._open() as db:
            rows = db.execute(query, (self._learner, *values)).fetchall()
        return [
            Entry(
                lesson,
                name,
                at,
                msgspec.json.decode(guess, type=Guess),
                msgspec.json.decode(outcome, type=Outcome) if outcome else None,
            )
            for lesson, name, at, guess, outcome in rows
        ]

    def export(self) -> bytes:
        """JSON lines, one a round."""
        return b"".join(msgspec.json.encode(entry) + b"\n" for entry in self.entries())

    def forget(self) -> None:
        """Delete everything this learner has left here."""
        with self._open() as db:
            db.execute("DELETE FROM entries WHERE learner = ?", (self._learner,))


@contextmanager
def opened(path: str | Path) -> Iterator[sqlite3.Connection]:
    """The database, for one transaction: all of it is kept, or after an exception nothing. The last connection to close
    writes the log back and waits for the disk."""
    db = _connected(path)
    try:
        with db:
            yield db
    finally:
        db.close()


class HeldOpen:
    """The database, open for as long as this lives: opening it takes longer than a transaction does. One transaction at
    a time, from any thread; none inside another.

    The disk is not waited for: what is written survives this process, and a power cut can take the last of it."""

    def __init__(self, path: str | Path) -> None:
        self._db = _connected(path)
        self._turn = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it is kept, or after an exception nothing."""
        with self._turn, self._db:
            yield self._db


def _connected(path: str | Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=10.0, check_same_thread=False)
    db.execute("PRAGMA synchronous=NORMAL")
    return db


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def checked(asked: Round, guess: Guess) -> None:
    """Raises BadInput for what is no answer to the question: the browser's own limits bind nobody."""
    if guess.confidence not in CONFIDENCES:
        raise BadInput("confidence", guess.confidence, "one of " + ", ".join(CONFIDENCES))
    if len(guess.reason) > REASON_CHARS:
        raise BadInput("reason", f"{len(guess.reason)} characters long", f"at most {REASON_CHARS}")
    if asked.knob is not None and guess.setting not in asked.knob.values:
        raise BadInput(asked.knob.label, guess.setting, "one of " + ", ".join(map(asked.knob.words, asked.knob.values)))
    answer, value = asked.answer, guess.value
    if isinstance(answer, Choice):
        if value not in answer.options:
            raise BadInput("guess", value, "one of " + ", ".join(answer.options))
        return
    if isinstance(value, str) or len(value) != answer.points:
        raise BadInput("guess", value, f"{answer.points} number{'s' if answer.points > 1 else ''}")
    for point in value:
        if not answer.low <= point <= answer.high:
            raise BadInput("guess", point, f"a number from {answer.low:g} to {answer.high:g} {answer.unit}".rstrip())

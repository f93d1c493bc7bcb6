"""The folder of guesses and classes, looked at before the lab starts: what is wrong with it is then one sentence."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import BadInput
from lessons.book import Guess, Outcome
from lessons.evidence import Made
from lessons.keys import Key

KEPT: dict[str, dict[tuple[str, str], Any]] = {  # by file: what its tables' columns keep as JSON
    "guesses.sqlite": {("entries", "guess"): Guess, ("entries", "outcome"): Outcome},
    "class.sqlite": {("votes", "guess"): Guess, ("questions", "answer"): Key, ("questions", "made"): Made},
}
ROOM_BYTES = 256 * 1024  # what SQLite takes for its two files and their logs before there is a single guess
NAME = "SPLIT_KITCHEN_DATA"


def check_data_folder(folder: Path) -> None:
    """Make the folder if there is none. Raises BadInput where nothing can be kept in it, or a file in it is damaged."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as room:
            room.write(bytes(ROOM_BYTES))
    except OSError as why:
        allowed = f"a folder that can be written to and has {ROOM_BYTES // 1024} kB free ({why.strerror})"
        raise BadInput(NAME, str(folder), allowed) from why
    for name in KEPT:
        if (folder / name).exists():
            _check_database(folder / name)


def _check_database(file: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=0)) as db:
            db.execute("BEGIN IMMEDIATE")  # reads the file's head, and wants to write
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()  # reads all of it
            if found != "ok":
                raise sqlite3.DatabaseError(" ".join(found.split()))
            for (table, column), kind in KEPT[file.name].items():
                _check_column(db, table, column, kind)
    except (sqlite3.Error, msgspec.MsgspecError, UnicodeDecodeError) as why:
        if getattr(why, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            return  # another lab writes there this moment
        allowed = (
            f"a folder whose {file.name} is whole and writable ({why}): move it away, and the lab starts a new one"
        )
        raise BadInput(NAME, str(file.parent), allowed) from why


def _check_column(db: sqlite3.Connection, table: str, column: str, kind: Any) -> None:
    """What is kept there as JSON is what the lab's pages will read. Raises DecodeError; a file of before has less."""
    if column in {row[1] for row in db.execute(f"PRAGMA table_info({table})")}:
        for (said,) in db.execute(f"SELECT {column} FROM {table} WHERE {column} != ''"):
            msgspec.json.decode(said, type=kind)

"""Who leads a class: whoever has entered the lab's key, remembered under the same cookie as every learner.

The key comes from the settings, or is made once, kept in the data folder and printed when the lab starts. It is
entered in a form and is in no address. What is kept of an instructor is a proof made with the key, so a new key ends
all that was granted with the old one.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path

from engine.errors import BadInput
from engine.files import contents, reason, write_whole
from lab.classroom.store import Refusal
from lessons.book import opened

KEY_CHARS = 12
MOST_BYTES = 10_000  # of the file that keeps it
WINDOW_S, TRIES, TRIES_OF_ALL = 60.0, 5, 60  # of one learner, and of all: anybody can make up names in cookies


def made_key(folder: Path) -> str:
    """The key kept in `folder`; made the first time, readable by its owner only. Raises BadInput for a short one."""
    path = folder / "instructor-key"
    try:
        if not path.exists() or not path.stat().st_size:  # empty: made where a disk was full, and nobody's key
            write_whole(path, secrets.token_urlsafe(12).encode(), mode=0o600)
        return long_enough(str(path), contents(path, MOST_BYTES).decode("utf-8", "replace").strip())
    except OSError as why:
        allowed = f"a folder that can be written to, with an instructor-key that can be read ({reason(why)})"
        raise BadInput("SPLIT_KITCHEN_DATA", str(folder), allowed) from why


def long_enough(name: str, key: str) -> str:
    """The key, if it cannot be guessed; else BadInput naming where it stands."""
    if len(key) < KEY_CHARS:
        raise BadInput(name, f"{len(key)} characters long", f"at least {KEY_CHARS}")
    return key


class Instructors:
    """Thread-safe. `learner in instructors` tells whether that learner leads. `clock` gives seconds."""

    def __init__(self, path: Path, key: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._key = key
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: dict[str, deque[float]] = defaultdict(deque)
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened(path) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("CREATE TABLE IF NOT EXISTS instructors (learner TEXT PRIMARY KEY, proof TEXT NOT NULL)")

    def admit(self, learner: str, key: str) -> None:
        """Raises Refusal for a wrong key, and for any key after too many of them."""
        with self._lock:
            self._limit(learner)
            if not hmac.compare_digest(key.strip().encode(), self._key.encode()):
                for who in (learner, ""):
                    self._wrong[who].append(self._clock())
                raise Refusal("That is not the key. The lab prints it when it starts.")
            self._wrong.pop(learner, None)
        with opened(self._path) as db:
            db.execute("INSERT OR REPLACE INTO instructors VALUES (?, ?)", (learner, self._proof(learner)))

    def dismiss(self, learner: str) -> None:
        with opened(self._path) as db:
            db.execute("DELETE FROM instructors WHERE learner = ?", (learner,))

    def __contains__(self, learner: object) -> bool:
        with opened(self._path) as db:
            row: tuple[str] | None = db.execute(
                "SELECT proof FROM instructors WHERE learner = ?", (learner,)
            ).fetchone()
        return row is not None and hmac.compare_digest(row[0], self._proof(str(learner)))

    def _proof(self, learner: str) -> str:
        return hmac.new(self._key.encode(), learner.encode(), hashlib.sha256).hexdigest()

    def _limit(self, learner: str) -> None:
        since = self._clock() - WINDOW_S
        for who in list(self._wrong):
            while self._wrong[who] and self._wrong[who][0] < since:
                self._wrong[who].popleft()
            if not self._wrong[who]:
                del self._wrong[who]
        for who, most in ((learner, TRIES), ("", TRIES_OF_ALL)):
            if len(self._wrong.get(who, ())) >= most:
                raise Refusal(f"Too many wrong keys; try again in {WINDOW_S:.0f} s.")

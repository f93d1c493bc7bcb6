"""What has been gathered, and what is being gathered: evidence by learner, lesson and round, in memory. Guesses and
outcomes are not here but in the book.
"""

import threading
from collections.abc import Mapping
from typing import Any

from lab.course.evidence_runs import Gathering, Part
from lessons.evidence import Evidence
from lessons.lesson import Lesson, Round

KEPT = 400  # rounds, of all learners; the oldest make room


class Gathered:
    """Evidence and what is being gathered, by (learner, lesson, round)."""

    def __init__(self) -> None:
        self._evidence: dict[tuple[str, str, str], Evidence] = {}
        self._open: dict[tuple[str, str, str], Gathering] = {}
        self._fresh: set[tuple[str, str, str]] = set()  # those that are to be made anew
        self._lock = threading.Lock()

    def gathering(
        self,
        learner: str,
        lesson: Lesson,
        asked: Round,
        settings: Mapping[str, float],
        *,
        seeds: Mapping[str, int] | None = None,
        for_all: bool = False,
    ) -> Gathering:
        """Of what answers this round, as far as it is not in memory. `settings`: where the knobs were locked; `seeds`:
        of each round's first repeat, 0 unless said. `for_all`: a whole class watches."""
        key = (learner, lesson.slug, asked.name)
        with self._lock:
            missing = [one for one in lesson.sources(asked) if (learner, lesson.slug, one.name) not in self._evidence]
            parts = [Part(one, settings.get(one.name, 0.0), (seeds or {}).get(one.name, 0)) for one in missing]
            if key not in self._open or self._open[key].parts != parts:
                self._open[key] = Gathering(parts, learner, for_all=for_all, fresh=key in self._fresh)
                _trim(self._open)
            return self._open[key]

    def again(self, learner: str, lesson: Lesson, asked: Round) -> None:
        """Its own runs are to be made anew, whatever there is."""
        key = (learner, lesson.slug, asked.name)
        with self._lock:
            self._evidence.pop(key, None)
            self._open.pop(key, None)
            self._fresh.add(key)

    def keep(self, learner: str, lesson: Lesson, asked: Round, gathering: Gathering) -> None:
        """It is complete: from now on its evidence is what counts."""
        with self._lock:
            for name, evidence in gathering.evidence().items():
                self._evidence[learner, lesson.slug, name] = evidence
            self._open.pop((learner, lesson.slug, asked.name), None)
            self._fresh.discard((learner, lesson.slug, asked.name))
            _trim(self._evidence)

    def evidence(self, learner: str, lesson: Lesson, asked: Round) -> Evidence | None:
        """What the round is answered from; None if any of it is not in memory."""
        joined = Evidence()
        with self._lock:
            for one in lesson.sources(asked):
                own = self._evidence.get((learner, lesson.slug, one.name))
                if own is None:
                    return None
                joined = own.joined(joined)
        return joined

    def forget(self, learner: str) -> None:
        with self._lock:
            for kept in (self._evidence, self._open):
                for key in [key for key in kept if key[0] == learner]:
                    kept.pop(key)
            self._fresh = {key for key in self._fresh if key[0] != learner}


def _trim(kept: dict[tuple[str, str, str], Any]) -> None:
    while len(kept) > KEPT:
        kept.pop(next(iter(kept)))


GATHERED = Gathered()

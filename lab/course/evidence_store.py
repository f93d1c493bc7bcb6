"""Evidence in memory, gathered or being gathered, by learner, lesson and round. Guesses and outcomes are in a book."""

import threading
from collections.abc import Mapping

from lab.course.evidence_runs import Gathering, Part, Shared
from lab.course.single_flight import SingleFlight
from lab.runs.engine_client import EngineClient
from lab.runs.lru import LRU
from lessons.evidence import Evidence
from lessons.lesson import Lesson, Round

ROUNDS_KEPT = 400  # of all learners together
RUNS_KEPT = 100  # questions whose runs are kept for whoever asks the same
RoundKey = tuple[str, str, str]  # learner, lesson, round


class EvidenceStore:
    """Thread-safe. `shared.kept` holds finished runs for all learners."""

    def __init__(self, engine: EngineClient) -> None:
        self.shared = Shared(engine, LRU(RUNS_KEPT), SingleFlight())
        self._evidence: LRU[RoundKey, Evidence] = LRU(ROUNDS_KEPT)
        self._open: LRU[RoundKey, Gathering] = LRU(ROUNDS_KEPT)
        self._fresh: set[RoundKey] = set()  # rounds whose runs are to be made again
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
        """The gathering of what answers this round and is not in memory. `settings`: where each round's knob was
        locked. `seeds`: of each round's first repeat, 0 by default. `for_all`: a whole class watches."""
        key = (learner, lesson.slug, asked.name)
        with self._lock:
            sources = lesson.sources(asked)
            missing = [one for one in sources if self._evidence.get((learner, lesson.slug, one.name)) is None]
            parts = [Part(one, settings.get(one.name, 0.0), (seeds or {}).get(one.name, 0)) for one in missing]
            begun = self._open.get(key)
            if begun is None or begun.parts != parts:
                begun = Gathering(self.shared, parts, learner, for_all=for_all, fresh=key in self._fresh)
                self._open.put(key, begun)
            return begun

    def under_way(self, id: str) -> Gathering | None:
        """The gathering with this id; None if there is none, or none any more."""
        return next((begun for begun in self._open.values() if begun.id == id), None)

    def again(self, learner: str, lesson: Lesson, asked: Round) -> None:
        """Drop the evidence that answers the round, its own or else that of the rounds before; the runs are made again,
        whatever is kept."""
        key = (learner, lesson.slug, asked.name)
        names = [one.name for one in ([asked] if asked.has_runs else lesson.sources(asked))]
        with self._lock:
            self._evidence.drop(lambda held, _: held[:2] == key[:2] and held[2] in names)
            self._open.drop(lambda held, _: held == key)
            self._fresh.add(key)

    def keep(self, learner: str, lesson: Lesson, asked: Round, gathering: Gathering) -> None:
        """Keep the evidence of a gathering that is complete."""
        key = (learner, lesson.slug, asked.name)
        with self._lock:
            for name, evidence in gathering.evidence().items():
                self._evidence.put((learner, lesson.slug, name), evidence)
            self._open.drop(lambda held, _: held == key)
            self._fresh.discard(key)

    def evidence(self, learner: str, lesson: Lesson, asked: Round) -> Evidence | None:
        """What answers the round; None if any part of it is not in memory."""
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
            self._evidence.drop(lambda key, _: key[0] == learner)
            self._open.drop(lambda key, _: key[0] == learner)
            self._fresh = {key for key in self._fresh if key[0] != learner}

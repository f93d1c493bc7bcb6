"""Learners offer their own runs for the projector; the instructor puts them up or declines. No Streamlit.

Nothing is shown unless its learner offers it, and a learner can take an offer back at any time, which also removes it
from the projector. Offers refer to runs that the lab still has: after a restart there are none.
"""

from collections.abc import Callable, Sequence

import msgspec

from engine.scenario import Scenario
from engine.units import in_words
from lab.classroom.store import Refusal, RoomFile
from lab.scene.words import TITLES
from lessons.book import now

RUNS = 3  # kitchens beside each other
IN_A_ROOM = 40  # with more, the oldest one that is not up is dropped


class Offer(msgspec.Struct, frozen=True):
    """`named`: whether the projector may show the nickname; the instructor sees it anyway."""

    number: int
    nickname: str
    named: bool
    runs: tuple[str, ...]
    at: str
    up: bool
    declined: bool  # by the instructor; only its learner still sees it

    @property
    def by(self) -> str:
        """Its learner, as everybody may know."""
        return self.nickname if self.named and self.nickname else "a learner"


class Offers:
    """`owner` gives the learner who asked for a run; None for a run that was evicted."""

    def __init__(self, file: RoomFile, owner: Callable[[str], str | None]) -> None:
        self._file = file
        self._owner = owner

    # ---- what a learner does

    def offer(self, learner: str, runs: Sequence[str], *, named: bool = False) -> None:
        """Offer one's own runs to the class that one is in, in place of an earlier offer."""
        if not 1 <= len(runs) <= RUNS:
            raise Refusal(f"{len(runs)} runs were offered; it must be 1 to {RUNS}.")
        if any(self._owner(run) != learner for run in runs):
            raise Refusal("Only a run of your own can be offered, while the lab has it.")
        with self._file.act() as db:
            here = db.execute("SELECT room FROM members WHERE learner = ? AND here = 1", (learner,)).fetchone()
            if here is None:
                raise Refusal("Only those who are in a class can offer a run to it.")
            db.execute("DELETE FROM offers WHERE learner = ?", (learner,))
            row = (here[0], learner, " ".join(runs), named, now())
            db.execute("INSERT INTO offers (room, learner, runs, named, at) VALUES (?, ?, ?, ?, ?)", row)
            oldest = (
                "SELECT rowid FROM offers WHERE room = ?1 AND up = 0 ORDER BY at DESC, rowid DESC LIMIT -1 OFFSET ?2"
            )
            db.execute(f"DELETE FROM offers WHERE rowid IN ({oldest})", (here[0], IN_A_ROOM))

    def take_back(self, learner: str) -> None:
        with self._file.act() as db:
            db.execute("DELETE FROM offers WHERE learner = ?", (learner,))

    def own(self, learner: str) -> Offer | None:
        return next((offer for _, offer in self._read("WHERE o.learner = ?", learner)), None)

    # ---- what the instructor does

    def of(self, code: str, by: str) -> list[Offer]:
        """All that were not declined, in the order made."""
        self._file.only(by)
        return [offer for offer in self.by_learner(code).values() if not offer.declined]

    def put_up(self, code: str, by: str, number: int) -> None:
        """Show that member's offer, in place of any other."""
        with self._file.act(by) as db:
            at = "(SELECT learner FROM members WHERE room = ?1 AND number = ?2)"
            open_ = f"SELECT 1 FROM offers WHERE room = ?1 AND declined = 0 AND learner = {at}"
            if not db.execute(open_, (code, number)).fetchone():
                raise Refusal("That run is not offered any more.")
            db.execute(f"UPDATE offers SET up = (learner = {at}) WHERE room = ?1", (code, number))

    def decline(self, code: str, by: str, number: int) -> None:
        """Decline that member's offer for good; only its learner is told, and may offer another."""
        with self._file.act(by) as db:
            at = "(SELECT learner FROM members WHERE room = ?1 AND number = ?2)"
            db.execute(f"UPDATE offers SET declined = 1, up = 0 WHERE room = ?1 AND learner = {at}", (code, number))

    def take_down(self, code: str, by: str) -> None:
        """Take down what is up; it stays offered."""
        with self._file.act(by) as db:
            db.execute("UPDATE offers SET up = 0 WHERE room = ?", (code,))

    # ---- what the projector shows

    def up(self, code: str) -> Offer | None:
        return next((offer for offer in self.by_learner(code).values() if offer.up), None)

    # ---- what the lab needs to know

    def by_learner(self, code: str) -> dict[str, Offer]:
        return dict(self._read("WHERE o.room = ?", code))

    def runs(self) -> set[str]:
        """All runs that are offered anywhere, which the lab must not evict."""
        return {run for _, offer in self._read("", "") for run in offer.runs if not offer.declined}

    def _read(self, where: str, value: str) -> list[tuple[str, Offer]]:
        """(learner, offer) pairs; skips offers whose runs were evicted."""
        query = (
            "SELECT o.learner, m.number, m.nickname, o.named, o.runs, o.at, o.up, o.declined "
            "FROM offers AS o JOIN members AS m "
            f"ON m.room = o.room AND m.learner = o.learner {where} ORDER BY o.at, o.rowid"
        )
        values = (value,) if where else ()
        rows = self._file.read(("offers", where, value), lambda db: db.execute(query, values).fetchall())
        return [
            (learner, Offer(number, nickname, bool(named), tuple(runs.split()), at, bool(up), bool(declined)))
            for learner, number, nickname, named, runs, at, up, declined in rows
            if all(self._owner(run) == learner for run in runs.split())
        ]


# ---- what is offered, in words


def what(scenarios: Sequence[Scenario]) -> str:
    """One line about kitchens beside each other, on the same orders."""
    return " beside ".join(TITLES[one.deployment.kind] for one in scenarios) + " · " + conditions(scenarios)


def conditions(scenarios: Sequence[Scenario]) -> str:
    """Their link and their orders, in one line."""
    load = scenarios[0].workload
    links = {one.link.bandwidth_bytes_per_s for one in scenarios if one.deployment.kind == "disaggregated"}
    road = "".join(f"{in_words(link, 'B/s') if link else 'unpaced'} · " for link in links)
    long = f", every {load.long_every}th of {load.long_prompt_tokens:,}" if load.long_every else ""
    orders = f"{load.requests} order{'s' if load.requests > 1 else ''} of {load.prompt_tokens:,} tokens{long}"
    return f"{road}{orders}"

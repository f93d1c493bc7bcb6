"""Play the course's rounds through the real engine on a busy machine, and compare each verdict with a quiet machine's.

    python -m tests.noise play noise.jsonl --cores 0 --passes 3      on a quiet machine: what the verdicts should be
    python -m tests.noise play noise.jsonl --cores 1 --passes 10     another process takes a core, on and off
    python -m tests.noise play noise.jsonl --cores 2 --passes 5      two do
    python -m tests.noise table noise.jsonl                          the confusion table

Rounds are gathered as a lesson's page gathers them, disturbed runs repeated. Each line of the file is one round; it can
be added to at any time. A verdict needs a guess: every option, or numbers around what the quiet machine found.
"""

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from engine.units import percent
from lab.course.evidence_runs import Gathering
from lab.course.evidence_store import EvidenceStore
from lab.runs.engine_client import EngineClient
from lab.runs.engine_settings import EngineSettings
from lab.runs.run_feed import RunFeed
from lessons import all_lessons, lesson
from lessons.book import Guess, checked
from lessons.evidence import Evidence
from lessons.keys import SAME, Finding, Key, Unclear, Value, judged
from lessons.lesson import Lesson, Round
from lessons.question import Choice

BURN = "import os; parent = os.getppid()\nwhile os.getppid() == parent: sum(range(100_000))"  # ends with this process
SPELL_S = (0.5, 6.0)  # how long the other process computes, and how long it rests
STUCK_S = 900.0  # a round that takes longer has no way on
AROUND = (0.25, 0.5, 0.7, 0.85, 1.0, 1.2, 1.4, 2.0, 4.0)  # guesses, as multiples of what the quiet machine found
WORDS = ("off", "close", "right")
CLEAR = "could not tell"


class Played(msgspec.Struct, frozen=True):
    """One round. `key` None: this machine could not tell, and `why`. `claims`: whether each holds, None if the repeats
    disagree. `trouble`: an exception, or why it went no further."""

    lesson: str
    round: str
    cores: int
    setting: float
    seconds: float
    runs: int
    disturbed: int
    key: Key | None = None
    why: str = ""
    trouble: str = ""
    claims: dict[str, bool | None] = {}


# ---- play


@contextmanager
def load(cores: int, seed: int) -> Iterator[None]:
    """So many processes compute at once, in spells of random length."""
    over, rng = threading.Event(), random.Random(seed)

    def come_and_go() -> None:
        while not over.is_set():
            others = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(cores)]
            over.wait(rng.uniform(*SPELL_S))
            for other in others:
                other.kill()
                other.wait()
            over.wait(rng.uniform(*SPELL_S))

    thread = threading.Thread(target=come_and_go)
    if cores:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if cores:
            thread.join()


def gathered(store: EvidenceStore, of: Lesson, asked: Round, setting: float, until: float) -> Gathering:
    gathering = store.gathering("me", of, asked, {asked.name: setting})
    gathering.advance()
    while not (gathering.complete or gathering.stopped):
        if time.monotonic() > until:
            gathering.stop()
            break
        time.sleep(0.2)
        gathering.advance()
    return gathering


def play(store: EvidenceStore, of: Lesson, asked: Round, cores: int, setting: float) -> Played:
    """The round as its page plays it, up to what the page shows."""
    began = time.monotonic()
    evidence, trouble = Evidence(), ""
    found: Finding = Unclear("")
    claims: dict[str, bool | None] = {}
    try:
        gathering = gathered(store, of, asked, setting, began + STUCK_S)
        if gathering.stopped:
            trouble = gathering.stopped
        store.keep("me", of, asked, gathering)
        evidence = store.evidence("me", of, asked) or evidence
        found = asked.finding(evidence)
        asked.shown(evidence)
        if isinstance(found, Key):
            of.answer(asked, evidence, found, {"guess": "", "measured": "", "times": ""})
        claims = {claim.says: claim.holds(evidence) for claim in of.claims if claim.about == asked.name}
    except Exception as raised:  # a crash is what this looks for
        trouble = f"{type(raised).__name__}: {raised}"
    made = evidence.made
    return Played(
        of.slug,
        asked.name,
        cores,
        setting,
        time.monotonic() - began,
        made.runs if made else 0,
        made.disturbed if made else 0,
        found if isinstance(found, Key) else None,
        found.why if isinstance(found, Unclear) else "",
        trouble,
        claims,
    )


# ---- compare


def guesses(asked: Round, quiet: Sequence[Played]) -> list[Value]:
    """What somebody might say."""
    if isinstance(asked.answer, Choice):
        return list(asked.answer.options)
    middle = next(one.key.value for one in quiet if one.key is not None)
    assert not isinstance(middle, str)
    return [tuple(value * factor for value in middle) for factor in AROUND]


def allowed(asked: Round, value: Value, setting: float) -> bool:
    try:
        checked(asked, Guess(value, "sure", setting=setting))
    except Exception:
        return False
    return True


def verdict(guess: Value, one: Played) -> str:
    return CLEAR if one.key is None else judged(guess, one.key).word


def contradicted(word: str, quiet: Sequence[str]) -> bool:
    """Whether it says right where the quiet machine always said off, or off where that always said right."""
    return (word == "right" and set(quiet) == {"off"}) or (word == "off" and set(quiet) == {"right"})


class Table:
    """Counts over all rounds that a quiet machine could tell."""

    def __init__(self, played: Sequence[Played]) -> None:
        self.verdicts: Counter[tuple[str, str]] = Counter()  # (a quiet machine's, this one's), guess by guess
        self.choices: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []
        self.unknown: list[str] = []  # rounds that the quiet machine did not play, or could not tell
        quiet = [one for one in played if not one.cores]
        for one in (one for one in played if one.cores):
            asked = _round(one)
            if asked is None:
                continue
            calm = [q for q in quiet if (q.lesson, q.round, q.setting) == (one.lesson, one.round, one.setting)]
            if not any(q.key for q in calm):
                self.unknown.append(f"{one.lesson} {one.round}")
                continue
            self._compare(asked, one, calm)

    def _compare(self, asked: Round, one: Played, calm: Sequence[Played]) -> None:
        for guess in guesses(asked, calm):
            if not allowed(asked, guess, one.setting):
                continue
            word, words = verdict(guess, one), [verdict(guess, q) for q in calm if q.key]
            usual = Counter(words).most_common(1)[0][0]
            self.verdicts[usual, word] += 1
            if contradicted(word, words):
                self.wrong.append(f"{one.lesson} {one.round}: {guess} is {word}, on a quiet machine {usual}")
        if isinstance(asked.answer, Choice):
            self.choices[_kind(calm[0].key, calm[0].key), _kind(one.key, calm[0].key)] += 1
        for says, holds in one.claims.items():
            before = {q.claims.get(says) for q in calm}
            if holds is not None and before == {not holds}:
                self.wrong.append(
                    f"{one.lesson} {one.round}: “{says}” {'holds' if holds else 'does not hold'} here only"
                )


def _kind(key: Key | None, quiet: Key | None) -> str:
    if key is None:
        return CLEAR
    if key.value == SAME:
        return "about the same"
    return "an option" if quiet is None or quiet.value in (key.value, SAME) else "another option"


def _round(one: Played) -> Round | None:
    """None for a round that there is no longer."""
    of = lesson(one.lesson)
    return next((asked for asked in of.rounds if asked.name == one.round), None) if of else None


def told(played: Sequence[Played]) -> str:
    table = Table(played)
    lines = []
    for cores in sorted({one.cores for one in played}):
        those = [one for one in played if one.cores == cores]
        silent = sum(one.key is None and not one.trouble for one in those)
        trouble = [f"  {one.lesson} {one.round}: {one.trouble}" for one in those if one.trouble]
        share = percent(silent / len(those))
        lines += [
            f"{cores} cores taken: {len(those)} rounds, {sum(one.runs for one in those)} runs of which "
            f"{sum(one.disturbed for one in those)} were disturbed, {sum(one.seconds for one in those):.0f} s; "
            f"could not tell {silent} ({share}); crashes and dead ends {len(trouble)}",
            *trouble,
        ]
    columns = ("right", "close", "off", CLEAR)
    lines += ["", "verdicts on guesses", "on a quiet machine | " + " | ".join(columns)]
    lines += [
        f"{row:>18} | " + " | ".join(f"{table.verdicts[row, c]:>{len(c)}}" for c in columns) for row in columns[:3]
    ]
    kinds = ("an option", "another option", "about the same", CLEAR)
    lines += ["", "answers to choices", "on a quiet machine | " + " | ".join(kinds)]
    lines += [
        f"{row:>18} | " + " | ".join(f"{table.choices[row, k]:>{len(k)}}" for k in kinds)
        for row in ("an option", "about the same")
    ]
    lines += ["", f"contradicted by a quiet machine: {len(table.wrong)}", *(f"  {one}" for one in table.wrong)]
    if table.unknown:
        lines += ["not compared, for want of a quiet finding: " + ", ".join(sorted(set(table.unknown)))]
    return "\n".join(lines)


# ---- the command


def read(path: Path) -> list[Played]:
    return [msgspec.json.decode(line, type=Played) for line in path.read_bytes().splitlines()]


@click.group()
def main() -> None:
    """Verdicts under noise."""


@main.command("play")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--cores", type=click.IntRange(0), default=1, show_default=True, help="How many the others take.")
@click.option("--passes", default=1, show_default=True, help="How often the whole course is played.")
@click.option("--only", default="", help="One lesson.")
def play_command(path: Path, cores: int, passes: int, only: str) -> None:
    """Play the course and append each round to PATH."""
    engine = EngineClient(EngineSettings(), RunFeed(lambda act: act()))
    engine.open()
    try:
        for number in range(passes):
            store = EvidenceStore(engine)
            with load(cores, seed=number):
                for of in all_lessons():
                    for asked in of.rounds if only in ("", of.slug) else ():
                        setting = asked.knob.values[number % len(asked.knob.values)] if asked.knob else 0.0
                        one = play(store, of, asked, cores, setting)
                        with path.open("ab") as file:
                            file.write(msgspec.json.encode(one) + b"\n")
                        says = one.trouble or (str(one.key.value) if one.key else one.why)
                        click.echo(f"{of.slug} {asked.name}: {one.seconds:.0f} s, {says}")
    finally:
        engine.close()


@main.command("table")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
def table_command(path: Path) -> None:
    """Print how verdicts compare with a quiet machine's."""
    click.echo(told(read(path)))


if __name__ == "__main__":
    main()

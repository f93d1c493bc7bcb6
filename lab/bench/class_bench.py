"""`split-kitchen bench class`: a class on one lab, over the real protocol, while the engine runs.

First many sockets watch one run; then all learners vote at once, while nothing else happens, which says what a vote
costs; then all play a round of the game, which says what a move and a finished round cost; then an instructor takes
them through question after question: vote, counts, second vote, the run that all watch, answer. Another visitor has the
kitchen open throughout. The learners run in this process and share the machine with the lab.
"""

import asyncio
import secrets
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

import click

from engine.bench.figure import Figure, Findings, found
from engine.commands.bench_engine import say
from engine.live.process.run import machine
from engine.scenario import number, whole
from lab.bench.class_game import GameCost, play_at_once
from lab.bench.classroom import COOKS, Class, stream_of
from lab.bench.startup import fresh_lab
from lab.bench.streamlit_client import RunWatcher, watch_run
from lab.runs.open_files import open_files

RERUN_S, BEHIND_S, AGE_S, VOTE_S, GROWN = 0.100, 1.0, 0.150, 0.002, 1.05
MOVE_S, ROUND_S, HINT_S = 0.010, 0.010, 0.200  # a hint for each of sixty takes a tenth of the two minutes of a round


def p95(values: Sequence[float]) -> float:
    """The 95th percentile; NaN without values."""
    return sorted(values)[int(0.95 * len(values))] if values else float("nan")


async def crowd(held: Class, watchers: int) -> list[RunWatcher]:
    """That many sockets on one run, from its beginning to its end."""
    async with held.page("", COOKS) as page:
        while not await page.press("Open the kitchen"):
            await asyncio.sleep(0.5)
        stream = stream_of(page).partition("&")[0]
        return await asyncio.gather(*(watch_run(held.host, stream) for _ in range(watchers)))


def figures(held: Class, kept: int, vote_s: float, game: GameCost) -> list[Figure]:
    """What the class cost, with goals. `kept`: votes in the class's file; `vote_s`: the lab's CPU time for one."""
    fifth = len(held.memory) // 5
    before, after = median(held.memory[fifth : 2 * fifth]), median(held.memory[-fifth:])
    both = held.reruns["page"] + held.reruns["fragment"]
    whole_s, ages_s = held.seconds, list(held.ages_s())
    return [
        Figure("errors", len(held.errors), "", most=0),
        Figure("reruns a second", len(both) / whole_s, "/s"),
        Figure("rerun, 95 of 100", p95(both), "s", most=RERUN_S),
        Figure("of whole pages, 95 of 100", p95(held.reruns["page"]), "s", most=RERUN_S),
        Figure("of fragments, 95 of 100", p95(held.reruns["fragment"]), "s", most=RERUN_S),
        Figure("a learner's act, until its answer, 95 of 100", p95(held.sent_s), "s", most=RERUN_S),
        Figure("the lab's CPU time for a vote, when all vote", vote_s, "s", most=VOTE_S),
        Figure("its CPU time for a move, when all play", game.moves_cpu_s / game.moves, "s", most=MOVE_S),
        Figure(
            "its CPU time for a finished round, when all finish", game.rounds_cpu_s / game.rounds, "s", most=ROUND_S
        ),
        Figure("its CPU time for the hint after it", game.hints_cpu_s / game.rounds, "s", most=HINT_S),
        Figure("rounds kept", game.confirmed, "", "rounds finished", game.rounds, least=1.0, most=1.0),
        Figure("a page behind the instructor's press, 95 of 100", p95(list(held.behind_s())), "s", most=BEHIND_S),
        Figure("messages' events seen", len(ages_s), ""),
        Figure("an event's age, 95 of 100", p95(ages_s), "s", most=AGE_S),
        Figure("memory of the lab's process, at the end", after, "B", "after the first fifth", before, most=GROWN),
        Figure("questions asked", held.questions, ""),
        Figure("votes kept", kept, "", "votes that the lab confirmed", held.votes, least=1.0, most=1.0),
        Figure("of a core, the lab's process took", held.cpu_s[0] / whole_s, ""),
        Figure("of a core, this bench took", held.cpu_s[1] / whole_s, ""),
        Figure("this bench's own loop was late, 95 of 100", p95(held.late), "s"),
    ]


def measure(model: str, learners: int, minutes: float, watchers: int) -> Findings:
    """Run the bench: `watchers` of one run first, then a class of `learners` for `minutes`."""
    open_files()
    key = secrets.token_urlsafe(12)
    with (
        tempfile.TemporaryDirectory() as data,
        fresh_lab(model, SPLIT_KITCHEN_INSTRUCTOR_KEY=key, SPLIT_KITCHEN_DATA=data) as lab,
    ):
        held = Class(lab, key, minutes * 60)
        watches = asyncio.run(crowd(held, watchers))
        vote_s = asyncio.run(held.vote_at_once(learners))
        game = asyncio.run(play_at_once(held, learners))
        held.reruns, held.sent_s = {"page": [], "fragment": []}, []
        asyncio.run(held.hold(learners))
        with closing(sqlite3.connect(Path(data, "class.sqlite"))) as file:
            kept: int = file.execute("SELECT count(*) FROM votes").fetchone()[0]
    most = max(watch.motions for watch in watches)
    seen = sum(watch.over and watch.whole and watch.motions == most for watch in watches)
    offset_s = min(watch.offset_s for watch in watches)
    ages_s = [age_s - offset_s for watch in watches for age_s in watch.ages_s]
    notes = [
        f"{learners} learners, {minutes:g} min. They, the lab and the engine's workers share {machine()}.",
        "An event is a token; its age is what it was on the run's clock, ahead by the quickest message's way.",
        *sorted(set(held.errors))[:5],
    ]
    return found(
        "class",
        machine(),
        [
            *figures(held, kept, vote_s, game),
            Figure("sockets that saw all of one run", seen, "", "that watched it", watchers, least=1.0),
            Figure("an event's age there, 95 of 100", p95(ages_s), "s", most=AGE_S),
        ],
        notes,
    )


@click.command()
@click.option("--learners", type=int, default=60, show_default=True)
@click.option("--minutes", type=float, default=5.0, show_default=True, help="How long the class goes on.")
@click.option("--watchers", type=int, default=200, show_default=True, help="Sockets on one run, before the class.")
@click.option("--model", default="smollm2-135m", show_default=True, help="Name, folder or hub id.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
def class_command(learners: int, minutes: float, watchers: int, model: str, as_json: bool) -> None:
    """A class with an instructor on a fresh lab: errors, reruns, ages of events, memory; and sockets on one run."""
    whole("learners", learners, 1, 1000)
    number("minutes", minutes, above=0, unit="minutes")
    whole("watchers", watchers, 1, 1000)
    say(measure(model, learners, minutes, watchers), as_json)

"""Disturb the real engine at random, over all layouts and transports, and compare every token with a calm run's.

    python -m tests.stress --disturbances 1000        (also: make stress)

Workers are killed, stopped for a moment, or stopped for good; the link is cut for a moment; trays are corrupted; the
disk with the cache and the recordings is full (this needs root). Layouts take turns. It ends at the first request that
is lost, token that differs, or process, descriptor (sockets too), memory map or file that is left behind. Each run says
in a line what was done and what came of it; `--first N` goes on with run N.
"""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import click
import msgspec

from engine.errors import BadInput
from engine.events import Event, HandoffEnded, Recalled, WorkerDown
from engine.grammar import check
from engine.link import LinkSpec
from engine.live.compute.kernels import compiler
from engine.live.handoff.transports import why_not
from engine.live.model.catalog import prepare
from engine.live.process import seat
from engine.live.process.front import Front
from engine.live.process.run import make_requests, run_on
from engine.log import Log, save
from engine.request import Sampling
from engine.scenario import KINDS, TRANSPORTS, Deployment, ModelSpec, Scenario, TransportName, Workload
from tests.disturbed import answers, children, names
from tests.patience import comes

LINK = LinkSpec(20e6, 0.001)
WORKERS = 3
# seconds until a stopped worker is replaced, and one that still starts: fewer than usual, or this would take all day
LOOKS, LOOKS_BEFORE_READY = 3, 90
DISK_BYTES = 128_000_000
TORCHS = "torchinductor_"  # a folder that torch makes for its user when it is imported, and keeps
MOST_IN_A_RUN = 2  # a worker that dies three times before it is ready ends the engine, and that is right


class Disturber:
    """Draws what goes wrong, lets it happen, and mends what can be mended. `watch` is called with a run's events."""

    def __init__(self, front: Front, rng: random.Random, disk: Path | None, done: Counter[str]) -> None:
        self.front = front
        self.rng = rng
        self.disk = disk
        self.done = done
        self.kinds: dict[str, Callable[[], None]] = {
            "kill": self.kill,
            "stop and go on": self.pause,
            "stop for good": self.hang,
            "cut link": self.cut,
            "corrupt tray": self.corrupt,
            **({"full disk": self.fill} if disk else {}),
        }
        self._due: list[tuple[int, str]] = []
        self._receivers: list[str] = []  # of trays
        self._seen = 0
        self._mend: list[tuple[float, Callable[[], None]]] = []

    def plan(self, events: int, layout: Deployment) -> str:
        """For a run that has so many events when nothing happens. Where nothing is handed over, there is no tray to
        corrupt and no link to cut."""
        hands_over = layout.kind == "disaggregated"
        fitting = [kind for kind in self.kinds if hands_over or kind not in ("corrupt tray", "cut link")]
        self._receivers = [seat.name for seat in self.front.seats[layout.prefill_workers if hands_over else 0 :]]
        chosen = [self.rng.choice(fitting) for _ in range(self.rng.randint(1, MOST_IN_A_RUN))]
        self._due = sorted((self.rng.randrange(events), kind) for kind in chosen)
        self._seen = 0
        return " + ".join(kind for _, kind in self._due)

    def watch(self, events: Sequence[Event]) -> None:
        self._seen += len(events)
        while self._due and self._due[0][0] <= self._seen:
            _, kind = self._due.pop(0)
            self.kinds[kind]()
            self.done[kind] += 1
        for when, mend in self._mend[:]:
            if when <= time.monotonic():
                self._mend.remove((when, mend))
                mend()

    def over(self) -> None:
        """The run is over: mend everything, and wait until all workers are there again."""
        for _, mend in self._mend:
            mend()
        self._mend, self._due = [], []
        assert comes(lambda: self.front.poll(0.1) is not None and all(seat.ready for seat in self.front.seats))

    def kill(self) -> None:
        self.front.kill(self._one())

    def pause(self) -> None:
        if process := self._process(self._one()):
            process.send_signal(signal.SIGSTOP)
            # a timer, as the front may be waiting for nobody else
            threading.Timer(self.rng.uniform(0.05, 0.8), lambda: _go_on(process)).start()

    def hang(self) -> None:
        if process := self._process(self._one()):
            process.send_signal(signal.SIGSTOP)

    def cut(self) -> None:
        self.front.set_link(LinkSpec(0.0))
        self._mend.append((time.monotonic() + self.rng.uniform(0.05, 0.8), lambda: self.front.set_link(LINK)))

    def corrupt(self) -> None:
        self.front.corrupt(self.rng.choice(self._receivers))

    def fill(self) -> None:
        """The disk is full while a worker is replaced, and while a recording is written."""
        assert self.disk is not None
        filler = self.disk / "filler"
        with suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(bytes(1 << 20))
        self.front.kill(self._one())
        self._mend.append((time.monotonic() + 5.0, lambda: filler.unlink(missing_ok=True)))

    def _one(self) -> str:
        return self.rng.choice([seat.name for seat in self.front.seats])

    def _process(self, worker: str) -> "subprocess.Popen[bytes] | None":
        return next(seat.process for seat in self.front.seats if seat.name == worker)


def _go_on(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)


def layouts() -> Iterator[Deployment]:
    transports: list[TransportName] = [name for name in TRANSPORTS if why_not(name) is None]
    for kind in KINDS[:2]:
        yield Deployment(kind, WORKERS, chunk=64)
    for transport in transports:
        for prefill in (1, 2):
            split = Deployment("disaggregated", WORKERS, prefill, 64, transport)
            yield split
            yield msgspec.structs.replace(split, ship="layers")
            yield msgspec.structs.replace(split, first_token="decode")
        yield msgspec.structs.replace(split, local_prefill_tokens=100)


class Done(msgspec.Struct):
    """What a stress run has done: disturbances by kind, runs by layout, what could not be tried here."""

    kinds: Counter[str] = msgspec.field(default_factory=Counter)
    layouts: Counter[str] = msgspec.field(default_factory=Counter)
    left_out: list[str] = msgspec.field(default_factory=list)

    @property
    def runs(self) -> int:
        return self.layouts.total()

    def says(self) -> str:
        each = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        lines = [f"{self.kinds.total()} disturbances ({each}) in {self.runs} runs:"]
        lines += [f"  {count:4} runs {layout}" for layout, count in sorted(self.layouts.items())]
        return "\n".join([*lines, *(f"  not tried here: {what}" for what in self.left_out)])


def disturb(
    disturbances: int, seed: int, model: str, say: Callable[[str], None] = lambda line: None, first: int = 1
) -> Done:
    """So many at least, from the run number `first` on: what happens in a run follows from its number and the seed.
    Returns what was done. Raises AssertionError, naming the run that went wrong."""
    shared, others = names(), set(children())
    spec = ModelSpec(model, "fp32")
    load = Workload(4, None, 96, 12, 300, 2, sampling=Sampling(temperature=0.8), ignore_eos=True)
    every = list(layouts())
    transports = list(dict.fromkeys(layout.transport for layout in every))
    done = Done(left_out=[f"{name}: {why}" for name in TRANSPORTS if (why := why_not(name))])
    began_s = time.monotonic()
    with (
        small_disk(spec) as disk,
        a_folder_for_temporary_files() as temporary,
        patch.multiple(seat, LOOKS=LOOKS, LOOKS_BEFORE_READY=LOOKS_BEFORE_READY),
    ):
        if disk is None:
            done.left_out.append("a full disk: a small one can be made by root only")
        kept = _files(disk)
        with Front(every[-1], LINK, spec, transports=transports) as front:
            front.start()

            def run(layout: Deployment, watch: Callable[[Sequence[Event]], None] = lambda events: None) -> Log:
                scenario = Scenario(layout, LINK, load, spec)
                return run_on(front, scenario, make_requests(scenario), watch)

            calm = run(every[-1])
            expected, events, held = answers(calm), len(calm.events), descriptors()
            everywhere = disturbances > len(every)
            for layout in every[:-1] if everywhere else ():
                assert answers(run(layout)) == expected, f"tokens differ without a disturbance: {described(layout)}"
            number, most = first, max(workers_descriptors(front)) + WORKERS  # one of each that has just been replaced
            while done.kinds.total() < disturbances:
                layout = every[number % len(every)]
                disturber = Disturber(front, random.Random(f"{seed} {number}"), disk, done.kinds)
                planned = disturber.plan(events, layout)
                where = f"run {number} ({planned}; {described(layout)})"
                log = run(layout, disturber.watch)
                if disk:
                    _record(log, disk)
                disturber.over()
                done.layouts[described(layout)] += 1
                check(log.events)
                assert answers(log) == expected, f"tokens differ or are lost after {where}"
                assert front.idle, where
                assert comes(lambda: descriptors() <= held), f"{held} descriptors became {descriptors()}: {where}"
                assert comes(lambda: max(pools(front)) <= WORKERS), f"pools are kept: {pools(front)}; {where}"
                # only after a calm run on every layout is it known how many connections workers have
                few = not everywhere or comes(lambda: max(workers_descriptors(front)) <= most)
                assert few, f"workers' descriptors, at most {most}: {workers_descriptors(front)}; {where}"
                own = len(others) + WORKERS
                alone = comes(lambda: front.poll(0.0) is not None and len(children()) == own)  # noqa: B023
                assert alone, f"processes beside the workers: {children()}; {where}"
                assert _files(disk) <= kept | {"run.jsonl"}, f"files left: {_files(disk) - kept}; {where}"
                took_s = time.monotonic() - began_s
                say(f"{done.kinds.total():5} disturbances, {took_s:6.0f} s: {where}: {_seen(log)}")
                number += 1
        assert set(children()) <= others, f"processes left behind: {children()}"
        left = [name for name in os.listdir(temporary) if not name.startswith(TORCHS)]
        assert not left, f"temporary files left behind: {left}"
    assert comes(lambda: names() <= shared), f"shared memory left behind: {names() - shared}"
    return done


def described(layout: Deployment) -> str:
    """A layout in a few words."""
    if layout.kind != "disaggregated":
        return f"{layout.kind}, {layout.workers} workers"
    pools = f"{layout.prefill_workers} prefill and {layout.decode_workers} decode"
    here = f", up to {layout.local_prefill_tokens} tokens locally" if layout.local_prefill_tokens else ""
    return f"{pools} over {layout.transport}, ship {layout.ship}, first token at {layout.first_token}{here}"


def _seen(log: Log) -> str:
    """What came of it, by the log."""
    down = Counter(event.why for event in log.events if isinstance(event, WorkerDown))
    recalled = len({event.request for event in log.events if isinstance(event, Recalled)})
    wrong = sum(isinstance(event, HandoffEnded) and event.verified is False for event in log.events)
    lost = ", ".join(f"{count} x {why}" for why, count in down.items()) or "no worker was lost"
    return f"{lost}; {recalled} requests began again; {wrong} trays were found corrupt"


def _files(disk: Path | None) -> set[str]:
    """Of the small disk, but for kernels, which each process may compile once more."""
    found = disk.rglob("*") if disk else ()
    return {str(file.relative_to(disk)) for file in found if file.is_file() and "kernels-" not in str(file)}  # type: ignore[arg-type]


@contextmanager
def a_folder_for_temporary_files() -> Iterator[str]:
    """This process and those that it starts put theirs there."""
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(tempfile, "tempdir", folder),
        patch.dict(os.environ, {"TMPDIR": folder}),
    ):
        yield folder


def _record(log: Log, disk: Path) -> None:
    """All of the recording or nothing of it is there, full disk or not."""
    file = disk / "run.jsonl"
    file.unlink(missing_ok=True)
    try:
        save(log, file)
    except BadInput:
        assert not file.exists()
    left = [entry.name for entry in disk.iterdir() if entry.name.startswith(".run")]
    assert not left, f"left on the disk: {left}"


def descriptors() -> int:
    """Sockets, pipes and files that this process has open."""
    return len(os.listdir("/proc/self/fd"))


def workers_descriptors(front: Front) -> list[int]:
    """The same of each worker."""
    return [len(os.listdir(f"/proc/{seat.process.pid}/fd")) for seat in front.seats if seat.process]


def pools(front: Front) -> list[int]:
    """How many KV pools each worker has mapped: its own and those it sends to, never one of a worker that is gone."""
    maps = [Path(f"/proc/{seat.process.pid}/maps").read_text() for seat in front.seats if seat.process]
    return [len({line.split()[4] for line in text.splitlines() if "memfd:kv-pool" in line}) for text in maps]


@contextmanager
def small_disk(spec: ModelSpec) -> Iterator[Path | None]:
    """A disk of its own for the cache and the recordings, where this may be made; None where it may not."""
    kernels = compiler.kept_in()
    if not any(kernels.rglob("*.nbi")):
        with Front(Deployment("colocated", 1), LINK, spec) as front:  # compiles them, which takes long
            front.start()
    made = [Path(prepare(spec).folder), kernels]
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", folder]
        if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
            yield None
            return
        try:
            for kept in made:
                shutil.copytree(kept, Path(folder, kept.name))
            with patch.dict(os.environ, {"SPLIT_KITCHEN_CACHE": folder}):
                yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@click.command()
@click.option("--disturbances", default=1000, show_default=True)
@click.option("--first", default=1, show_default=True, help="The number of the first run.")
@click.option("--seed", default=0, show_default=True)
@click.option("--model", default="tiny-llama", show_default=True)
def main(disturbances: int, first: int, seed: int, model: str) -> None:
    runs = made = 0

    def say(line: str) -> None:
        nonlocal runs, made
        runs, made = runs + 1, int(line.split()[0])
        click.echo(line)

    try:
        done = disturb(disturbances, seed, model, say, first)
    except BaseException as ended:
        goes_on = f"--first {first + runs} --disturbances {disturbances - made} --seed {seed} --model {model}"
        click.echo(f"Ended after {made} disturbances in {runs} runs by {type(ended).__name__}.")
        click.echo(f"It goes on with: python -m tests.stress {goes_on}")
        raise
    click.echo(done.says())
    click.echo("Every request ended with the same tokens. No process, descriptor, memory map or file was left behind.")


if __name__ == "__main__":
    main()

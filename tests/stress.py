"""Disturb the real engine at random, over all layouts and transports, and compare every token with a calm run's.

    python -m tests.stress --disturbances 1000        (also: make stress)

Workers are killed, stopped for a moment, or stopped for good; the link is cut for a moment; trays are corrupted; the
disk with the cache and the recordings is full (this needs root). It ends at the first request that is lost, token that
differs, or process, socket, memory map or file that is left behind.
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
from engine.events import Event
from engine.grammar import check
from engine.link import LinkSpec
from engine.live.compute.kernels import compiler
from engine.live.handoff.transports import why_not
from engine.live.model.catalog import prepare
from engine.live.process import seat
from engine.live.process.front import Front
from engine.live.process.run import make_requests, run_on
from engine.log import save
from engine.request import Sampling
from engine.scenario import KINDS, TRANSPORTS, Deployment, ModelSpec, Scenario, TransportName, Workload
from tests.disturbed import answers, children, names
from tests.patience import comes

LINK = LinkSpec(20e6, 0.001)
WORKERS = 3
LOOKS = 3  # seconds until a stopped worker is replaced: fewer than usual, or this would take all day
DISK_BYTES = 128_000_000
MOST_IN_A_RUN = 2  # a worker that dies three times before it is ready ends the engine, and that is right


class Disturber:
    """Draws what goes wrong, lets it happen, and mends what can be mended. `watch` is called with a run's events."""

    def __init__(self, front: Front, rng: random.Random, disk: Path | None) -> None:
        self.front = front
        self.rng = rng
        self.disk = disk
        self.done: Counter[str] = Counter()
        self.kinds: dict[str, Callable[[], None]] = {
            "kill": self.kill,
            "pause": self.pause,
            "hang": self.hang,
            "cut": self.cut,
            "corrupt": self.corrupt,
            **({"full disk": self.fill} if disk else {}),
        }
        self._due: list[tuple[int, str]] = []
        self._seen = 0
        self._mend: list[tuple[float, Callable[[], None]]] = []

    def plan(self, events: int) -> str:
        """For a run that has so many events when nothing happens."""
        chosen = [self.rng.choice(list(self.kinds)) for _ in range(self.rng.randint(1, MOST_IN_A_RUN))]
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
        self.front.corrupt(self._one())

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


def disturb(disturbances: int, seed: int, model: str, say: Callable[[str], None] = lambda line: None) -> Counter[str]:
    """So many at least; how many of each kind. Raises AssertionError, naming the run that went wrong."""
    rng = random.Random(seed)
    shared, others = names(), set(children())
    spec = ModelSpec(model, "fp32")
    load = Workload(4, None, 96, 12, 300, 2, sampling=Sampling(temperature=0.8), ignore_eos=True)
    every = list(layouts())
    transports = list(dict.fromkeys(layout.transport for layout in every))
    with small_disk(spec) as disk, patch.object(seat, "LOOKS", LOOKS):
        with Front(every[-1], LINK, spec, transports=transports) as front:
            front.start()
            calm = run_on(
                front, Scenario(every[-1], LINK, load, spec), make_requests(Scenario(workload=load, model=spec))
            )
            expected, events, held = answers(calm), len(calm.events), descriptors()
            disturber = Disturber(front, rng, disk)
            while disturber.done.total() < disturbances:
                scenario = Scenario(rng.choice(every), LINK, load, spec)
                planned = disturber.plan(events)
                log = run_on(front, scenario, make_requests(scenario), disturber.watch)
                if disk:
                    _record(log, disk)
                disturber.over()
                where = f"{disturber.done.total()}: {planned}; {scenario.deployment}"
                check(log.events)
                assert answers(log) == expected, f"tokens differ or are lost after {where}"
                assert front.idle, where
                assert comes(lambda: descriptors() <= held), f"{held} descriptors became {descriptors()}: {where}"
                assert comes(lambda: max(pools(front)) <= WORKERS), f"pools are kept: {pools(front)}; {where}"
                say(where)
        assert set(children()) <= others, f"processes left behind: {children()}"
    assert comes(lambda: names() <= shared), f"shared memory left behind: {names() - shared}"
    return disturber.done


def _record(log: object, disk: Path) -> None:
    """All of the recording or nothing of it is there, full disk or not."""
    file = disk / "run.jsonl"
    file.unlink(missing_ok=True)
    try:
        save(log, file)  # type: ignore[arg-type]
    except BadInput:
        assert not file.exists()
    left = [entry.name for entry in disk.iterdir() if entry.name.startswith(".run")]
    assert not left, f"left on the disk: {left}"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


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
@click.option("--seed", default=0, show_default=True)
@click.option("--model", default="tiny-llama", show_default=True)
def main(disturbances: int, seed: int, model: str) -> None:
    done = disturb(disturbances, seed, model, click.echo)
    each = ", ".join(f"{count} {kind}" for kind, count in sorted(done.items()))
    click.echo(
        f"{done.total()} disturbances ({each}): every request ended with the same tokens; nothing was left behind."
    )


if __name__ == "__main__":
    main()

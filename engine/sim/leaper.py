"""A worker that can take several steps at once, for a simulated clock.

In such a leap nobody asks which tokens are made, so only their number counts. All that a worker decodes makes a token
in each decode step: the worker counts these steps, and knows of each job how far it is ahead of that count. So neither
a leap nor what is written about it takes longer for more rows.
"""

import sys
from collections.abc import Collection, Sequence
from heapq import heappop, heappush

from engine.blocks import BlockPool
from engine.plan import Plan, Slice
from engine.policy import POLICIES, Job
from engine.sim.leap import Batch
from engine.worker import UNKNOWN, Output, Worker


class Leaper(Worker):
    """A worker under one of the built-in policies, which decode for all running jobs or for none.

    `offset` of a running job: its `done` less the decode steps taken. Its own `done` and `output_ids` may lag behind
    after a leap; `finish` brings them up to date first.
    """

    def __init__(self, name: str, pool: BlockPool, max_running: int) -> None:
        super().__init__(name, pool, max_running=max_running)
        self._decoded = 0  # decode steps taken
        self._offsets = 0  # of all that run, together
        self._joined = 0  # jobs that ever ran
        self._ending: list[tuple[int, int, Job]] = []  # after which decode step each of these ends: a heap
        self._stoppable: set[str] = set()  # of those that run, whom a token's value may end
        self._lags = False

    # ---- steps

    def begin(self) -> Batch | None:
        """As `plan`: the next step; None if there is nothing to do."""
        rows = len(self._running)
        pieces: Plan = ()
        waiting = 0
        if self._ready or self._queued:
            if ready := self._with_blocks():
                rows, pieces = self._beside(rows, ready)
            waiting = len(self._queued) + len(self._ready) - len(pieces)
        if not rows and not pieces:
            return None
        decoded, pool = self._decoded, self.pool
        jobs = tuple(self._running.values()) if rows else ()
        context = self._offsets + rows * (decoded + 1) if rows else 0
        return Batch(jobs, decoded, context, pieces, waiting, pool.used, pool.blocks)

    def _beside(self, rows: int, ready: Collection[Job]) -> tuple[int, Plan]:
        """How many of the running jobs decode while these prompts are ready, and the pieces of these beside them."""
        choose = POLICIES[self.policy]
        if self.policy == "chunked":  # rows first, whatever they are
            chosen = choose(ready, (), self._chunk - rows)
        else:
            chosen = choose(ready, self._running.values(), self._chunk)
            rows = rows if chosen and chosen[0][0].request.id in self._running else 0
            chosen = chosen[rows:]
        return rows, tuple([Slice(job.request.id, job.done, tokens) for job, tokens in chosen])

    def made(self) -> dict[str, int]:
        """How many tokens each job that runs has made."""
        self._catch_up()
        return {name: job.output_tokens for name, job in self._running.items()}

    def steady_steps(self, batch: Batch) -> int:
        """How many steps like this one, counting it, run until a prompt or an answer ends, if none comes or is dropped.

        Pieces of prompts go on where the one before ended. 0 if a piece of one token looks like decoding, or a token's
        value may end an answer.
        """
        steps = sys.maxsize
        for piece in batch.pieces:
            if piece.tokens == 1:
                return 0
            steps = min(steps, max(1, (self._ready[piece.request].left - 1) // piece.tokens))
        if not batch.jobs:
            return steps
        return 0 if self._stoppable else min(steps, self._first_end())

    def leap(self, batch: Batch, steps: int, t: float) -> list[Output]:
        """Record `steps` such steps at once, the last of which ended at `t`: as `finish`, without events for the tokens
        of jobs that decode."""
        out: list[Output] = []
        if batch.jobs:
            self._decoded += steps
            self._lags = True
            ending = self._ending
            while ending and ending[0][0] <= self._decoded:
                _, _, job = heappop(ending)
                if self._runs(job):
                    job.output_ids += [UNKNOWN] * (job.longest - job.length)
                    out += self._end(job, "length", t)
        for piece in batch.pieces:
            job = self._ready[piece.request]
            job.done += steps * piece.tokens
            sampled = job.left == 0 and self._samples_first_token
            out += self._computed(job, UNKNOWN if sampled else None, t)
        return [*out, *self._grant()] if out else out

    def samples(self, piece: Slice) -> bool:
        self._catch_up()
        return super().samples(piece)

    def finish(self, plan: Plan, sampled: Sequence[int | None], t: float, cpu_s: float | None = None) -> list[Output]:
        self._catch_up()
        self._decoded += plan[0].request in self._running
        return super().finish(plan, sampled, t, cpu_s)

    def _catch_up(self) -> None:
        if self._lags:
            self._lags = False
            for job in self._running.values():
                missing = job.offset + self._decoded - job.done
                job.done += missing
                job.output_ids += [UNKNOWN] * missing

    # ---- who runs

    def _run(self, job: Job) -> None:
        super()._run(job)
        job.offset = job.done - self._decoded
        self._offsets += job.offset
        self._joined += 1
        heappush(self._ending, (job.longest - job.offset - 1, self._joined, job))
        if job.request.stop_ids:
            self._stoppable.add(job.request.id)

    def _stop(self, request: str) -> None:
        if job := self._running.get(request):
            self._offsets -= job.offset
            self._stoppable.discard(request)
        super()._stop(request)

    def _first_end(self) -> int:
        """After how many steps from now the first running job ends at the latest."""
        while self._ending:
            end, _, job = self._ending[0]
            if self._runs(job):
                return end - self._decoded
            heappop(self._ending)
        return sys.maxsize

    def _runs(self, job: Job) -> bool:
        """Whether it has neither ended earlier than it had to nor been dropped."""
        return self._running.get(job.request.id) is job

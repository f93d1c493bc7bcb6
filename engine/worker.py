"""One worker's scheduler: which requests it holds, what it runs next, and what each step results in.

It has no clock, tensor or socket: it takes times and sampled tokens, and returns events and messages. The live process
and the simulator both drive this class.
"""

import sys
from collections import OrderedDict, deque
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import islice

from engine.blocks import BlockPool
from engine.events import BlocksFreed, Event, Finished, StepEnded, StepStarted, TokenMade
from engine.messages import Dropped, Prefilled, Report, Reserved
from engine.plan import Piece, Plan, Slice
from engine.policy import POLICIES, Job, Policy
from engine.request import Request

UNKNOWN = 0  # a token whose value does not matter
MAX_RUNNING = 64  # requests that one worker decodes in a batch

Output = Event | Report


class Worker:
    """Blocks for the longest possible answer are taken before a request starts, so a started one never lacks memory.

    A request is in one of four places: `_waiting` (no token made here yet), `_running` (one token a step), `_held`
    (prefilled; its KV is kept until it has landed elsewhere), or `_reserved` (blocks reserved, KV on its way here).
    """

    def __init__(
        self,
        name: str,
        pool: BlockPool,
        policy: str = "prefill_first",
        chunk: int = 256,
        max_running: int = MAX_RUNNING,
    ) -> None:
        self.name = name
        self.pool = pool
        self.max_running = max_running
        self.configure(policy, chunk)
        self._waiting: OrderedDict[str, Job] = OrderedDict()  # long under overload: never iterate over all of it
        self._running: dict[str, Job] = {}  # each step that decodes makes a token for all of them
        self._decoded = 0  # such steps
        self._ending: list[tuple[int, str]] = []  # after which of them each of these ends at the latest: a heap
        self._stoppable: set[str] = set()  # of those that run, whom a token's value may end
        self._held: dict[str, Job] = {}
        self._asked: deque[tuple[str, int]] = deque()  # reservations that wait for blocks: first come, first served
        self._reserved: set[str] = set()

    def configure(self, policy: str, chunk: int, samples_first_token: bool = True, own: Policy | None = None) -> None:
        """Set the policy, its chunk in tokens, and whether a prefill worker samples the first token.

        `own`: the policy, if it is none of ours but came with the run.
        """
        self.policy = policy
        self._choose = own or POLICIES[policy]
        self._chunk = chunk
        self._hands_off = policy == "prefill_only"
        self._samples_first_token = samples_first_token or not self._hands_off

    @property
    def idle(self) -> bool:
        """Whether there is nothing to compute."""
        return not (self._waiting or self._running)

    def blocks_of(self, request: str) -> tuple[int, ...]:
        """The request's blocks, in position order; empty if it has none."""
        return self.pool.owned(request)

    def pieces(self, plan: Plan) -> list[Piece]:
        """The plan with tokens, blocks and sampling filled in, ready to be computed."""
        return [self._piece(self.job(piece.request), piece) for piece in plan]

    def job(self, request: str) -> Job:
        """A request that is waiting or running here."""
        return self._running.get(request) or self._waiting[request]

    def _piece(self, job: Job, piece: Slice) -> Piece:
        return Piece(
            request=piece.request,
            start=piece.start,
            token_ids=tuple(job.tokens[piece.start : piece.start + piece.tokens]),
            blocks=self.pool.owned(piece.request),
            sample=job.request.sampling if self.samples(piece) else None,
            index=job.output_tokens,
        )

    def samples(self, piece: Slice) -> bool:
        """Whether a token is sampled after the slice's last row."""
        return self._samples_first_token and piece.start + piece.tokens == len(self.job(piece.request).tokens)

    # ---- requests come and go

    def submit(self, request: Request, output_ids: Sequence[int] = (), cached: int = 0) -> None:
        """Queue a request for prefill; `output_ids` are tokens it already has from an earlier attempt.

        `cached`: how many of its first tokens have their KV here. Never the last one, whose logits are needed.
        """
        self._waiting[request.id] = Job(request, [*request.prompt_ids, *output_ids], done=cached)

    def reserve(self, request: str, tokens: int) -> list[Output]:
        """Reserve blocks for a request whose KV will come from elsewhere."""
        self._asked.append((request, tokens))
        return self._grant()

    def admit(self, request: Request, output_ids: Sequence[int]) -> None:
        """The reserved blocks now hold the KV of all tokens but the last: decode from there."""
        self._reserved.remove(request.id)
        tokens = [*request.prompt_ids, *output_ids]
        self._run(Job(request, tokens, done=len(tokens) - 1))

    def drop(self, request: str, t: float) -> list[Output]:
        """Forget a request wherever it is. Must not be called while a step that contains it runs."""
        self._waiting.pop(request, None)
        self._running.pop(request, None)
        self._stoppable.discard(request)
        self._asked = deque(ask for ask in self._asked if ask[0] != request)
        self._held.pop(request, None)
        self._reserved.discard(request)
        return [*self._free(request, t), Dropped(request), *self._grant()]

    # ---- steps

    def plan(self, t: float) -> tuple[Plan, list[Output]]:
        """The next step and its `StepStarted` event; an empty plan if there is nothing to do."""
        ready = self._with_blocks() if self._waiting else []
        chosen = self._choose(ready, self._running.values(), self._chunk)
        plan = tuple([Slice(job.request.id, job.done, tokens) for job, tokens in chosen])
        if not plan:
            return (), []
        waiting = len(self._waiting)
        if waiting:
            waiting -= sum(piece.request in self._waiting for piece in plan)
        return plan, [StepStarted(t, self.name, plan, waiting, self.pool.used, self.pool.blocks)]

    def finish(self, plan: Plan, sampled: Sequence[int | None], t: float, cpu_s: float | None = None) -> list[Output]:
        """Record a step's results. `sampled` has, for each slice, a token or None; `cpu_s` is the CPU time it took."""
        out: list[Output] = [StepEnded(t, self.name, cpu_s)]
        self._decoded += plan[0].request in self._running
        for piece, token in zip(plan, sampled, strict=True):
            job = self.job(piece.request)
            job.done += piece.tokens
            out += self._computed(job, token, t)
        return [*out, *self._grant()]

    def _computed(self, job: Job, token: int | None, t: float) -> list[Output]:
        out = self._book(job, token, t) if token is not None else []
        if job.request.id in self._waiting and (token is not None or job.left == 0):
            out += self._leave_queue(job)
        return out

    def _book(self, job: Job, token: int, t: float) -> list[Output]:
        request = job.request
        job.tokens.append(token)
        made = TokenMade(t, self.name, request.id, job.output_tokens - 1, token)
        reason = request.end(job.output_tokens, token)
        return [made, *self._end(job, reason, t)] if reason else [made]

    def _end(self, job: Job, reason: str, t: float) -> list[Output]:
        request = job.request.id
        self._stoppable.discard(request)
        if not self._running.pop(request, None):
            del self._waiting[request]
        return [Finished(t, request, reason, job.output_tokens), *self._free(request, t)]

    def _leave_queue(self, job: Job) -> list[Output]:
        """Prefilled: from now on decode here, or hold the KV until it has landed elsewhere."""
        request = job.request.id
        del self._waiting[request]
        if not self._hands_off:
            self._run(job)
            return []
        self._held[request] = job
        return [Prefilled(request)]

    def _run(self, job: Job) -> None:
        """It decodes from now on."""
        self._running[job.request.id] = job
        if job.request.stop_ids:
            self._stoppable.add(job.request.id)
        heappush(self._ending, (self._decoded + job.longest - len(job.tokens), job.request.id))

    def _first_end(self) -> int:
        """After how many steps from now the first running request ends at the latest."""
        while self._ending:
            end, request = self._ending[0]
            job = self._running.get(request)
            if job is not None and job.longest - len(job.tokens) == end - self._decoded:
                return end - self._decoded
            heappop(self._ending)  # it ended earlier, or was dropped
        return sys.maxsize

    def steady_steps(self, plan: Plan) -> int:
        """How many steps like this one, counting it, run until a prompt or an answer ends, if none comes or is dropped.

        For a simulated clock that can leap; pieces of prompts go on where the one before ended. 0 if a piece of one
        token looks like decoding, or a token's value may end an answer.
        """
        steps = sys.maxsize
        for piece in reversed(plan) if self._waiting else ():
            job = self._waiting.get(piece.request)
            if job is None:
                break
            if piece.tokens == 1:
                return 0
            steps = min(steps, max(1, (job.left - 1) // piece.tokens))
        if plan[0].tokens > 1:
            return steps
        if self._stoppable:
            return 0
        return min(steps, self._first_end())

    def leap(self, plan: Plan, steps: int, t: float) -> list[Output]:
        """Record `steps` such steps at once, the last of which ended at `t`: as `finish`, without events for the tokens
        of requests that decode."""
        out: list[Output] = []
        rows = len(self._running) if plan[0].tokens == 1 else 0
        if rows:
            self._decoded += steps
            unknown = [UNKNOWN] * steps
            for job in self._running.values():
                job.tokens += unknown
                job.done += steps
            if self._ending[0][0] <= self._decoded:
                for job in [job for job in self._running.values() if len(job.tokens) == job.longest]:
                    out += self._end(job, "length", t)
        for piece in plan[rows:]:
            job = self._waiting[piece.request]
            job.done += steps * piece.tokens
            sampled = job.left == 0 and self._samples_first_token
            out += self._computed(job, UNKNOWN if sampled else None, t)
        return [*out, *self._grant()] if out else out

    # ---- memory

    def _with_blocks(self) -> list[Job]:
        """Waiting jobs that own their blocks. Blocks are taken in order of arrival; a small request overtakes none."""
        ready: list[Job] = []
        for job in islice(self._waiting.values(), max(0, self.max_running - len(self._running))):
            worst = len(job.tokens) if self._hands_off else job.longest
            if not self.pool.owned(job.request.id) and self.pool.take(job.request.id, worst) is None:
                break
            ready.append(job)
        return ready

    def _grant(self) -> list[Output]:
        granted: list[Output] = []
        while self._asked and (blocks := self.pool.take(*self._asked[0])) is not None:
            request, _ = self._asked.popleft()
            self._reserved.add(request)
            granted.append(Reserved(request, blocks))
        return granted

    def _free(self, request: str, t: float) -> list[Output]:
        if not self.pool.free(request):
            return []
        return [BlocksFreed(t, self.name, request, self.pool.used, self.pool.blocks)]

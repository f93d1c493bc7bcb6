"""One worker's scheduler: which requests it holds, what it runs next, and what each step results in.

It has no clock, tensor or socket: it takes times and sampled tokens, and returns events and messages. The live process
and the simulator both drive this class.
"""

from collections import OrderedDict, deque
from collections.abc import Collection, Sequence
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

    A request is in one of five places: `_queued` (no blocks yet), `_ready` (blocks, but no token made here yet),
    `_running` (one token a step), `_held` (prefilled; its KV is kept until it has landed elsewhere), or `_reserved`
    (blocks reserved, KV on its way here).
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
        self._queued: OrderedDict[str, Job] = OrderedDict()  # both are long under overload: never iterate over all
        self._ready: OrderedDict[str, Job] = OrderedDict()
        self._running: dict[str, Job] = {}
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
        return not (self._queued or self._ready or self._running)

    def blocks_of(self, request: str) -> tuple[int, ...]:
        """The request's blocks, in position order; empty if it has none."""
        return self.pool.owned(request)

    def pieces(self, plan: Plan) -> list[Piece]:
        """The plan with tokens, blocks and sampling filled in, ready to be computed."""
        return [self._piece(self.job(piece.request), piece) for piece in plan]

    def job(self, request: str) -> Job:
        """A request that has its blocks here, and is computed."""
        return self._running.get(request) or self._ready[request]

    def _piece(self, job: Job, piece: Slice) -> Piece:
        return Piece(
            request=piece.request,
            start=piece.start,
            token_ids=job.ids(piece.start, piece.tokens),
            blocks=self.pool.owned(piece.request),
            sample=job.request.sampling if self.samples(piece) else None,
            index=job.output_tokens,
        )

    def samples(self, piece: Slice) -> bool:
        """Whether a token is sampled after the slice's last row."""
        return self._samples_first_token and piece.start + piece.tokens == self.job(piece.request).length

    # ---- requests come and go

    def submit(self, request: Request, output_ids: Sequence[int] = (), cached: int = 0) -> None:
        """Queue a request for prefill; `output_ids` are tokens it already has from an earlier attempt.

        `cached`: how many of its first tokens have their KV here. Never the last one, whose logits are needed.
        """
        self._queued[request.id] = Job(request, list(output_ids), done=cached)

    def reserve(self, request: str, tokens: int) -> list[Output]:
        """Reserve blocks for a request whose KV will come from elsewhere."""
        self._asked.append((request, tokens))
        return self._grant()

    def admit(self, request: Request, output_ids: Sequence[int]) -> None:
        """The reserved blocks now hold the KV of all tokens but the last: decode from there."""
        self._reserved.remove(request.id)
        job = Job(request, list(output_ids))
        job.done = job.length - 1
        self._run(job)

    def drop(self, request: str, t: float) -> list[Output]:
        """Forget a request wherever it is. Must not be called while a step that contains it runs."""
        self._queued.pop(request, None)
        self._ready.pop(request, None)
        self._stop(request)
        self._asked = deque(ask for ask in self._asked if ask[0] != request)
        self._held.pop(request, None)
        self._reserved.discard(request)
        return [*self._free(request, t), Dropped(request), *self._grant()]

    # ---- steps

    def plan(self, t: float) -> tuple[Plan, list[Output]]:
        """The next step and its `StepStarted` event; an empty plan if there is nothing to do."""
        ready = list(self._with_blocks())
        chosen = self._choose(ready, self._running.values(), self._chunk)
        plan = tuple([Slice(job.request.id, job.done, tokens) for job, tokens in chosen])
        if not plan:
            return (), []
        waiting = len(self._queued) + len(self._ready)
        if waiting:
            waiting -= sum(piece.request in self._ready for piece in plan)
        return plan, [StepStarted(t, self.name, plan, waiting, self.pool.used, self.pool.blocks)]

    def finish(self, plan: Plan, sampled: Sequence[int | None], t: float, cpu_s: float | None = None) -> list[Output]:
        """Record a step's results. `sampled` has, for each slice, a token or None; `cpu_s` is the CPU time it took."""
        out: list[Output] = [StepEnded(t, self.name, cpu_s)]
        for piece, token in zip(plan, sampled, strict=True):
            job = self.job(piece.request)
            job.done += piece.tokens
            out += self._computed(job, token, t)
        return [*out, *self._grant()]

    def _computed(self, job: Job, token: int | None, t: float) -> list[Output]:
        out = self._book(job, token, t) if token is not None else []
        if job.request.id in self._ready and (token is not None or job.left == 0):
            out += self._leave_queue(job)
        return out

    def _book(self, job: Job, token: int, t: float) -> list[Output]:
        request = job.request
        job.output_ids.append(token)
        made = TokenMade(t, self.name, request.id, job.output_tokens - 1, token)
        reason = request.end(job.output_tokens, token)
        return [made, *self._end(job, reason, t)] if reason else [made]

    def _end(self, job: Job, reason: str, t: float) -> list[Output]:
        request = job.request.id
        if request in self._running:
            self._stop(request)
        else:
            del self._ready[request]
        return [Finished(t, request, reason, job.output_tokens), *self._free(request, t)]

    def _leave_queue(self, job: Job) -> list[Output]:
        """Prefilled: from now on decode here, or hold the KV until it has landed elsewhere."""
        request = job.request.id
        del self._ready[request]
        if not self._hands_off:
            self._run(job)
            return []
        self._held[request] = job
        return [Prefilled(request)]

    def _run(self, job: Job) -> None:
        """It decodes from now on."""
        self._running[job.request.id] = job

    def _stop(self, request: str) -> None:
        """It decodes no more, if it did."""
        self._running.pop(request, None)

    # ---- memory

    def _with_blocks(self) -> Collection[Job]:
        """Those that may be prefilled now. Blocks are taken in order of arrival; a small request overtakes none."""
        room = max(0, self.max_running - len(self._running))
        while self._queued and len(self._ready) < room:
            request, job = next(iter(self._queued.items()))
            if self.pool.take(request, job.length if self._hands_off else job.longest) is None:
                break
            self._ready[request] = self._queued.pop(request)
        return self._ready.values() if len(self._ready) <= room else list(islice(self._ready.values(), room))

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

"""One worker's mind: which requests it holds, what it runs next, what came of it.

It has no clock, no tensor and no socket. Time is passed in, sampled tokens are passed in; out come events and messages.
The live process and the simulator drive this same class.
"""

from collections import deque
from collections.abc import Sequence

from engine.blocks import BlockPool
from engine.events import BlocksFreed, Event, Finished, StepEnded, StepStarted, TokenMade
from engine.messages import Dropped, Prefilled, Report, Reserved
from engine.plan import Piece, Plan, Slice
from engine.policy import POLICIES, Job
from engine.request import Request

MAX_RUNNING = 64  # requests that decode side by side on one worker

Output = Event | Report


class Worker:
    """Blocks are promised for the worst case before a request begins, so a request that has begun never lacks memory.

    A request is in one of four places: `_waiting` (no token made here yet), `_running` (one token a step), `_held`
    (prefilled, KV kept until the router says it has landed elsewhere), or `_reserved` (room kept, KV on its way here).
    """

    def __init__(self, name: str, pool: BlockPool, policy: str = "prefill_first", chunk: int = 256) -> None:
        self.name = name
        self.pool = pool
        self.configure(policy, chunk)
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._held: dict[str, Job] = {}
        self._asked: deque[tuple[str, int]] = deque()  # reservations that wait for blocks, first come first served
        self._reserved: set[str] = set()

    def configure(self, policy: str, chunk: int, samples_first_token: bool = True) -> None:
        self.policy = policy
        self._choose = POLICIES[policy]
        self._chunk = chunk
        self._hands_off = policy == "prefill_only"
        self._samples_first_token = samples_first_token or not self._hands_off

    @property
    def idle(self) -> bool:
        return not (self._waiting or self._running)

    def blocks_of(self, request: str) -> tuple[int, ...]:
        return self.pool.owned(request)

    def pieces(self, plan: Plan) -> list[Piece]:
        """The plan with tokens, blocks and sampling filled in, for whatever computes it."""
        jobs = self._jobs()
        return [self._piece(jobs[piece.request], piece) for piece in plan]

    def _piece(self, job: Job, piece: Slice) -> Piece:
        end = piece.start + piece.tokens
        samples = self._samples_first_token and end == len(job.tokens)
        return Piece(
            request=piece.request,
            start=piece.start,
            token_ids=tuple(job.tokens[piece.start : end]),
            blocks=self.pool.owned(piece.request),
            sample=job.request.sampling if samples else None,
            index=job.output_tokens,
        )

    # ---- requests come and go

    def submit(self, request: Request, output_ids: Sequence[int] = ()) -> None:
        """Queue a request for prefill; `output_ids` are tokens it already has from an earlier life."""
        self._waiting.append(Job(request, [*request.prompt_ids, *output_ids]))

    def reserve(self, request: str, tokens: int) -> list[Output]:
        """Ask for room for a request whose KV will come from elsewhere."""
        self._asked.append((request, tokens))
        return self._grant()

    def admit(self, request: Request, output_ids: Sequence[int]) -> None:
        """The reserved blocks now hold the KV of all tokens but the last: decode from there."""
        self._reserved.remove(request.id)
        tokens = [*request.prompt_ids, *output_ids]
        self._running.append(Job(request, tokens, done=len(tokens) - 1))

    def drop(self, request: str, t: float) -> list[Output]:
        """Forget a request wherever it is. Must not be called while a step that contains it runs."""
        self._waiting = [job for job in self._waiting if job.request.id != request]
        self._running = [job for job in self._running if job.request.id != request]
        self._asked = deque(ask for ask in self._asked if ask[0] != request)
        self._held.pop(request, None)
        self._reserved.discard(request)
        return [*self._free(request, t), Dropped(request), *self._grant()]

    # ---- steps

    def plan(self, t: float) -> tuple[Plan, list[Output]]:
        """The next step, and the event that says so; an empty plan if there is nothing to do."""
        ready = self._with_blocks()
        plan = tuple(
            Slice(job.request.id, job.done, tokens) for job, tokens in self._choose(ready, self._running, self._chunk)
        )
        if not plan:
            return (), []
        begun = {s.request for s in plan}
        waiting = sum(job.request.id not in begun for job in self._waiting)
        return plan, [StepStarted(t, self.name, plan, waiting, self.pool.used, self.pool.blocks)]

    def finish(self, plan: Plan, sampled: Sequence[int | None], t: float) -> list[Output]:
        """Book the results of a step: `sampled` has a token for each piece that asked for one, else None."""
        jobs = self._jobs()
        out: list[Output] = [StepEnded(t, self.name)]
        for piece, token in zip(plan, sampled, strict=True):
            job = jobs[piece.request]
            job.done += piece.tokens
            if token is not None:
                out += self._book(job, token, t)
            if job in self._waiting and (token is not None or job.left == 0):
                out += self._leave_queue(job)
        return [*out, *self._grant()]

    def _book(self, job: Job, token: int, t: float) -> list[Output]:
        request = job.request
        job.tokens.append(token)
        made = TokenMade(t, self.name, request.id, job.output_tokens - 1, token)
        reason = request.end(job.output_tokens, token)
        if not reason:
            return [made]
        (self._waiting if job in self._waiting else self._running).remove(job)
        return [made, Finished(t, request.id, reason, job.output_tokens), *self._free(request.id, t)]

    def _leave_queue(self, job: Job) -> list[Output]:
        """Prefilled: decode here from now on, or keep the KV until it has landed elsewhere."""
        self._waiting.remove(job)
        if not self._hands_off:
            self._running.append(job)
            return []
        self._held[job.request.id] = job
        return [Prefilled(job.request.id)]

    # ---- memory

    def _with_blocks(self) -> list[Job]:
        """Waiting jobs that own their blocks, taking them in order of arrival; nobody overtakes for being small."""
        ready: list[Job] = []
        for job in self._waiting[: max(0, MAX_RUNNING - len(self._running))]:
            worst = len(job.tokens) if self._hands_off else len(job.request.prompt_ids) + job.request.max_output_tokens
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

    def _jobs(self) -> dict[str, Job]:
        return {job.request.id: job for job in (*self._waiting, *self._running)}

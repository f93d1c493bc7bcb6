"""A policy that somebody has written, held to the rules at every decision. A wrong one is refused in one sentence.

The simulator and the live workers put the function behind the same `OwnPolicy`, so both allow and refuse the same. What
it decides is either carried out as it stands or refused by name: nothing is corrected silently.
"""

from collections.abc import Callable, Collection, Iterable, Sequence

from engine.errors import PolicyRefused
from engine.own_limits import GAVE_UP, MOST_S, TookTooLong, limited
from engine.policy import Choice, Job
from engine.request import Request
from engine.stall import listed, number

PASSED_OVER = 500  # steps in a row; prompts of thousands of tokens in small pieces stay far below it
STUCK = "does not return"
MOST_NAMED = 5  # requests in a sentence,
MOST_LETTERS = 200  # and letters of what was raised

RAISES = "a policy raises nothing"
PAIRS = "a decision is a list of pairs: a job, and a whole number of tokens"
THERE = "only what is waiting or running at this step can be chosen"
ONCE = "a job is chosen at most once a step"
ONE_TOKEN = "a running job gets one token a step"
PIECE = "a waiting job gets at least one token, and no more than it has left"
BUDGET = "a step with a prompt in it has no more than `chunk` tokens in all"
IDLE = "a worker that has work does not stand still"
STARVES = "no job is passed over again and again"
QUICK = f"a policy answers within {MOST_S:g} seconds"
ENDS = "a policy does not end its process, nor use up its memory"
RULES = (RAISES, PAIRS, THERE, ONCE, ONE_TOKEN, PIECE, BUDGET, IDLE, STARVES, QUICK, ENDS)

Written = Callable[..., object]  # as it is written: what it returns is anybody's guess


class Seen:
    """What a policy sees of a `Job`: the same names, to read only. A job is the same object at every step."""

    __slots__ = ("_job",)

    def __init__(self, job: Job) -> None:
        self._job = job

    @property
    def id(self) -> str:
        """The request's name."""
        return self._job.request.id

    @property
    def request(self) -> Request:
        """What was asked for."""
        return self._job.request

    @property
    def tokens(self) -> tuple[int, ...]:
        """Prompt and output so far."""
        return tuple(self._job.tokens)

    @property
    def done(self) -> int:
        """How many of the tokens have their KV."""
        return self._job.done

    @property
    def left(self) -> int:
        """Tokens whose KV is missing; 1 once it is running."""
        return self._job.left

    @property
    def output_tokens(self) -> int:
        """How many output tokens it has."""
        return self._job.output_tokens

    @property
    def longest(self) -> int:
        """The most tokens it may have in the end, prompt and output."""
        return self._job.longest

    def __repr__(self) -> str:
        return f"<{self.id}: {self.left} left>"


class OwnPolicy:
    """A written function as a `Policy` of one worker. `file`: what to call it, and where its lines are counted.

    Raises PolicyRefused at the first decision that breaks a rule.
    """

    def __init__(self, written: Written, worker: str, file: str = "your policy") -> None:
        self._written = written
        self._worker = worker
        self._file = file
        self._step = 0
        self._seen: dict[str, Seen] = {}
        self._passed: dict[str, int] = {}  # how often in a row each was passed over

    def __call__(self, waiting: Sequence[Job], running: Collection[Job], chunk: int) -> Choice:
        """What it chooses: those that decode, then pieces of prompts, each in the order in which it names them."""
        if not waiting and not running:
            return []
        self._step += 1
        jobs = {job.request.id: job for job in (*waiting, *running)}
        self._seen = {name: self._view(name, job) for name, job in jobs.items()}
        waits, decodes = ([job.request.id for job in of] for of in (waiting, running))
        chosen: dict[str, int] = {}
        for pair in self._decided(waits, decodes, chunk):
            name, tokens = self._pair(pair)
            if name in chosen:
                raise self._refused(ONCE, f"it names {_named([name])} twice")
            self._must_suit(jobs[name], tokens, name in decodes)
            chosen[name] = tokens
        pieces = {name: tokens for name, tokens in chosen.items() if name not in decodes}
        if pieces and (total := sum(chosen.values())) > chunk:
            raise self._refused(BUDGET, f"it gives {total:,} tokens to {_named(chosen)}, and `chunk` is {chunk:,}")
        if not chosen:
            raise self._refused(IDLE, f"it chooses nothing, though {_named(jobs)} could go on")
        self._count(waits, decodes, chosen)
        rows = [(jobs[name], 1) for name in chosen if name in decodes]
        return rows + [(jobs[name], tokens) for name, tokens in pieces.items()]

    def _view(self, name: str, job: Job) -> Seen:
        known = self._seen.get(name)
        return known if known is not None and known._job is job else Seen(job)

    def _decided(self, waiting: list[str], running: list[str], chunk: int) -> list[object]:
        """What the function returns, asked in this way; a list of anything."""
        asked = f"asked about {_named([*waiting, *running])}"
        see = self._seen
        try:
            with limited():
                decided = self._written([see[name] for name in waiting], [see[name] for name in running], chunk)
        except TookTooLong as wrong:
            raise self._refused(QUICK, f"{asked}, it {STUCK}") from wrong
        except KeyboardInterrupt:
            raise
        except BaseException as wrong:
            raise self._refused(RAISES, f"{asked}, it raises {raised(wrong, self._file)}") from wrong
        if not isinstance(decided, list | tuple):
            raise self._refused(PAIRS, f"{asked}, it returns {_kind(decided)}")
        return list(decided)

    def _pair(self, pair: object) -> tuple[str, int]:
        """Whom it names, and with how many tokens."""
        match pair:
            case [Seen() as seen, tokens]:
                return self._there(seen), self._whole(seen, tokens)
            case [other, _]:
                found = f"a pair that begins with {_kind(other)}"
            case _:
                found = _kind(pair)
        raise self._refused(PAIRS, f"among what it chooses for {_named(self._seen)} is {found}")

    def _there(self, seen: Seen) -> str:
        if self._seen.get(seen.id) is not seen:
            raise self._refused(THERE, f"it names {_named([seen.id])}, which is neither waiting nor running")
        return seen.id

    def _whole(self, seen: Seen, tokens: object) -> int:
        if isinstance(tokens, bool) or not isinstance(tokens, int):
            raise self._refused(PAIRS, f"what it gives to {_named([seen.id])} is {_kind(tokens)}, no number of tokens")
        return tokens

    def _must_suit(self, job: Job, tokens: int, decodes: bool) -> None:
        who = _named([job.request.id])
        if decodes and tokens != 1:
            raise self._refused(ONE_TOKEN, f"it gives {_amount(tokens)} tokens to {who}")
        if not decodes and not 1 <= tokens <= job.left:
            raise self._refused(PIECE, f"it gives {_amount(tokens)} tokens to {who}, and {job.left:,} are left")

    def _count(self, waiting: Sequence[str], decodes: Sequence[str], chosen: Collection[str]) -> None:
        """Passed over is who runs and gets no token, and who waits and sees a later one served."""
        served = [place for place, name in enumerate(waiting) if name in chosen]
        last = served[-1] if served else -1
        over = [name for name in decodes if name not in chosen]
        over += [name for name in waiting[: last + 1] if name not in chosen]
        self._passed = {name: self._passed.get(name, 0) + 1 for name in over} | {
            name: self._passed[name] for name in waiting[last + 1 :] if name in self._passed
        }
        longest = max(self._passed, key=self._passed.__getitem__, default="")
        if longest and self._passed[longest] >= PASSED_OVER:
            times = f"{PASSED_OVER} times in a row"
            raise self._refused(STARVES, f"it has passed over {_named([longest])} {times}, now for {_named(chosen)}")

    def _refused(self, rule: str, fault: str) -> PolicyRefused:
        return PolicyRefused(f"{self._file}, step {self._step} of {self._worker}: {fault}; the rule: {rule}.", rule)


def ended(file: str, who: str, how: str) -> PolicyRefused:
    """What to say of a process that is gone, and that asked a policy: it would only end once more."""
    if f"exit code {GAVE_UP}" in how:
        return PolicyRefused(f"{file}: {who} asked it what to run, and it {STUCK}; the rule: {QUICK}.", QUICK)
    rule = QUICK if "answered" in how else ENDS
    return PolicyRefused(f"{file}: {who} asked it what to run, and {how}; the rule: {rule}.", rule)


def raised(wrong: BaseException, file: str) -> str:
    """What was raised, and in which of the file's lines."""
    line, at = 0, wrong.__traceback__
    while at is not None:
        line = at.tb_lineno if at.tb_frame.f_code.co_filename == file else line
        at = at.tb_next
    says = " ".join(str(wrong).split())[:MOST_LETTERS]
    return type(wrong).__name__ + (f" ({says})" if says else "") + (f" in line {line}" if line else "")


def _named(requests: Iterable[str]) -> str:
    names = list(requests)
    if len(names) <= MOST_NAMED:
        return listed("request", names)
    return f"requests {', '.join(map(number, names[:MOST_NAMED]))} and {len(names) - MOST_NAMED} more"


def _amount(tokens: int) -> str:
    return f"{tokens:,}" if abs(tokens) < 10**9 else "far too many"


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"

"""What one worker runs next: four small pure functions that know nothing of other workers.

    prefill_first   a whole prompt if one waits, else one token for everybody     (co-located, as before chunking)
    chunked         one token for everybody, and a piece of a prompt beside it    (--enable-chunked-prefill)
    prefill_only    whole prompts, whose KV is then handed to another worker      (a prefill worker)
    decode_only     one token for everybody                                       (a decode worker)

`prefill_first` is "prefill_only *or* decode_only, whichever has work". Disaggregation takes that *or* apart and puts a
link in its place. A policy sees the jobs that have their blocks: `waiting` in order of arrival, `running` likewise,
and returns (job, number of tokens) pairs.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from engine.request import Request

PREFILL_BATCH_TOKENS = 512  # short prompts share a step up to this many tokens; a longer one goes alone


@dataclass(eq=False, slots=True)
class Job:
    """A request at one worker, and the tokens of its answer so far; the KV of its first `done` tokens exists."""

    request: Request
    output_ids: list[int] = field(default_factory=list)
    done: int = 0
    prompt_tokens: int = field(init=False)
    longest: int = field(init=False)  # the most tokens it may have in the end
    offset: int = field(init=False, default=0)  # only for a simulated worker that leaps

    def __post_init__(self) -> None:
        self.prompt_tokens = len(self.request.prompt_ids)
        self.longest = self.prompt_tokens + self.request.max_output_tokens

    @property
    def length(self) -> int:
        """How many tokens the prompt and the answer so far have."""
        return self.prompt_tokens + len(self.output_ids)

    @property
    def left(self) -> int:
        """Tokens whose KV is missing. 1 once decoding: the step that samples a token makes the KV of the one before."""
        return self.prompt_tokens + len(self.output_ids) - self.done

    @property
    def output_tokens(self) -> int:
        """How many output tokens the job has made."""
        return len(self.output_ids)

    @property
    def tokens(self) -> list[int]:
        """The prompt and the answer so far."""
        return [*self.request.prompt_ids, *self.output_ids]

    def ids(self, start: int, tokens: int) -> tuple[int, ...]:
        """So many of its tokens, from position `start` on."""
        made = start - self.prompt_tokens
        if made >= 0:
            return tuple(self.output_ids[made : made + tokens])
        return (*self.request.prompt_ids[start : start + tokens], *self.output_ids[: max(0, made + tokens)])


Choice = list[tuple[Job, int]]


def whole_prompts(waiting: Collection[Job]) -> Choice:
    """Whole prompts in order of arrival, as long as they fit into `PREFILL_BATCH_TOKENS`; at least one."""
    chosen: Choice = []
    room = PREFILL_BATCH_TOKENS
    for job in waiting:
        left = job.left
        if chosen and left > room:
            break
        chosen.append((job, left))
        room -= left
    return chosen


def one_each(running: Collection[Job]) -> Choice:
    """One token for every running job."""
    return [(job, 1) for job in running]


def prefill_first(waiting: Collection[Job], running: Collection[Job], chunk: int) -> Choice:
    """Waiting prompts before everything else; decode only if there are none."""
    return whole_prompts(waiting) if waiting else one_each(running)


def chunked(waiting: Collection[Job], running: Collection[Job], chunk: int) -> Choice:
    """A token for every running job, then pieces of prompts up to `chunk` tokens in all."""
    chosen = one_each(running)
    room = chunk - len(chosen)
    for job in waiting:
        if room <= 0:
            break
        chosen.append((job, min(room, job.left)))
        room -= chosen[-1][1]
    return chosen or one_each(running)


def prefill_only(waiting: Collection[Job], running: Collection[Job], chunk: int) -> Choice:
    """Only waiting prompts: the policy of a prefill worker."""
    return whole_prompts(waiting)


def decode_only(waiting: Collection[Job], running: Collection[Job], chunk: int) -> Choice:
    """Only running jobs: the policy of a decode worker."""
    return one_each(running)


Policy = Callable[[Sequence[Job], Collection[Job], int], Choice]
POLICIES = {f.__name__: f for f in (prefill_first, chunked, prefill_only, decode_only)}

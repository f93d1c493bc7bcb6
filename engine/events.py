"""The closed set of events. All that is shown of a run, live, recorded or simulated, is computed from these.

`t` is seconds since the run's zero, one clock for all workers. Within one worker events are in order.
Add a kind only when a picture or a number needs it.
"""

import msgspec

from engine.plan import Plan
from engine.scenario import Kind

SERVER = "server"  # in a client's log, the worker that makes tokens
UNSEEN = -1  # in a client's log, a token's id: only its text is known


class Fact(msgspec.Struct, frozen=True, tag=True, tag_field="kind", gc=False):  # values only: never in a cycle
    """What all events have: `t`, in seconds since the engine's zero."""

    t: float


class Arrived(Fact, frozen=True):
    """A request was accepted; from here on it is never lost."""

    request: str
    prompt_tokens: int
    max_output_tokens: int
    prompt: str = ""


class Dispatched(Fact, frozen=True):
    """The router gave the request to a worker, where it waits for its prefill."""

    request: str
    worker: str


class StepStarted(Fact, frozen=True):
    """A worker began one forward pass over `plan`. `waiting`: requests it has not begun; `blocks_used` of `blocks`."""

    worker: str
    plan: Plan
    waiting: int
    blocks_used: int
    blocks: int


class StepEnded(Fact, frozen=True, omit_defaults=True):
    """`cpu_s`: CPU time of the worker's process since the step began; None if it was not measured."""

    worker: str
    cpu_s: float | None = None


class TokenMade(Fact, frozen=True):
    """Output token number `index` (from 0) of a request. `text` is what it adds to the answer; may be empty.

    `token`: its id, or `UNSEEN` where only text came in.
    """

    worker: str
    request: str
    index: int
    token: int
    text: str = ""


class HandoffOffered(Fact, frozen=True):
    """A receiver is asked to reserve blocks for the KV. The sender's blocks stay taken until `BlocksFreed`."""

    request: str
    source: str
    target: str
    nbytes: int


class HandoffAccepted(Fact, frozen=True):
    """The receiver has reserved its blocks; bytes may flow."""

    request: str
    source: str
    target: str


class HandoffStarted(Fact, frozen=True):
    """The first byte is about to leave. `configured_bytes_per_s` None: unpaced."""

    request: str
    source: str
    target: str
    nbytes: int
    transport: str
    configured_bytes_per_s: float | None


class HandoffMoved(Fact, frozen=True):
    """`bytes_done` of the handoff have landed in the receiver's memory."""

    request: str
    source: str
    target: str
    bytes_done: int


class HandoffEnded(Fact, frozen=True):
    """All bytes have landed, and the receiver has compared checksums: `verified`; None where nobody compares.

    `seconds` runs from `HandoffStarted` to the last byte's landing, latency included; `bytes_per_s` is what that makes.
    """

    request: str
    source: str
    target: str
    nbytes: int
    seconds: float
    bytes_per_s: float
    configured_bytes_per_s: float | None
    verified: bool | None


class BlocksFreed(Fact, frozen=True):
    """A worker freed a request's blocks."""

    worker: str
    request: str
    blocks_used: int
    blocks: int


class Recalled(Fact, frozen=True):
    """The router takes a request back from its workers, because of `why`; unless cancelled, it is queued again."""

    request: str
    why: str


class Finished(Fact, frozen=True):
    """`reason`: "stop" (end of sequence), "length" (max_output_tokens), "cancelled", "failed" (no handoff succeeds,
    or, seen from outside, no answer)."""

    request: str
    reason: str
    output_tokens: int


class LinkChanged(Fact, frozen=True):
    """From now on links have this bandwidth (None: unpaced) and latency."""

    bandwidth_bytes_per_s: float | None
    latency_s: float


class Deployed(Fact, frozen=True):
    """From now on the workers have these roles, (worker, policy) each; handoffs use `transport`."""

    deployment: Kind
    roles: tuple[tuple[str, str], ...]
    transport: str


class Connected(Fact, frozen=True):
    """What follows is a client's view of the server at `endpoint`: orders go in, tokens and ends come out.

    Such a log has no steps, blocks, links or handoffs: a client cannot see them.
    """

    endpoint: str
    model: str


class Watched(Fact, frozen=True):
    """What follows comes from inside another engine, through hooks. `connector` moves its KV; `moments` says what the
    beginning and end of a step and of a handoff mean there."""

    engine: str
    version: str
    connector: str
    moments: str


class Counted(Fact, frozen=True):
    """How many tokens the server says a request had (`usage`). Only a client writes this; it counted otherwise."""

    request: str
    prompt_tokens: int
    output_tokens: int


class Failed(Fact, frozen=True):
    """A client got no answer, or not all of it, because of `why`; `Finished` follows."""

    request: str
    why: str


class WorkerUp(Fact, frozen=True):
    """A worker is ready, with `blocks` KV blocks."""

    worker: str
    pid: int
    blocks: int


class WorkerDown(Fact, frozen=True):
    """A worker is gone, with all the KV that it held."""

    worker: str
    why: str


Event = (
    Arrived
    | Dispatched
    | StepStarted
    | StepEnded
    | TokenMade
    | HandoffOffered
    | HandoffAccepted
    | HandoffStarted
    | HandoffMoved
    | HandoffEnded
    | BlocksFreed
    | Recalled
    | Finished
    | LinkChanged
    | Deployed
    | Connected
    | Watched
    | Counted
    | Failed
    | WorkerUp
    | WorkerDown
)

"""Messages between router and worker: frozen, tagged, MessagePack on the wire.

A worker sends these messages and events in one ordered stream, so all it sent before `Dropped` arrives before it.
"""

import msgspec

from engine.events import Event
from engine.link import LinkSpec
from engine.request import Request
from engine.scenario import ModelSpec


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="kind"):
    """What all messages between router and workers have in common."""


# ---- a worker joins


class Hello(Message, frozen=True):
    """`boot_id`: workers that booted with the front share its clock. `role`: "prefill", "decode" or "any"."""

    boot_id: str
    pid: int
    role: str


class Ping(Message, frozen=True):
    """Ask for the worker's clock; answered by `Pong`."""


class Pong(Message, frozen=True):
    """The worker's monotonic clock when it answered a `Ping`, in seconds."""

    clock_s: float


class Start(Message, frozen=True):
    """Load this model and be the worker `name`. `zero_s`: the engine's zero on the worker's own monotonic clock.

    `core`: the CPU core to stay on, -1 for any. `place`: "cpu" or a GPU, as "cuda:0", of whose memory the worker takes
    at most `memory_bytes`; 0: no limit.
    """

    name: str
    model: ModelSpec
    zero_s: float
    transports: tuple[str, ...]
    core: int
    place: str = "cpu"
    memory_bytes: int = 0


# ---- router -> worker


class Configure(Message, frozen=True):
    """Take this role from the next step on."""

    policy: str
    chunk: int
    transport: str
    ship: str
    samples_first_token: bool


class SetLink(Message, frozen=True):
    """Pace handoffs by this link from now on, also those under way."""

    link: LinkSpec


class Ship(Message, frozen=True):
    """Write the request's KV into `blocks` of the worker `target`, which can be reached at `endpoint`."""

    request: str
    target: str
    endpoint: bytes
    blocks: tuple[int, ...]


class Prefill(Message, frozen=True):
    """Prefill this request, which has `output_ids` from an earlier attempt. `ship`: send each layer once it is made."""

    request: Request
    output_ids: tuple[int, ...] = ()
    ship: Ship | None = None


class Reserve(Message, frozen=True):
    """Reserve blocks for `tokens` tokens of this request; answered by `Reserved`, perhaps much later."""

    request: str
    tokens: int


class Admit(Message, frozen=True):
    """The KV of all but the last of the request's tokens has landed in the reserved blocks: compare, then decode."""

    request: Request
    output_ids: tuple[int, ...]
    nbytes: int
    digest: str


class Drop(Message, frozen=True):
    """Forget the request and free its blocks; answered by `Dropped`."""

    request: str


class Meet(Message, frozen=True):
    """Open the way to the worker `target`, which is at `endpoint`, before a tray needs it; answered by `Met`."""

    target: str
    transport: str
    endpoint: bytes


class Gone(Message, frozen=True):
    """The worker with these endpoints has ended: close what leads there. An open path keeps its memory mapped."""

    endpoints: tuple[bytes, ...]


class Corrupt(Message, frozen=True):
    """Fault injection: flip a bit of the next tray that lands here, before it is compared."""


class Stop(Message, frozen=True):
    """End the process."""


# ---- worker -> router


class Ready(Message, frozen=True):
    """The model is loaded. `endpoints`: how other workers reach this one's KV pool, by transport.

    `remarks`: what it does in a slower way than it should, as clauses.
    """

    pid: int
    blocks: int
    block_tokens: int
    kv_bytes_per_token: int
    context_tokens: int
    dtype: str
    endpoints: dict[str, bytes]
    remarks: tuple[str, ...] = ()


class Met(Message, frozen=True):
    """The answer to `Meet`, with what that named; `why` the way could not be opened, "" if it is open."""

    target: str
    endpoint: bytes
    why: str


class Prefilled(Message, frozen=True):
    """The KV of all the request's tokens is in this worker's blocks, ready to be shipped."""

    request: str


class Reserved(Message, frozen=True):
    """The decode worker has reserved these blocks for the request's KV."""

    request: str
    blocks: tuple[int, ...]


class Shipped(Message, frozen=True):
    """Every byte has landed; `digest` is the sender's checksum over them, `seconds` includes the link's latency."""

    request: str
    nbytes: int
    seconds: float
    configured_bytes_per_s: float | None
    digest: str


class ShipFailed(Message, frozen=True):
    """The KV could not be sent; `why` in words."""

    request: str
    why: str


class Compared(Message, frozen=True):
    """The receiver's checksum against the sender's. `verified` True: the request is decoding here now."""

    request: str
    verified: bool


class Dropped(Message, frozen=True):
    """The worker no longer holds anything of the request."""

    request: str


class Refused(Message, frozen=True):
    """The worker's own policy has broken a rule, or cannot be loaded; `why` in a sentence. The worker ends."""

    why: str


class Said(Message, frozen=True):
    """Events, in the order in which they happened."""

    events: tuple[Event, ...]


Command = Ping | Start | Configure | SetLink | Prefill | Reserve | Ship | Admit | Drop | Meet | Gone | Corrupt | Stop
Greeting = Hello | Pong | Refused | Met  # what concerns the front alone
Report = Ready | Prefilled | Reserved | Shipped | ShipFailed | Compared | Dropped | Said

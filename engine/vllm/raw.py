"""Raw lines, one fact each, as the plugin inside vLLM and its client write them.

`t` is in seconds of CLOCK_MONOTONIC, which all processes of one host share. `w` is the writer: an engine, or "client".
`r` is vLLM's name for the request: the client's name between a prefix and a random suffix.
"""

from collections.abc import Iterable, Iterator

import msgspec

from engine.errors import BadInput

SAID_BY_CLIENT = "client"


class Line(msgspec.Struct, frozen=True, tag_field="k", kw_only=True):
    """What all lines have: time and writer."""

    t: float
    w: str


# ---- the client's


class Zero(Line, frozen=True, tag="zero"):
    """The run starts at `t0`; everything before it was a warm-up."""

    t0: float


class Asked(Line, frozen=True, tag="arrived"):
    """The client sent a request of `prompt` tokens, for at most `most` output tokens; to `at` first, if it says so."""

    r: str
    prompt: int
    most: int
    text: str = ""
    at: str = ""


class AnswerPiece(Line, frozen=True, tag="token"):
    """Piece `i` of an answer, as it streamed in."""

    r: str
    i: int
    text: str = ""


class Unanswered(Line, frozen=True, tag="failed"):
    """The client's request failed."""

    r: str
    why: str = ""


class GivenUp(Line, frozen=True, tag="cancelled"):
    """The client wants no more of the request."""

    r: str


class Paced(Line, frozen=True, tag="link"):
    """From now on handoffs are paced at `rate` bytes/s; None: not at all."""

    rate: float | None = None


# ---- the engine core's


class Up(Line, frozen=True, tag="up"):
    """An engine has started with `blocks` KV blocks of `block_tokens` tokens, `block_bytes` bytes over all ranks."""

    blocks: int
    block_tokens: int
    block_bytes: int
    pid: int
    role: str | None = None
    connector: str | None = None
    chunk: int = 0
    vllm: str = ""


class Queued(Line, frozen=True, tag="queued"):
    """The request has reached the scheduler."""

    r: str


class Scheduled(Line, frozen=True, tag="step"):
    """Step `n` as scheduled: (request, first position, tokens) for each slice, and how many KV blocks are used."""

    n: int
    plan: tuple[tuple[str, int, int], ...]
    waiting: int
    used: int


class Computed(Line, frozen=True, tag="done"):
    """The result of step `n` is back in the engine core, with the sampled token ids of each request."""

    n: int
    tokens: dict[str, list[int]]


class Preempted(Line, frozen=True, tag="preempted"):
    """The request lost its KV blocks, and will be computed again."""

    r: str


class Offered(Line, frozen=True, tag="offer"):
    """A prefill engine offers the request's KV, in `blocks` blocks."""

    r: str
    blocks: int


class Accepted(Line, frozen=True, tag="accept"):
    """A decode engine has room for the KV. `params_from`: the request's name on the engine that offers it."""

    r: str
    params_from: str | None = None


class Posted(Line, frozen=True, tag="posted"):
    """One rank's transfer begins; `r` is the request's name on the engine that offered its KV."""

    r: str


class Landed(Line, frozen=True, tag="landed"):
    """One rank's transfer, started at `t0`, has ended; `r` is the request's name on the engine that offered its KV."""

    r: str
    ok: bool
    t0: float
    bytes: int | None = None


class Freed(Line, frozen=True, tag="free"):
    """The request's blocks are free; `used` blocks remain in use."""

    r: str
    used: int


class Ended(Line, frozen=True, tag="finished"):
    """The engine has finished the request with `made` output tokens."""

    r: str
    reason: str
    made: int


# ---- the plugin's own


class Missing(Line, frozen=True, tag="missing"):
    """This vLLM has no `what`: the lines lack what the plugin would have seen there."""

    what: str


class HookBroke(Line, frozen=True, tag="broken"):
    """A hook raised; the engine continued, and the hook's line is missing."""

    hook: str
    why: str = ""


class LinesDropped(Line, frozen=True, tag="dropped"):
    """So many lines were lost because the plugin's queue was full."""

    lines: int


Raw = (
    Zero | Asked | AnswerPiece | Unanswered | GivenUp | Paced | Up | Queued | Scheduled | Computed | Preempted | Offered
    | Accepted | Posted | Landed | Freed | Ended | Missing | HookBroke | LinesDropped
)  # fmt: skip
_line: msgspec.json.Decoder[Raw] = msgspec.json.Decoder(Raw)
_kind = msgspec.json.Decoder(type=dict[str, object])
KNOWN = {kind.__struct_config__.tag for kind in Raw.__args__}


def parse(lines: Iterable[bytes], name: str = "line") -> Iterator[Raw]:
    """The facts in one file; unknown kinds are skipped. Raises BadInput with the number of an invalid line.

    A killed engine leaves an incomplete last line in its file; that one is skipped.
    """
    every = list(lines)
    for number, line in enumerate(every, start=1):
        if not line.strip():
            continue
        try:
            yield _line.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
            if _unknown(line) or (number == len(every) and not line.endswith(b"\n")):
                continue
            raise BadInput(f"{name} line {number}", str(wrong)[:120], "a line that the vLLM plugin wrote") from wrong


def _unknown(line: bytes) -> bool:
    try:
        return _kind.decode(line).get("k") not in KNOWN
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False

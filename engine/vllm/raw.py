"""Raw lines: one fact a line, as the plugin inside vLLM and the client beside it write them.

`t` is seconds of CLOCK_MONOTONIC, which all processes of one host share. `w` names the writer: an engine, or "client".
`r` is the request's name as vLLM has it: the client's name between a prefix and a random suffix.
"""

from collections.abc import Iterable, Iterator

import msgspec

from engine.errors import BadInput

SAID_BY_CLIENT = "client"


class Line(msgspec.Struct, frozen=True, tag_field="k", kw_only=True):
    t: float
    w: str


# ---- the client's


class Zero(Line, frozen=True, tag="zero"):
    """The run's zero is `t0`; what happened before it was a warm-up."""

    t0: float


class Asked(Line, frozen=True, tag="arrived"):
    r: str
    prompt: int
    most: int
    text: str = ""


class AnswerPiece(Line, frozen=True, tag="token"):
    """Piece `i` of an answer, as it streamed in."""

    r: str
    i: int
    text: str = ""


class Unanswered(Line, frozen=True, tag="failed"):
    r: str
    why: str = ""


# ---- the engine core's


class Up(Line, frozen=True, tag="up"):
    """An engine with `blocks` KV blocks of `block_tokens` tokens and `block_bytes` bytes, all its ranks together."""

    blocks: int
    block_tokens: int
    block_bytes: int
    pid: int
    role: str | None = None
    connector: str | None = None
    chunk: int = 0
    vllm: str = ""


class Queued(Line, frozen=True, tag="queued"):
    r: str


class Scheduled(Line, frozen=True, tag="step"):
    """Step `n` as the scheduler decided it: (request, first position, tokens) each, and `used` KV blocks."""

    n: int
    plan: tuple[tuple[str, int, int], ...]
    waiting: int
    used: int


class Computed(Line, frozen=True, tag="done"):
    """The result of step `n` is back in the engine core, with the sampled token ids of each request."""

    n: int
    tokens: dict[str, list[int]]


class Preempted(Line, frozen=True, tag="preempted"):
    r: str


class Offered(Line, frozen=True, tag="offer"):
    r: str
    blocks: int


class Accepted(Line, frozen=True, tag="accept"):
    """`params_from`: the request's name on the engine that offers its KV."""

    r: str
    params_from: str | None = None


class Landed(Line, frozen=True, tag="landed"):
    """One rank's transfer, begun at `t0`, is over; `r` is the name on the engine that offered."""

    r: str
    ok: bool
    t0: float
    bytes: int | None = None


class Freed(Line, frozen=True, tag="free"):
    r: str
    used: int


class Ended(Line, frozen=True, tag="finished"):
    r: str
    reason: str
    made: int


# ---- the plugin's own


class Missing(Line, frozen=True, tag="missing"):
    """This vLLM has no `what`: nothing that the plugin would have heard there is in the lines."""

    what: str


class HookBroke(Line, frozen=True, tag="broken"):
    """A hook raised; the engine went on, and what the hook would have said is not in the lines."""

    hook: str
    why: str = ""


class LinesDropped(Line, frozen=True, tag="dropped"):
    """So many lines found the plugin's queue full."""

    lines: int


Raw = (
    Zero | Asked | AnswerPiece | Unanswered | Up | Queued | Scheduled | Computed | Preempted | Offered | Accepted
    | Landed | Freed | Ended | Missing | HookBroke | LinesDropped
)  # fmt: skip
_line: msgspec.json.Decoder[Raw] = msgspec.json.Decoder(Raw)
_kind = msgspec.json.Decoder(type=dict[str, object])
KNOWN = {kind.__struct_config__.tag for kind in Raw.__args__}


def parse(lines: Iterable[bytes], name: str = "line") -> Iterator[Raw]:
    """The facts of one file; kinds that are not known here pass by. Raises BadInput naming the line that is wrong.

    An engine that was killed leaves half a line at the end of its file: that one is left out.
    """
    every = list(lines)
    for number, line in enumerate(every, start=1):
        if not line.strip():
            continue
        try:
            yield _line.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            if _unknown(line) or (number == len(every) and not line.endswith(b"\n")):
                continue
            raise BadInput(f"{name} line {number}", str(wrong)[:120], "a line that the vLLM plugin wrote") from wrong


def _unknown(line: bytes) -> bool:
    try:
        return _kind.decode(line).get("k") not in KNOWN
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False

"""A recorded run of a vLLM and its client as a log: a pure function that accepts lines in any order.

`engine.vllm.fold` says what each line means; here is what only all the lines together tell.
"""

from collections.abc import Iterable
from statistics import median

import msgspec

from engine.errors import BadInput
from engine.events import Deployed, Event, Watched, WorkerUp
from engine.log import Log, in_order
from engine.scenario import Deployment, Kind, Scenario, Workload
from engine.vllm.fold import TRANSPORT, Fold, Foreseen, client_name, producers
from engine.vllm.raw import (
    Accepted,
    AnswerPiece,
    Asked,
    Computed,
    Ended,
    Freed,
    GivenUp,
    HookBroke,
    Landed,
    LinesDropped,
    Missing,
    Offered,
    Paced,
    Posted,
    Preempted,
    Queued,
    Raw,
    Scheduled,
    Unanswered,
    Up,
    Zero,
)

MOMENTS = (
    "A step runs from its scheduling to its result. The end of a handoff is noticed only once per step, so its rate is "
    "a lower bound. The KV that arrives is not compared with the KV that was sent."
)
# The order of lines with the same time: that in which an engine acts.
ORDER: tuple[type, ...] = (
    *(Zero, Up, Paced, Asked, Queued, Offered, Accepted, Posted, Scheduled, Landed, Computed, AnswerPiece, Preempted),
    *(Freed, Ended, GivenUp, Unanswered, Missing, HookBroke, LinesDropped),
)


class Translation(msgspec.Struct, frozen=True):
    """A log, and what it lacks. `unasked`: requests that the client did not send, or sent before the run started;
    `dropped`: lines that the plugin had to drop; `misses`: hooks that this vLLM lacks, or that failed."""

    log: Log
    unasked: int = 0
    dropped: int = 0
    misses: tuple[str, ...] = ()


def by_time(line: Raw) -> tuple[float, int, str, str]:
    """The key that sorts lines as they happened."""
    return line.t, ORDER.index(type(line)), line.w, getattr(line, "r", "")


def dropped(lines: Iterable[Raw]) -> int:
    """How many lines the plugin had to drop."""
    return sum(line.lines for line in lines if isinstance(line, LinesDropped))


def misses(lines: Iterable[Raw]) -> tuple[str, ...]:
    """What the plugin could not see, and why."""
    return tuple(sorted({_miss(line) for line in lines if isinstance(line, Missing | HookBroke)}))


def standing(engines: dict[str, Up], kind: Kind) -> list[Event]:
    """The first events of a run: what is watched, who is up, in which role."""
    first = next(iter(engines.values()))
    split = producers(engines)
    both = "chunked" if kind == "chunked" else "prefill_first"
    policies = {name: ("prefill_only" if name in split else "decode_only") if split else both for name in engines}
    return [
        Watched(0.0, "vLLM", first.vllm, first.connector or "", MOMENTS),
        Deployed(0.0, kind, tuple(policies.items()), TRANSPORT),
        *(WorkerUp(0.0, name, up.pid, up.blocks) for name, up in engines.items()),
    ]


def translate(lines: Iterable[Raw], recorded_at: str = "") -> Translation:
    """The run in the lines; times in seconds since its start. Raises BadInput if the lines have no run."""
    ordered = sorted(lines, key=by_time)
    if not (zero := next((line for line in ordered if isinstance(line, Zero)), None)):
        raise BadInput("vLLM recording", "without a client", "a folder with the lines of one run and its client")
    engines = {line.w: line for line in ordered if isinstance(line, Up)}
    if not engines:
        raise BadInput("vLLM recording", "without an engine", "a folder with the lines of a vLLM with the plugin")
    run = [line for line in ordered if line.t >= zero.t0 and not isinstance(line, Up)]
    asked = {line.r: line for line in run if isinstance(line, Asked)}
    texts = {(line.r, line.i): line.text for line in ordered if isinstance(line, AnswerPiece)}
    fold = Fold(
        engines, zero.t0, lambda request, index, _: texts.get((request, index), ""), _foreseen(ordered, engines)
    )
    for line in run:
        fold.read(line)
    scenario = _scenario(engines, list(asked.values()))
    events = [*standing(engines, scenario.deployment.kind), *fold.take()]
    seen = {client_name(line.r) for line in ordered if isinstance(line, Queued)}
    return Translation(
        Log(scenario, in_order(events), f"vLLM {next(iter(engines.values())).vllm}", recorded_at),
        unasked=len(seen - asked.keys()),
        dropped=dropped(ordered),
        misses=misses(ordered),
    )


def _foreseen(ordered: list[Raw], engines: dict[str, Up]) -> Foreseen:
    split = producers(engines)

    queued = [line for line in ordered if isinstance(line, Queued) and (not split or line.w in split)]
    ended = [line for line in ordered if isinstance(line, Ended) and line.w in engines and line.w not in split]
    return Foreseen(
        began_at={client_name(line.r): line.w for line in reversed(queued)},  # the first one counts
        counted={client_name(line.r): line.made for line in ended},
        tray_ends={client_name(line.r): line.t for line in ordered if isinstance(line, Landed)},
    )


def _scenario(engines: dict[str, Up], asked: list[Asked]) -> Scenario:
    prompts, split = [line.prompt for line in asked], producers(engines)
    cut = any(0 < up.chunk < max(prompts, default=0) for up in engines.values())
    deployment = Deployment(
        "disaggregated" if split else "chunked" if cut else "colocated",
        workers=len(engines),
        prefill_workers=max(1, len(split)),
        chunk=min((up.chunk for up in engines.values() if up.chunk), default=256),
        transport=TRANSPORT,
        first_token="decode",
    )
    return Scenario(
        deployment,
        workload=Workload(
            requests=max(1, len(prompts)),
            prompt_tokens=round(median(prompts)) if prompts else 1,
            output_tokens=round(median([line.most for line in asked])) if asked else 1,
        ),
    )


def _miss(line: Missing | HookBroke) -> str:
    return f"no {line.what} in this vLLM" if isinstance(line, Missing) else f"hook {line.hook} broke: {line.why}"

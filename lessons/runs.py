"""What lessons share: small scenarios for two workers, and small folds over their logs."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from engine.events import Arrived, StepEnded, StepStarted, TokenMade
from engine.link import LinkSpec
from engine.log import Log
from engine.metrics import HandoffResult, RequestResult, summarize
from engine.plan import Plan
from engine.scenario import Deployment, Kind, Scenario, Workload
from engine.units import amount
from lessons.evidence import CannotTell, Evidence, Sample
from lessons.lesson import View
from lessons.question import Bars

LONG, SHORT = 512, 16  # prompt tokens: long enough to be felt; short enough that nobody feels them

# MB/s at which this kitchen's road is to its prefill about what each is to an H100's, by the ruler
SOUND, FALLBACK, BROKEN = 800.0, 100.0, 2.0  # NVLink, PCIe, TCP
GAP_S = 0.08  # from one of the crowd to the next
GIANT = "r6"  # the last of the crowd

# ---- scenarios


def deployed(kind: Kind, workload: Workload, chunk: int = 128, mb_per_s: float | None = None) -> Scenario:
    """Two workers. `mb_per_s` None: the link is not slowed down."""
    bytes_per_s = None if mb_per_s is None else mb_per_s * 1e6
    return Scenario(Deployment(kind, chunk=chunk), LinkSpec(bytes_per_s), workload)


def crowd(long_tokens: int = LONG, output_tokens: int = 32) -> Workload:
    """Five short prompts, one after the other, and a long one behind them, while their answers are being written.
    Lengths do not depend on what is said, and gaps hardly on the seed."""
    return Workload(
        requests=6,
        rate_per_s=1 / GAP_S,
        arrivals="gamma",
        burstiness=0.01,
        prompt_tokens=SHORT,
        output_tokens=output_tokens,
        long_prompt_tokens=long_tokens,
        long_every=6,
        ignore_eos=True,
    )


def alone(prompt_tokens: int, output_tokens: int = 4) -> Workload:
    return Workload(requests=1, prompt_tokens=prompt_tokens, output_tokens=output_tokens, ignore_eos=True)


def together(requests: int) -> Workload:
    """So many requests that decode side by side: answers long enough for the first to be under way when the last one's
    prompt has been read."""
    return Workload(requests=requests, prompt_tokens=16, output_tokens=8 + 3 * requests, ignore_eos=True)


def shipped(prompt_tokens: int, mb_per_s: float | None, **deployment: str) -> Scenario:
    """One prompt, prefilled here and decoded there. `deployment`: other fields, such as ship="layers"."""
    bytes_per_s = None if mb_per_s is None else mb_per_s * 1e6
    return Scenario(Deployment(**deployment), LinkSpec(bytes_per_s), alone(prompt_tokens))  # type: ignore[arg-type]


# ---- folds: each raises CannotTell where a log does not say


def steps(log: Log) -> list[tuple[Plan, float]]:
    """What each step computed, and its seconds."""
    began: dict[str, StepStarted] = {}
    taken = []
    for event in log.events:
        if isinstance(event, StepStarted):
            began[event.worker] = event
        elif isinstance(event, StepEnded) and (start := began.pop(event.worker, None)):
            taken.append((start.plan, event.t - start.t))
    return taken


def _prefill_steps(log: Log) -> list[tuple[Plan, float]]:
    """Those that did nothing but prefill."""
    only = [(plan, s) for plan, s in steps(log) if plan and all(piece.tokens > 1 for piece in plan)]
    return only or silent("No prompt was read.")


def prefill_s(log: Log) -> float:
    """Seconds in steps that did nothing but prefill."""
    return some(sum(seconds for _, seconds in _prefill_steps(log)), "No prompt was read.")


def prefill_s_per_token(log: Log) -> float:
    return prefill_s(log) / sum(piece.tokens for plan, _ in _prefill_steps(log) for piece in plan)


def decode_step_s(log: Log) -> float:
    """The median step that did nothing but decode, for all the log's requests at once."""
    batch = log.scenario.workload.requests
    full = [seconds for plan, seconds in steps(log) if len(plan) == batch and all(piece.tokens == 1 for piece in plan)]
    return middle(full, f"No step wrote a token of all {batch} answers: some had ended before the last one began.")


def requests(log: Log) -> tuple[RequestResult, ...]:
    return summarize(log.events).requests or silent("No request arrived.")


def lone(log: Log) -> RequestResult:
    """The only request, or the first."""
    return requests(log)[0]


def giant(log: Log) -> RequestResult:
    """The crowd's long prompt."""
    found = next((request for request in requests(log) if request.id == GIANT), None)
    return found or silent("The giant order did not arrive.")


def _others(log: Log) -> list[RequestResult]:
    return [request for request in requests(log) if request.id != GIANT]


def giant_step_s(log: Log) -> float:
    """The seconds of all steps that read some of the giant's prompt."""
    read = sum(s for plan, s in steps(log) if any(piece.request == GIANT and piece.tokens > 1 for piece in plan))
    return some(read, "The giant's prompt was not read.")


def stalled(log: Log) -> RequestResult:
    """The short answer with the longest gap between two tokens, of those that were being written when the giant came;
    for what came before is none of its doing."""
    came_s = next((event.t for event in log.events if isinstance(event, Arrived) and event.request == GIANT), None)
    last_s = {event.request: event.t for event in log.events if isinstance(event, TokenMade)}
    under_way = [one for one in _others(log) if one.itl_s and came_s is not None and last_s[one.id] > came_s]
    if not under_way:
        raise CannotTell("Every short answer had ended before the giant order came in.")
    return max(under_way, key=lambda one: max(one.itl_s))


def stall_s(log: Log) -> float:
    """The longest that one of the short requests waited for its next token."""
    return some(max(stalled(log).itl_s), "No short answer ever waited.")


def usual_s(log: Log) -> float:
    """The median gap between tokens of the short requests."""
    return middle([gap for one in _others(log) for gap in one.itl_s], "No short answer was written.")


def long_ttft_s(log: Log) -> float:
    return some(giant(log).ttft_s, "The giant order got no token.")


def flowing_s(log: Log) -> float:
    """From the giant's arrival until its answer begins to flow: its second token is out."""
    return long_ttft_s(log) + (giant(log).itl_s or silent("The giant order got only one token."))[0]


def second_gap_s(log: Log) -> float:
    """From a lone request's first token to its second: the handoff, if there is one, lies between them."""
    gaps = lone(log).itl_s
    return some(gaps[0] if gaps else None, "There was no second token.")


def usual_gap_s(log: Log) -> float:
    """A lone request's gap between later tokens."""
    return middle(lone(log).itl_s[1:], "The answer has too few tokens.")


def ttft_s(log: Log) -> float:
    """Of a lone request."""
    return some(lone(log).ttft_s, "There was no first token.")


def e2e_s(log: Log) -> float:
    """Of a lone request."""
    return some(lone(log).e2e_s, "There was no answer.")


def handoff(log: Log) -> HandoffResult:
    """The first."""
    return (summarize(log.events).handoffs or silent("No tray was carried over."))[0]


def handoff_s(log: Log) -> float:
    return some(handoff(log).seconds, "No tray was carried over.")


def handoff_bytes(log: Log) -> float:
    return some(float(handoff(log).bytes), "The tray was empty.")


def output_tokens_per_s(log: Log) -> float:
    return some(summarize(log.events).metrics.output_tokens_per_s, "No token was made.")


def failures(log: Log) -> int:
    return sum(request.finished not in ("length", "stop") for request in requests(log))


# ---- what a log says, or not


def silent(why: str) -> Any:
    raise CannotTell(why)


def some(value: float | None, why: str) -> float:
    """A time, a number of bytes: nothing is no measurement. Raises CannotTell."""
    return value if value is not None and value > 0 else silent(why)


def middle(values: Sequence[float], why: str = "Nothing was measured.") -> float:
    """The median of times or bytes. Raises CannotTell if there is none, or none above 0."""
    return some(median(values), why) if values else silent(why)


# ---- words


def ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f} ms" if seconds >= 0.01 else f"{seconds * 1e3:.2g} ms"


def mb(nbytes: float) -> str:
    return f"{amount(nbytes / 1e6)} MB"


def bars(unit: str, fold: Callable[[Log], float], *runs: str, scale: float = 1.0, log: bool = False) -> View:
    """A number of each run, times `scale`."""
    return lambda evidence, told: Bars(
        unit, {run: tuple(scale * value for value in evidence.of(run, fold)) for run in runs}, told, log
    )


def ms_bars(fold: Callable[[Log], float], *runs: str, log: bool = False) -> View:
    """Milliseconds of each run, from a number in seconds."""
    return bars("ms", fold, *runs, scale=1e3, log=log)


def in_ms(samples: Sequence[Sample[float]]) -> list[Sample[float]]:
    return [one._replace(value=one.value * 1e3, calm=None if one.calm is None else one.calm * 1e3) for one in samples]


def of(run: str, fold: Callable[[Log], float]) -> Callable[[Evidence], float]:
    """A number of one run, in whichever repeat."""
    return lambda one: fold(one.log(run))


def named(fold: Callable[[Log], float], *runs: str) -> Callable[[Evidence], dict[str, float]]:
    """A number of each run, by its name."""
    return lambda one: {run: fold(one.log(run)) for run in runs}

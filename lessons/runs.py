"""What lessons share: small scenarios for two workers, and small folds over their logs."""

from collections.abc import Mapping
from statistics import median

from engine.events import StepEnded, StepStarted
from engine.link import LinkSpec
from engine.log import Log
from engine.metrics import RequestResult, summarize
from engine.plan import Plan
from engine.scenario import Deployment, Kind, Scenario, Workload

LONG, SHORT = 512, 32  # prompt tokens: long enough to be felt, short enough to be waited for

# ---- scenarios


def deployed(kind: Kind, workload: Workload, chunk: int = 128, mb_per_s: float | None = None) -> Scenario:
    """Two workers. `mb_per_s` None: the link is not slowed down."""
    bytes_per_s = None if mb_per_s is None else mb_per_s * 1e6
    return Scenario(Deployment(kind, chunk=chunk), LinkSpec(bytes_per_s), workload)


def crowd(long_tokens: int = LONG, output_tokens: int = 12) -> Workload:
    """Three short prompts and a long one behind them, all at once. Lengths do not depend on what is said."""
    return Workload(
        requests=4,
        prompt_tokens=SHORT,
        output_tokens=output_tokens,
        long_prompt_tokens=long_tokens,
        long_every=4,
        ignore_eos=True,
    )


def alone(prompt_tokens: int, output_tokens: int = 4) -> Workload:
    return Workload(requests=1, prompt_tokens=prompt_tokens, output_tokens=output_tokens, ignore_eos=True)


def together(requests: int, output_tokens: int = 12) -> Workload:
    """So many requests that decode side by side."""
    return Workload(requests=requests, prompt_tokens=16, output_tokens=output_tokens, ignore_eos=True)


def shipped(prompt_tokens: int, mb_per_s: float | None, **deployment: str) -> Scenario:
    """One prompt, prefilled here and decoded there. `deployment`: other fields, such as ship="layers"."""
    bytes_per_s = None if mb_per_s is None else mb_per_s * 1e6
    return Scenario(Deployment(**deployment), LinkSpec(bytes_per_s), alone(prompt_tokens))  # type: ignore[arg-type]


# ---- folds


def steps(log: Log) -> list[tuple[Plan, float]]:
    """What each step computed, and its seconds."""
    began: dict[str, StepStarted] = {}
    taken = []
    for event in log.events:
        if isinstance(event, StepStarted):
            began[event.worker] = event
        elif isinstance(event, StepEnded):
            start = began.pop(event.worker)
            taken.append((start.plan, event.t - start.t))
    return taken


def prefill_s(log: Log) -> float:
    """Seconds in steps that did nothing but prefill."""
    return sum(seconds for plan, seconds in steps(log) if all(piece.tokens > 1 for piece in plan))


def prefill_tokens(log: Log) -> int:
    return sum(piece.tokens for plan, _ in steps(log) for piece in plan if piece.tokens > 1)


def prefill_s_per_token(log: Log) -> float:
    return prefill_s(log) / prefill_tokens(log)


def decode_step_s(log: Log) -> float:
    """The median step that did nothing but decode, for all the log's requests at once."""
    batch = log.scenario.workload.requests
    full = [seconds for plan, seconds in steps(log) if len(plan) == batch and all(piece.tokens == 1 for piece in plan)]
    return median(full)


def requests(log: Log) -> tuple[RequestResult, ...]:
    return summarize(log.events).requests


def long_one(log: Log) -> RequestResult:
    return max(requests(log), key=lambda request: request.prompt_tokens)


def stall_s(log: Log) -> float:
    """The longest that one of the short requests waited for its next token."""
    longest = long_one(log).id
    return max(gap for request in requests(log) if request.id != longest for gap in request.itl_s)


def long_ttft_s(log: Log) -> float:
    return long_one(log).ttft_s or 0.0


def second_gap_s(log: Log) -> float:
    """From a lone request's first token to its second: the handoff, if there is one, lies between them."""
    return requests(log)[0].itl_s[0]


def usual_gap_s(log: Log) -> float:
    """A lone request's gap between later tokens."""
    return median(requests(log)[0].itl_s[1:])


def ttft_s(log: Log) -> float:
    """Of a lone request."""
    return requests(log)[0].ttft_s or 0.0


def handoff_s(log: Log) -> float:
    return summarize(log.events).handoffs[0].seconds


def handoff_bytes(log: Log) -> float:
    return float(summarize(log.events).handoffs[0].bytes)


def output_tokens_per_s(log: Log) -> float:
    return summarize(log.events).metrics.output_tokens_per_s


# ---- words


def ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f} ms" if seconds >= 0.01 else f"{seconds * 1e3:.2g} ms"


def mb(nbytes: float) -> str:
    return f"{nbytes / 1e6:.3g} MB"


def middle(samples: tuple[float, ...]) -> float:
    return median(samples)


def curve_points(values: Mapping[float, tuple[float, ...]]) -> tuple[tuple[float, float], ...]:
    """(x, y) for each repeat."""
    return tuple((x, y) for x, many in values.items() for y in many)

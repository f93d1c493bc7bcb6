"""A running server's own account of its load: from its `/metrics` page (Prometheus text) to a question's numbers.

Knows the names of vLLM from 0.6 on (vllm/v1/metrics/loggers.py), SGLang, Dynamo's frontend and TGI. Counters start with
their server, so each of several servers on one page is counted over its own time. A page does not say when it was
read; the caller does.
"""

import math
from collections import defaultdict

import msgspec

from engine.errors import BadInput
from engine.units import amount, in_time, percent

MOST_BYTES = 5_000_000
ALLOWED = "the text of a /metrics page of vLLM, SGLang, Dynamo's frontend or TGI"
P90, P99 = 0.9, 0.99


class Names(msgspec.Struct, frozen=True):
    """One engine's metric names. If a field has several, the first one on the page counts."""

    engine: str
    prompts: tuple[str, ...]
    outputs: tuple[str, ...]
    hits: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    ttft: tuple[str, ...] = ()
    itl: tuple[str, ...] = ()


NAMES = (
    Names(
        "vLLM",
        ("vllm:request_prompt_tokens",),
        ("vllm:request_generation_tokens",),
        ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),  # the second in 0.8 and 0.9
        ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
        ("vllm:time_to_first_token_seconds",),
        ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),  # the second until 0.10
    ),
    Names(
        "SGLang",
        ("sglang:prompt_tokens_histogram",),
        ("sglang:generation_tokens_histogram",),
        ("sglang:cached_tokens_total",),
        ("sglang:prompt_tokens_total",),
        ("sglang:time_to_first_token_seconds",),
        ("sglang:inter_token_latency_seconds", "sglang:time_per_output_token_seconds"),
    ),
    Names(
        "Dynamo",
        ("dynamo_frontend_input_sequence_tokens",),
        ("dynamo_frontend_output_sequence_tokens",),
        ttft=("dynamo_frontend_time_to_first_token_seconds",),
        itl=("dynamo_frontend_inter_token_latency_seconds",),
    ),
    Names("TGI", ("tgi_request_input_length",), ("tgi_request_generated_tokens",)),
)


class ServerLoad(msgspec.Struct, frozen=True):
    """Means over `requests`; percentiles as precise as the buckets. None: unknown from this page or without a time."""

    requests: int
    isl_tokens: int
    osl_tokens: int
    prefix_reuse: float | None
    rate_per_s: float | None
    span_s: float | None
    ttft_p90_s: float | None
    itl_p99_s: float | None

    @property
    def _reuse(self) -> str:
        if self.prefix_reuse is None:
            return "and nothing about a prefix cache: set the reuse yourself"
        return f"{percent(self.prefix_reuse)} of prompt tokens found in the prefix cache"

    def sentences(self) -> list[str]:
        """What was read from the page, and how reliable it is."""
        said = [
            f"{self.requests:,} finished requests: {self.isl_tokens:,} prompt and {self.osl_tokens:,} output tokens on "
            f"average, {self._reuse}."
        ]
        if self.rate_per_s is not None and self.span_s is not None:
            hours = f"{amount(self.span_s / 3600)} hours" if self.span_s >= 3600 else f"{self.span_s:.0f} s"
            said.append(
                f"{amount(self.rate_per_s)} requests/s on average since the server started, {hours} ago: busy hours"
            )
            said[-1] += " are above that, so set the rate that you must sustain."
        if self.ttft_p90_s is not None and self.itl_p99_s is not None:
            said.append(
                f"Measured there: 90 % of first tokens within {in_time(self.ttft_p90_s)}, 99 % of gaps between tokens "
                f"within {in_time(self.itl_p99_s)}."
            )
        return said


def read_metrics(text: str, read_at_s: float | None = None) -> ServerLoad:
    """The load on a page. `read_at_s`: when the page was read, in seconds since 1970; None if unknown.

    Raises BadInput for a page that is too large, is not Prometheus text, or has no finished request of one model.
    """
    if len(text) > MOST_BYTES:
        raise BadInput("metrics", f"{len(text) / 1e6:.0f} MB", f"at most {MOST_BYTES / 1e6:.0f} MB")
    page = _Page(text)
    names = page.names
    requests, prompt_tokens = page.total(names.prompts, "_count"), page.total(names.prompts, "_sum")
    if not requests:
        raise BadInput("metrics", "a page without one finished request", ALLOWED + " after some traffic")
    outputs, output_tokens = page.total(names.outputs, "_count") or requests, page.total(names.outputs, "_sum")
    if page.handed_off:  # each request was counted by its prefill and by its decode server, which repeats the token
        requests, prompt_tokens, outputs = requests / 2, prompt_tokens / 2, outputs / 2
        output_tokens -= outputs
    queries = page.total(names.queries)
    rate = page.rate_per_s(read_at_s)
    return ServerLoad(
        requests=round(requests),
        isl_tokens=max(1, round(prompt_tokens / requests)),
        osl_tokens=max(1, round(output_tokens / outputs)),
        prefix_reuse=min(0.99, round(page.total(names.hits) / queries, 4)) if queries else None,
        rate_per_s=rate / 2 if rate and page.handed_off else rate,
        span_s=page.age_s(read_at_s),
        ttft_p90_s=page.quantile(names.ttft, P90),
        itl_p99_s=page.quantile(names.itl, P99),
    )


Server = tuple[tuple[str, str], ...]  # the labels that tell one server on a page from another
STARTS = tuple(name for names in NAMES for name in names.prompts)
PROCESS_START = "process_start_time_seconds"


class _Page:
    def __init__(self, text: str) -> None:
        self._totals: dict[str, float] = defaultdict(float)
        self._buckets: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
        self._began_s: dict[Server, float] = {}
        self._served: dict[Server, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        models = set()
        from prometheus_client.parser import text_string_to_metric_families  # slow to import, and seldom needed

        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    self._take(sample.name, sample.labels, sample.value)
                    models |= {sample.labels["model_name"]} if "model_name" in sample.labels else set()
        except (ValueError, KeyError, IndexError) as wrong:
            raise BadInput("metrics", f"{text.strip()[:40]} ...", f"{ALLOWED}, which is Prometheus text") from wrong
        known = [one for one in NAMES if self.total(one.prompts, "_count")]
        asked = [one for one in NAMES if any(name.startswith(one.prompts[0]) for name in self._totals)]
        if not asked:
            raise BadInput("metrics", "a page without prompt lengths", ALLOWED)
        if len(models) > 1:
            raise BadInput(
                "metrics", f"a page of {len(models)} models", f"of one model, not of {', '.join(sorted(models))}"
            )
        self.names = (known or asked)[0]

    def _take(self, name: str, labels: dict[str, str], value: float) -> None:
        if not math.isfinite(value):
            return
        server = tuple(sorted((key, said) for key, said in labels.items() if key not in ("le", "model_name")))
        if name.endswith("_bucket"):
            self._buckets[name.removesuffix("_bucket")][float(labels["le"])] += value
        elif (name.endswith("_created") and name.removesuffix("_created") in STARTS) or name == PROCESS_START:
            self._began_s[server] = value
        else:
            self._totals[name] += value
            self._served[server][name] += value

    def total(self, names: tuple[str, ...], ending: str = "") -> float:
        return next((self._totals[name + ending] for name in names if name + ending in self._totals), 0.0)

    @property
    def handed_off(self) -> bool:
        """Whether some servers make one token per request and others the rest: prefill and decode of the same ones."""
        means = [
            one[self.names.outputs[0] + "_sum"] / count for one in self._served.values() if (count := self._count(one))
        ]
        return len(means) > 1 and min(means) <= 1.0 < max(means)

    def _count(self, served: dict[str, float]) -> float:
        return served.get(self.names.prompts[0] + "_count", 0.0)

    def age_s(self, read_at_s: float | None) -> float | None:
        """Seconds since the first of the page's servers started."""
        if read_at_s is None or not self._began_s or read_at_s <= max(self._began_s.values()):
            return None
        return read_at_s - min(self._began_s.values())

    def rate_per_s(self, read_at_s: float | None) -> float | None:
        """The sum of each server's requests over its own time; None if a start time or `read_at_s` is missing."""
        if self.age_s(read_at_s) is None or read_at_s is None:
            return None
        rate = 0.0
        shared = self._began_s.get(()) if len(self._began_s) == 1 else None
        for server, served in self._served.items():
            if count := self._count(served):
                began_s = self._began_s.get(server, shared)
                if began_s is None:
                    return None
                rate += count / (read_at_s - began_s)
        return rate

    def quantile(self, names: tuple[str, ...], share: float) -> float | None:
        """As Prometheus's `histogram_quantile`: linear within a bucket, and the last finite bound beyond that."""
        name = next((name for name in names if name in self._buckets), "")
        buckets = sorted(self._buckets.get(name, {}).items())
        if not buckets or not buckets[-1][1]:
            return None
        wanted, below, before = share * buckets[-1][1], 0.0, 0.0
        for bound, count in buckets:
            if count >= wanted:
                if math.isinf(bound):
                    return below
                return below + (bound - below) * (wanted - before) / (count - before)
            below, before = bound, count
        return below

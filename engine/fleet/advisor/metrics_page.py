"""What a running vLLM server says of its own load: its `/metrics` page (Prometheus text) to a question's numbers.

Names are vLLM's (vllm/v1/metrics/loggers.py). Sums over all engines of a page; its histograms begin when the server
did. A page does not say when it was read, so that comes from whoever has it.
"""

import math
from collections import defaultdict

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from engine.errors import BadInput

MOST_BYTES = 5_000_000
ALLOWED = "the text of a vLLM server's /metrics page"
ITL_NAMES = ("inter_token_latency_seconds", "time_per_output_token_seconds")  # the second until vLLM 0.10
P90, P99 = 0.9, 0.99


class Load(msgspec.Struct, frozen=True):
    """Means over `requests`; percentiles as far as buckets tell. None: the page, or the clock, does not say."""

    requests: int
    isl_tokens: int
    osl_tokens: int
    prefix_reuse: float
    rate_per_s: float | None
    span_s: float | None
    ttft_p90_s: float | None
    itl_p99_s: float | None

    def sentences(self) -> list[str]:
        """What was taken, and how sure it is."""
        said = [
            f"{self.requests:,} finished requests: {self.isl_tokens:,} prompt and {self.osl_tokens:,} output tokens on "
            f"average, {self.prefix_reuse:.0%} of prompt tokens found in the prefix cache."
        ]
        if self.rate_per_s is not None and self.span_s is not None:
            hours = f"{self.span_s / 3600:.3g} hours" if self.span_s >= 3600 else f"{self.span_s:.0f} s"
            said.append(
                f"{self.rate_per_s:.3g} requests/s on average since the server started, {hours} ago: busy hours"
            )
            said[-1] += " are above that, so set the rate that you must bear."
        if self.ttft_p90_s is not None and self.itl_p99_s is not None:
            said.append(
                f"Measured there: 90 % of first tokens within {_time(self.ttft_p90_s)}, 99 % of gaps between tokens "
                f"within {_time(self.itl_p99_s)}."
            )
        return said


def read_metrics(text: str, read_at_s: float | None = None) -> Load:
    """`read_at_s`: when the page was read, seconds since 1970; None if nobody knows. Raises BadInput."""
    if len(text) > MOST_BYTES:
        raise BadInput("metrics", f"{len(text) / 1e6:.0f} MB", f"at most {MOST_BYTES / 1e6:.0f} MB")
    page = _Page(text)
    requests = page.total("request_prompt_tokens_count")
    if not requests:
        raise BadInput("metrics", "a page without one finished request", ALLOWED + " after some traffic")
    queries, hits = page.total("prefix_cache_queries_total"), page.total("prefix_cache_hits_total")
    outputs = page.total("request_generation_tokens_count") or requests
    span_s = page.age_s(read_at_s)
    return Load(
        requests=round(requests),
        isl_tokens=max(1, round(page.total("request_prompt_tokens_sum") / requests)),
        osl_tokens=max(1, round(page.total("request_generation_tokens_sum") / outputs)),
        prefix_reuse=min(0.99, round(hits / queries, 4)) if queries else 0.0,
        rate_per_s=requests / span_s if span_s else None,
        span_s=span_s,
        ttft_p90_s=page.quantile("time_to_first_token_seconds", P90),
        itl_p99_s=next((found for name in ITL_NAMES if (found := page.quantile(name, P99)) is not None), None),
    )


class _Page:
    def __init__(self, text: str) -> None:
        self._totals: dict[str, float] = defaultdict(float)
        self._buckets: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
        self._began_s: list[float] = []
        models = set()
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    self._take(sample.name, sample.labels, sample.value)
                    models |= {sample.labels["model_name"]} if "model_name" in sample.labels else set()
        except (ValueError, KeyError, IndexError) as wrong:
            raise BadInput("metrics", f"{text.strip()[:40]} ...", f"{ALLOWED}, which is Prometheus text") from wrong
        if not any(name.startswith("vllm:") for name in self._totals):
            raise BadInput("metrics", "a text without any vllm: metric", ALLOWED)
        if "vllm:request_prompt_tokens_count" not in self._totals:
            allowed = "one with vllm:request_prompt_tokens, which every vLLM server has"
            raise BadInput("metrics", "a page without prompt lengths", allowed)
        if len(models) > 1:
            raise BadInput(
                "metrics", f"a page of {len(models)} models", f"of one model, not of {', '.join(sorted(models))}"
            )

    def _take(self, name: str, labels: dict[str, str], value: float) -> None:
        if not math.isfinite(value):
            return
        if name.endswith("_bucket"):
            self._buckets[name.removesuffix("_bucket")][float(labels["le"])] += value
        elif name in ("vllm:request_prompt_tokens_created", "process_start_time_seconds"):
            self._began_s.append(value)
        else:
            self._totals[name] += value

    def total(self, name: str) -> float:
        return self._totals.get(f"vllm:{name}", 0.0)

    def age_s(self, read_at_s: float | None) -> float | None:
        """Since the latest of its starts: before that, not everything was counted."""
        if read_at_s is None or not self._began_s or read_at_s <= max(self._began_s):
            return None
        return read_at_s - max(self._began_s)

    def quantile(self, name: str, share: float) -> float | None:
        """As Prometheus's `histogram_quantile`: evenly spread within a bucket; the last bound where it lies beyond."""
        buckets = sorted(self._buckets.get(f"vllm:{name}", {}).items())
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


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"

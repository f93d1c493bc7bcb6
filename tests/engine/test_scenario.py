"""Every invalid field is rejected in one sentence with its name, its value, and what is allowed."""

import math
from typing import Any

import msgspec
import pytest

from engine.errors import BadInput
from engine.link import LinkSpec
from engine.scenario import KINDS, MAX_WORKERS, Deployment, ModelSpec, Scenario, Workload

WORDS = {
    "kind": ("deployment", "one of colocated, chunked, disaggregated"),
    "transport": ("transport", "one of shm, tcp, nixl"),
    "ship": ("ship", "one of whole, layers"),
    "first_token": ("first token", "one of prefill, decode"),
}
NUMBERS: dict[str, tuple[type[msgspec.Struct], str, int, int]] = {
    "workers": (Deployment, "workers", 1, 16),
    "chunk": (Deployment, "chunk", 16, 65_536),
    "requests": (Workload, "requests", 1, 100_000),
    "prompt_tokens": (Workload, "prompt tokens", 1, 1_000_000),
    "output_tokens": (Workload, "output tokens", 1, 1_000_000),
    "seed": (Workload, "seed", 0, 2**63 - 1),
    "kv_blocks": (ModelSpec, "kv blocks", 0, 1_000_000),
}
PARTS = {Deployment: "deployment", Workload: "workload", ModelSpec: "model", LinkSpec: "link"}


def scenario(part: msgspec.Struct) -> Scenario:
    parts: dict[str, Any] = {PARTS[type(part)]: part}
    return Scenario(**parts)


def refusal(wrong: Scenario) -> str:
    with pytest.raises(BadInput) as refused:
        wrong.checked()
    return str(refused.value)


def test_the_default_is_sound_and_checking_changes_nothing() -> None:
    assert Scenario().checked() == Scenario()


@pytest.mark.parametrize("field", WORDS)
@pytest.mark.parametrize("value", ["", "pigeon", "WHOLE", None, 1])
def test_words(field: str, value: object) -> None:
    name, allowed = WORDS[field]
    deployment = Deployment(**{field: value})  # type: ignore[arg-type]
    assert refusal(scenario(deployment)) == f"{name} is {value!r}, but must be {allowed}."


@pytest.mark.parametrize("value", ["fp16", "", None])
def test_dtype(value: Any) -> None:
    said = refusal(scenario(ModelSpec(dtype=value)))
    assert said == f"dtype is {value!r}, but must be one of auto, bf16, fp32."


@pytest.mark.parametrize("field", NUMBERS)
def test_whole_numbers(field: str) -> None:
    part, name, least, most = NUMBERS[field]
    for wrong in (least - 1, -(10**9), most + 1, 2.5, math.nan, True, "8", None):
        said = refusal(scenario(part(**{field: wrong})))
        assert said == f"{name} is {wrong!r}, but must be a whole number from {least:,} to {most:,}."
    for right in (least, most):
        part_of_it = part(**{"kind": "colocated", field: right} if part is Deployment else {field: right})
        assert scenario(part_of_it).checked()


@pytest.mark.parametrize(
    ("workers", "prefill", "said"),
    [
        (2, 0, "prefill workers is 0, but"),
        (2, -1, "prefill workers is -1, but"),
        (2, 2, "decode workers is 0, but"),
        (2, 3, "decode workers is -1, but"),
        (1, 1, "decode workers is 0, but"),
    ],
)
def test_disaggregation_takes_a_worker_of_each_kind(workers: int, prefill: int, said: str) -> None:
    assert refusal(scenario(Deployment("disaggregated", workers, prefill))).startswith(said)
    for kind in ("colocated", "chunked"):  # where nobody is only for prefill, their number means nothing
        assert Deployment(kind, workers, prefill).checked()


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e-320, 9e307, math.nan, math.inf])
def test_rate(rate: float) -> None:
    said = refusal(scenario(Workload(rate_per_s=rate)))
    assert said == f"rate is {rate!r}, but must be from 1e-06 to 1e+09, in requests/s, or inf."


@pytest.mark.parametrize("bandwidth", [0, -1.0, 1e-320, 1e300, math.nan, math.inf])
def test_bandwidth(bandwidth: float) -> None:
    said = refusal(scenario(LinkSpec(bandwidth)))
    assert said == f"link is {bandwidth!r}, but must be from 1 to 1e+18, in bytes/s, or none."


@pytest.mark.parametrize("latency", [-0.001, 1e300, math.nan, math.inf])
def test_latency(latency: float) -> None:
    said = refusal(scenario(LinkSpec(None, latency)))
    assert said == f"latency is {latency!r}, but must be from 0 to 1,000,000, in seconds."


@pytest.mark.parametrize(
    ("field", "wrong", "said"),
    [
        (
            "burstiness",
            1e300,
            "burstiness is 1e+300, but must be from 0.01 to 100, in standard deviations of a gap by its mean.",
        ),
        ("burst_s", 1e-320, "burst is 1e-320, but must be from 0.001 to 1,000,000, in seconds."),
    ],
)
def test_arrivals(field: str, wrong: float, said: str) -> None:
    assert refusal(scenario(Workload(**{field: wrong}))) == said  # type: ignore[arg-type]


def test_long_prompts() -> None:
    assert Workload(long_every=0, long_prompt_tokens=0).checked()
    assert Workload(long_every=1, long_prompt_tokens=1).checked()
    for every in (-1, 100_001):
        said = refusal(scenario(Workload(long_every=every, long_prompt_tokens=10)))
        assert said == f"long every is {every}, but must be a whole number from 1 to 100,000."
    for tokens in (0, -5, 1_000_001):
        said = refusal(scenario(Workload(long_every=2, long_prompt_tokens=tokens)))
        assert said == f"long prompt tokens is {tokens}, but must be a whole number from 1 to 1,000,000."


@pytest.mark.parametrize("kind", KINDS)
def test_every_worker_has_a_policy(kind: Any) -> None:
    for workers in range(2, MAX_WORKERS + 1):
        for prefill in range(1, workers):
            deployment = Deployment(kind, workers, prefill).checked()
            assert len(deployment.policies) == workers
            if kind == "disaggregated":
                assert deployment.policies.count("prefill_only") == prefill
                assert deployment.policies.count("decode_only") == deployment.decode_workers == workers - prefill
            else:
                assert set(deployment.policies) == {"prefill_first" if kind == "colocated" else "chunked"}

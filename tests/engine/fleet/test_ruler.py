"""The scale ruler: equal shipping ratios, and nothing else."""

import pytest
from hypothesis import given, strategies as st

from engine.errors import BadInput
from engine.fleet.hardware import fabrics, gpu, gpus
from engine.fleet.hf_config import model, models
from engine.fleet.roofline import handoff_s, prefill_s
from engine.fleet.ruler import PROMPT_TOKENS, Pace, scale_ruler

LIVE = Pace(kv_bytes_per_token=23_040, prefill_s_per_token=1e-3)  # SmolLM2 on one CPU core, roughly


def test_a_mark_ships_as_its_fabric_does() -> None:
    llama, h100 = model("llama-3.1-8b"), gpu("h100-sxm")
    for mark in scale_ruler(LIVE, llama, h100).marks:
        road = fabrics()[mark.fabric]
        real = (handoff_s(llama, road, PROMPT_TOKENS) - road.latency_s) / prefill_s(llama, h100, PROMPT_TOKENS)
        live = (23_040 / mark.bytes_per_s) / 1e-3
        assert live == pytest.approx(real)
        assert mark.ratio == pytest.approx(real)
        assert mark.label == road.label


def test_what_it_assumes_is_said() -> None:
    ruler = scale_ruler(LIVE, model("llama-3.3-70b"), gpu("h100-sxm"))
    for words in ("Llama-3.3-70B", "4 × H100 SXM", "50%", "2,048 tokens"):
        assert words in ruler.assumes


def test_a_slower_gpu_makes_every_fabric_look_faster() -> None:
    """On an L4 prefill is slow, so the same cable weighs less: its mark lies at a higher live bandwidth."""
    slow, fast = (scale_ruler(LIVE, model("llama-3.1-8b"), gpu(name), tp=1).marks for name in ("l4", "h100-sxm"))
    assert all(s.bytes_per_s > f.bytes_per_s for s, f in zip(slow, fast, strict=True))


@given(st.sampled_from(sorted(models())), st.sampled_from(sorted(gpus())), st.floats(1, 1e7), st.floats(1e-7, 1))
def test_marks_are_ordered_and_scale_with_the_live_engine(name: str, on: str, kv: float, prefill: float) -> None:
    marks = scale_ruler(Pace(kv, prefill), model(name), gpu(on)).marks
    assert {mark.fabric for mark in marks} == set(fabrics())
    assert [m.bytes_per_s for m in marks] == sorted((m.bytes_per_s for m in marks), reverse=True)
    twice = scale_ruler(Pace(kv, prefill / 2), model(name), gpu(on)).marks
    assert [m.bytes_per_s for m in twice] == pytest.approx([2 * m.bytes_per_s for m in marks])


@pytest.mark.parametrize("pace", [Pace(0, 1e-3), Pace(23_040, 0), Pace(float("nan"), 1)])
def test_an_engine_without_a_pace_is_refused(pace: Pace) -> None:
    with pytest.raises(BadInput, match="live"):
        scale_ruler(pace, model("llama-3.1-8b"), gpu("l4"))

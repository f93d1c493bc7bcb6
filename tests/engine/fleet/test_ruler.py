"""The scale ruler: equal shipping ratios, and nothing else."""

import pytest
from hypothesis import given, strategies as st

from engine.errors import BadInput
from engine.events import Event, StepEnded, StepStarted
from engine.fleet.catalog.hardware import fabrics, gpu, gpus
from engine.fleet.catalog.hf_config import model, models
from engine.fleet.estimate.roofline import handoff_s, prefill_s
from engine.fleet.estimate.ruler import PROMPT_TOKENS, Pace, measured_pace, scale_ruler
from engine.plan import Slice

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
    for words in ("Llama-3.3-70B", "4 × H100 SXM", "vLLM on Hopper GPUs", "2,048 tokens"):
        assert words in ruler.assumes


def test_a_slower_gpu_makes_every_fabric_look_faster() -> None:
    """On an L4 prefill is slow, so the same cable matters less: its mark is at a higher live bandwidth."""
    slow, fast = (scale_ruler(LIVE, model("llama-3.1-8b"), gpu(name), tp=1).marks for name in ("l4", "h100-sxm"))
    assert all(s.bytes_per_s > f.bytes_per_s for s, f in zip(slow, fast, strict=True))


@given(st.sampled_from(sorted(models())), st.sampled_from(sorted(gpus())), st.floats(1, 1e7), st.floats(1e-7, 1))
def test_marks_are_ordered_and_scale_with_the_live_engine(name: str, on: str, kv: float, prefill: float) -> None:
    marks = scale_ruler(Pace(kv, prefill), model(name), gpu(on)).marks
    assert {mark.fabric for mark in marks} == set(fabrics())
    assert [m.bytes_per_s for m in marks] == sorted((m.bytes_per_s for m in marks), reverse=True)
    twice = scale_ruler(Pace(kv, prefill / 2), model(name), gpu(on)).marks
    assert [m.bytes_per_s for m in twice] == pytest.approx([2 * m.bytes_per_s for m in marks])


def test_the_pace_of_a_log_is_that_of_its_prefill_steps() -> None:
    def step(worker: str, began: float, ended: float, *tokens: int) -> list[Event]:
        plan = tuple(Slice(f"r{n}", 0, count) for n, count in enumerate(tokens))
        return [StepStarted(began, worker, plan, 0, 0, 0), StepEnded(ended, worker)]

    prefill = step("p", 0.0, 0.3, 100, 50)
    decode, mixed, cut_short = step("d", 0.0, 0.2, 1, 1), step("p", 0.3, 0.9, 100, 1), step("p", 0.9, 1.5, 10)[:1]
    events = [prefill[0], *decode, prefill[1], *mixed, *cut_short]
    assert measured_pace(events, 23_040) == Pace(23_040, 0.3 / 150)
    assert measured_pace(decode, 23_040) is None


@pytest.mark.parametrize("pace", [Pace(0, 1e-3), Pace(23_040, 0), Pace(float("nan"), 1)])
def test_an_engine_without_a_pace_is_refused(pace: Pace) -> None:
    with pytest.raises(BadInput, match="live"):
        scale_ruler(pace, model("llama-3.1-8b"), gpu("l4"))

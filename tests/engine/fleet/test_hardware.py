"""GPUs and fabrics as data, and what their roofline says, against published numbers."""

import subprocess
import sys

import pytest
from hypothesis import given, strategies as st

from engine.errors import BadInput
from engine.fleet.catalog.hardware import fabric, fabrics, gpu, gpus
from engine.fleet.catalog.hf_config import model, models
from engine.fleet.estimate.roofline import (
    decode_step_s,
    handoff_s,
    kv_capacity_tokens,
    prefill_s,
    smallest_tp,
)

RIDGES = {
    "a100-sxm4-80g": 153,
    "a100-pcie-80g": 161,
    "h100-sxm": 295,
    "h100-pcie": 378,
    "h200-sxm": 206,
    "b200-sxm": 292,
    "b300-sxm": 290,
    "gb200": 312,
    "gb300": 312,
    "l4": 403,
    "l40s": 419,
    "rtx-pro-6000": 261,
    "mi300x": 247,
}


def test_rows_are_whole() -> None:
    assert set(gpus()) == set(RIDGES)
    for spec in gpus().values():
        assert spec.source
        ridge = spec.bf16_flops_per_s / spec.memory_bytes_per_s  # FLOP/byte, from which bf16 work is bound by compute
        assert ridge == pytest.approx(RIDGES[spec.name], rel=0.01)
        assert spec.fp8_flops_per_s is None or spec.fp8_flops_per_s == pytest.approx(
            2 * spec.bf16_flops_per_s, rel=0.02
        )
        for name in (spec.peer, spec.host, spec.network):
            assert fabric(name).bytes_per_s > 0
    for road in fabrics().values():
        assert road.source
        assert 0 < road.efficiency <= 1
        assert road.link.seconds(10**9) == road.latency_s + 1e9 / (road.bytes_per_s * road.efficiency)


def test_unknown_names_list_what_there_is() -> None:
    with pytest.raises(BadInput, match=r"gpu is 'H100', but must be one of .*gb200.* \(did you mean h100-sxm\?\)"):
        gpu("H100")
    with pytest.raises(BadInput, match="one of nvlink3, "):
        fabric("carrier pigeon")


def test_no_torch_is_needed() -> None:
    asks = (
        "import sys, engine.fleet.estimate.ruler, engine.fleet.catalog.hf_config as m; m.models(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", asks], check=False).returncode == 0


# 4096 tokens over one link, in ms, from line rates and these efficiencies
@pytest.mark.parametrize(
    ("name", "over", "ms"),
    [
        ("llama-3.1-8b", "eth-10g", 537),
        ("llama-3.1-8b", "eth-25g", 215),
        ("llama-3.1-8b", "pcie4", 25),
        ("llama-3.1-8b", "pcie5", 11),
        ("llama-3.1-8b", "nvlink4", 1.6),
        ("llama-3.3-70b", "nvlink3", 6.0),
        ("deepseek-v3", "nvlink5", 0.43),
    ],
)
def test_handoffs(name: str, over: str, ms: float) -> None:
    assert handoff_s(model(name), fabric(over), 4096) * 1e3 == pytest.approx(ms, rel=0.05)


@pytest.mark.parametrize(
    ("name", "on", "tp", "gb_per_s"),
    [
        ("llama-3.1-8b", "l4", 1, 0.49),
        ("llama-3.1-8b", "a100-sxm4-80g", 1, 1.3),
        ("llama-3.1-8b", "h100-sxm", 1, 4.0),
        ("llama-3.3-70b", "h100-sxm", 4, 4.6),
        ("qwen3-32b", "h100-sxm", 2, 4.0),
    ],
)
def test_break_even_bandwidth(name: str, on: str, tp: int, gb_per_s: float) -> None:
    """The published-style table counts 2 N per token at half of the peak; kernels reach up to 0.8 of it today."""
    shape = model(name)
    found = shape.kv_bytes(2048) / prefill_s(shape, gpu(on), 2048, tp=tp)  # shipping takes as long as the prefill
    assert 0.9 * gb_per_s < found / 1e9 < 1.8 * gb_per_s


def test_prefill_and_decode_of_papers() -> None:
    """DistServe's A100 coefficients for OPT-13B, none of which the constants were fitted to."""
    opt, a100 = model("opt-13b"), gpu("a100-sxm4-80g")
    slope_s = (prefill_s(opt, a100, 1024) - prefill_s(opt, a100, 512)) / 512
    assert slope_s == pytest.approx(0.10191e-3, rel=0.1)
    assert decode_step_s(opt, a100, [512]) == pytest.approx(19.93e-3 + 0.0385e-3 + 512 * 6.27e-7, rel=0.1)
    per_token_s = (decode_step_s(opt, a100, [2048]) - decode_step_s(opt, a100, [1024])) / 1024
    assert per_token_s == pytest.approx(
        6.27e-7, rel=0.2
    )  # their kernel read KV at 0.63 of the bandwidth, today's at 0.76
    assert kv_capacity_tokens(opt, a100) == pytest.approx(66_144, rel=0.05)  # their table; activations left out here


def test_sharding() -> None:
    h100 = gpu("h100-sxm")
    assert [smallest_tp(model(n), h100) for n in ("llama-3.1-8b", "llama-3.3-70b", "deepseek-v3")] == [1, 4, 16]
    llama, latent, nvlink = model("llama-3.3-70b"), model("deepseek-v3"), fabric("nvlink4")
    one_s = handoff_s(llama, nvlink, 4096) - nvlink.latency_s
    assert handoff_s(llama, nvlink, 4096, tp=4) - nvlink.latency_s == pytest.approx(one_s / 4)
    assert handoff_s(llama, nvlink, 4096, tp=16) == handoff_s(llama, nvlink, 4096, tp=8)  # 8 KV heads
    assert handoff_s(latent, nvlink, 4096, tp=8) == handoff_s(latent, nvlink, 4096)  # replicated, not cut


@given(st.sampled_from(sorted(models())), st.sampled_from(sorted(gpus())), st.integers(1, 50_000))
def test_a_shorter_prompt_and_fewer_rows_never_take_longer(name: str, on: str, tokens: int) -> None:
    shape, spec = model(name), gpu(on)
    assert prefill_s(shape, spec, tokens) <= prefill_s(shape, spec, tokens + 1)
    assert decode_step_s(shape, spec, [tokens] * 2) <= decode_step_s(shape, spec, [tokens] * 3)

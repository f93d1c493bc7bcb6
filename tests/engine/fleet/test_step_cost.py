"""The step cost: precision, tensor parallelism, engines; and how far off its constants are."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from engine.errors import BadInput
from engine.fleet.catalog.calibration import UNCHECKED, calibration
from engine.fleet.catalog.engines import ENGINES, serving_engine
from engine.fleet.catalog.hardware import fabric, gpu, gpus
from engine.fleet.catalog.hf_config import model, models
from engine.fleet.catalog.precision import PRECISIONS
from engine.fleet.estimate.step_cost import error_of, step_cost
from engine.units import percent

LLAMA, DEEPSEEK, H200, B200 = model("llama-3.3-70b"), model("deepseek-v3"), gpu("h200-sxm"), gpu("b200-sxm")


def test_every_gpu_and_engine_has_constants_with_a_source() -> None:
    for card in gpus().values():
        for engine in ENGINES:
            found = calibration(card.generation, serving_engine(engine).costs_like)
            assert found.kernels.source
            assert found.overhead.source
            assert all(0 < share <= 1 for share in found.kernels.compute.values())
            assert 0 < found.kernels.memory <= 1
            assert 0 < found.kernels.kv <= 1
            assert found.overhead.request_s < 0.1
            for shape in (LLAMA, DEEPSEEK):
                checked = found.checked(shape)
                assert found.error(shape) == (checked.tpot if checked else UNCHECKED)
                assert checked is None or (checked.points > 0 and 0 < checked.tpot <= UNCHECKED)


@pytest.mark.parametrize(
    ("name", "on", "tp", "kept", "rows", "context", "ms"),
    [  # decode steps as published for vLLM servers: aiconfigurator-core's silicon_sample.csv, 1024 in and 1024 out
        ("llama-3.3-70b", "h200-sxm", 8, "fp8", 4, 1536, 7.93),
        ("minimax-m2.5", "h200-sxm", 8, "", 4, 1536, 8.01),
    ],
)
def test_a_small_batch_takes_what_servers_take(
    name: str, on: str, tp: int, kept: str, rows: int, context: int, ms: float
) -> None:
    cost = step_cost(model(name).served(kept), gpu(on), tp=tp)
    assert cost.step_s((), rows, rows * context) * 1e3 == pytest.approx(ms, rel=0.1)


def test_fewer_bytes_take_less_time_where_memory_binds() -> None:
    seconds = [step_cost(LLAMA.served(name), B200, tp=4).step_s((), 8, 8000) for name in ("bf16", "fp8", "nvfp4")]
    assert seconds == sorted(seconds, reverse=True)
    kv = [step_cost(LLAMA.served("fp8", dtype), H200, tp=4).step_s((), 64, 64_000) for dtype in ("bf16", "fp8")]
    assert kv[1] < kv[0]


def test_4_bit_weights_are_widened_where_the_gpu_has_no_such_units() -> None:
    hopper, blackwell = step_cost(LLAMA.served("nvfp4"), H200), step_cost(LLAMA.served("nvfp4"), B200)
    assert hopper.token_s == pytest.approx(step_cost(LLAMA, H200).token_s, rel=0.01)
    assert blackwell.token_s < step_cost(LLAMA.served("fp8"), B200).token_s


def test_4_bits_shrink_the_experts_of_a_mixture_and_leave_the_rest() -> None:
    narrow = DEEPSEEK.served("nvfp4")
    assert narrow.precision == "fp8"
    assert narrow.experts is not None
    assert narrow.experts.precision == "nvfp4"
    assert narrow.weight_bytes == pytest.approx(0.6 * DEEPSEEK.weight_bytes, rel=0.05)
    assert LLAMA.served("int4").weight_bytes > 0.27 * LLAMA.weight_bytes  # embeddings and head stay at 16 bits


def test_unknown_formats_are_named() -> None:
    with pytest.raises(BadInput, match="precision is 'fp6', but must be one of bf16, fp8"):
        LLAMA.served("fp6")
    with pytest.raises(BadInput, match="kv dtype is 'int4', but must be one of bf16, fp8"):
        LLAMA.served("", "int4")
    with pytest.raises(BadInput, match=r"engine is 'llama\.cpp', but must be one of vllm, sglang"):
        step_cost(LLAMA, H200, engine="llama.cpp")


def test_the_latency_of_all_reduces_does_not_grow_with_tp() -> None:
    two, eight = step_cost(LLAMA, H200, tp=2), step_cost(LLAMA, H200, tp=8)
    assert eight.every_s == two.every_s > step_cost(LLAMA, H200, tp=1).every_s
    assert eight.reduce_token_s == pytest.approx(two.reduce_token_s * (7 / 8) / (1 / 2))
    slow = step_cost(LLAMA, H200, tp=2, road=fabric("pcie5"))
    assert slow.reduce_token_s > 4 * two.reduce_token_s
    assert slow.every_s > two.every_s


def test_latents_are_read_by_every_gpu_and_multiplied_by_one_each() -> None:
    one, eight = step_cost(DEEPSEEK, H200, tp=1), step_cost(DEEPSEEK, H200, tp=8)
    assert eight.kv_token_s < one.kv_token_s < 8 * eight.kv_token_s  # bound by products, then by reading


def test_what_is_off_is_said() -> None:
    """In the words of the shipped file: nothing is typed in."""
    for shape, kind in ((LLAMA, "dense models"), (DEEPSEEK, "mixtures of experts")):
        checked, said = calibration("hopper", "vllm").checked(shape), error_of(H200, "vllm", shape)
        assert checked is not None
        assert checked.ttft is not None
        assert f"within {percent(checked.tpot)} of {checked.points} published measurements" in said
        assert f"to first token within {percent(checked.ttft)} of {checked.ttft_points}" in said
        assert kind in said
    never = error_of(gpu("mi300x"), "vllm", LLAMA)
    assert "These times were never compared with measurements of vLLM on MI300X with dense models" in never


@given(
    st.sampled_from(sorted(models())),
    st.sampled_from(sorted(gpus())),
    st.sampled_from(sorted(PRECISIONS)),
    st.sampled_from(sorted(ENGINES)),
    st.sampled_from((1, 2, 4, 8)),
)
def test_anything_served_anywhere_takes_some_time(name: str, on: str, kept: str, engine: str, tp: int) -> None:
    shape = model(name).served(kept)
    cost = step_cost(shape, gpu(on), tp=tp, engine=engine)
    assert 0 < cost.step_s((), 1, 1) < cost.step_s([(0, 4096)], 1, 1)
    assert shape.weight_bytes > 0
    assert shape.params >= shape.active_params > 0


def test_the_documentation_has_the_errors_of_the_shipped_file() -> None:
    page = (Path(__file__).parents[3] / "docs" / "step-cost.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    found = {(row[0].lower(), row[1], row[2]): row[3:] for row in rows if row[0] in ("Hopper", "Blackwell")}
    for generation in ("hopper", "blackwell"):
        for engine in ("vllm", "sglang", "trtllm"):
            one = calibration(generation, engine)
            for kind, checked in (("dense", one.dense), ("mixtures of experts", one.experts)):
                said = found.pop((generation, ENGINES[engine].label, kind), None)
                assert (said is None) == (checked is None)
                if said is None or checked is None:
                    continue
                first = "never compared" if checked.ttft is None else f"{100 * checked.ttft:.0f} %"
                assert said == [f"{100 * checked.tpot:.0f} %", str(checked.points), first, str(checked.ttft_points)]
    assert not found

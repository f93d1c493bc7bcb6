"""Fitting constants: the fit recovers the constants behind made-up measurements, and skips rows that lack values."""

import csv
from pathlib import Path

import msgspec
import numpy as np
import pytest

from engine.fleet.catalog.calibration import Calibration, calibration
from engine.fleet.fit.points import Point, points
from engine.fleet.fit.replayed import replayed
from engine.fleet.fit.served import fitted_overhead, foreseen_tpot_s, foreseen_ttft_s, tpot_errors
from engine.fleet.fit.tables import search

ROW = {
    "id": "a",
    "silicon_data_source": "measured by nobody; silicon_concurrency=16",
    "backend": "vllm",
    "model_path": "meta-llama/Llama-3.1-70B",
    "system": "h200_sxm",
    "precision": "fp8",
    "gemm_quant_mode": "fp8",
    "mode": "agg",
    "isl": "1024",
    "osl": "1024",
    "tp_size": "4",
    "pp_size": "1",
    "attention_dp_size": "1.0",
    "moe_tp_size": "",
    "moe_ep_size": "",
    "backend_version": "0.18.0",
    "silicon_ttft_ms": "100.0",
    "silicon_tpot_ms": "15.0",
}


def written(tmp_path: Path, rows: list[dict[str, str]]) -> list[Point]:
    file = tmp_path / "sample.csv"
    with file.open("w", newline="") as to:
        writer = csv.DictWriter(to, list(ROW))
        writer.writeheader()
        writer.writerows(rows)
    return points(file)


def test_a_row_is_a_point(tmp_path: Path) -> None:
    (point,) = written(tmp_path, [ROW])
    assert (point.users, point.tp, point.engine, point.card.name) == (16, 4, "vllm", "h200-sxm")
    assert (point.shape.precision, point.tpot_s, point.ttft_s) == ("fp8", 0.015, 0.1)


@pytest.mark.parametrize(
    "other",
    [
        {"mode": "disagg"},
        {"attention_dp_size": "8.0"},
        {"attention_dp_size": "", "tp_size": "2", "moe_tp_size": "4", "moe_ep_size": "1"},
        {"silicon_ttft_ms": "16000"},  # answers wait longer than they are written
        {"pp_size": "2"},
        {"system": "moon"},
        {"model_path": "nobody/knows"},
        {"silicon_tpot_ms": ""},
        {"silicon_data_source": "no users"},
        {"tp_size": "16"},
        {"silicon_data_source": "silicon_concurrency=0"},
        {"model_path": "deepseek-ai/DeepSeek-R1"},  # may guess tokens ahead, which only the dump tells
    ],
    ids=str,
)
def test_rows_that_the_formula_does_not_describe_are_left_out(tmp_path: Path, other: dict[str, str]) -> None:
    assert written(tmp_path, [ROW | other]) == []


def test_a_row_tells_how_its_benchmark_was_made(tmp_path: Path) -> None:
    alike = ROW | {"silicon_data_source": "aic-auto-gap-analysis; silicon_concurrency=8"}
    gathers = ROW | {"backend": "trtllm"}
    looks = ROW | {
        "backend": "sglang",
        "system": "b200_sxm",
        "tp_size": "8",
        "model_path": "deepseek-ai/DeepSeek-V3",
        "silicon_data_source": "db-dump; silicon_concurrency=32",
    }
    plain, equal, waiting, looking = written(tmp_path, [ROW, alike, gathers, looks])
    assert (plain.shortest, plain.mean_prompt_tokens, plain.waits_steps) == (0.8, 922, 0.0)
    assert (equal.shortest, equal.mean_output_tokens) == (1.0, 1024)
    assert waiting.waits_steps == 20
    assert looking.waits_steps == 15
    assert plain.shape.kv_element_bytes == 1
    assert equal.shape.kv_element_bytes == 2


def test_a_measurement_counts_once_and_a_server_is_on_one_side(tmp_path: Path) -> None:
    again = ROW | {"id": "b", "silicon_data_source": "another file; silicon_concurrency=16"}
    more = [ROW | {"id": str(n), "silicon_data_source": f"silicon_concurrency={n}"} for n in (4, 8, 32, 64)]
    found = written(tmp_path, [ROW, again, *more])
    assert [point.users for point in found] == [16, 4, 8, 32, 64]
    assert len({point.seen for point in found}) == 1
    others = written(tmp_path, [ROW | {"isl": str(tokens)} for tokens in range(1000, 1020)])
    assert {point.seen for point in others} == {True, False}


def test_the_fit_is_for_current_releases(tmp_path: Path) -> None:
    mixture = ROW | {"model_path": "Qwen/Qwen3-235B-A22B-FP8", "moe_tp_size": "4", "moe_ep_size": "1.0"}
    lengths = [{"isl": str(tokens)} for tokens in range(1000, 1020)]
    assert any(point.seen for point in written(tmp_path, [mixture | one for one in lengths]))
    old = written(tmp_path, [mixture | one | {"backend_version": "0.12.0"} for one in lengths])
    assert len(old) == len(lengths)
    assert not any(point.seen for point in old)


PUBLISHED = (  # InferenceX: model, GPU, engine, TP, format, users, tokens in and out, TTFT and TPOT in ms
    ("meta-llama/Llama-3.1-70B", "h200_sxm", "vllm", 8, "fp8", 4, 1024, 1024, 73, 7.9),
    ("meta-llama/Llama-3.1-70B", "h200_sxm", "vllm", 8, "fp8", 16, 8192, 1024, 480, 13.4),
    ("meta-llama/Llama-3.1-70B", "h200_sxm", "vllm", 2, "fp8", 16, 1024, 1024, 190, 15.7),
    ("meta-llama/Llama-3.1-70B", "h200_sxm", "trtllm", 4, "fp8", 16, 1024, 1024, 282, 8.9),
    ("meta-llama/Llama-3.1-70B", "h200_sxm", "trtllm", 2, "fp8", 8, 8192, 1024, 892, 16.9),
    ("meta-llama/Llama-3.1-70B", "b200_sxm", "trtllm", 4, "fp8", 8, 1024, 1024, 207, 7.0),
    ("openai/gpt-oss-120b", "h200_sxm", "vllm", 4, "fp4", 16, 1024, 1024, 64, 5.6),
    ("openai/gpt-oss-120b", "b200_sxm", "trtllm", 1, "fp4", 16, 1024, 1024, 48, 6.1),
    ("deepseek-ai/DeepSeek-V3", "h200_sxm", "sglang", 8, "fp8", 4, 1024, 1024, 260, 10.3),
)


def test_published_measurements_come_out_again(tmp_path: Path) -> None:
    """Some from every engine; docs/step-cost.md has the errors of all."""
    rows = [
        ROW
        | {"model_path": name, "system": system, "backend": engine, "tp_size": str(tp), "precision": kept}
        | {
            "silicon_data_source": f"db-dump; silicon_concurrency={users}",
            "isl": str(tokens_in),
            "osl": str(tokens_out),
        }
        | {"silicon_ttft_ms": str(ttft_ms), "silicon_tpot_ms": str(tpot_ms)}
        for name, system, engine, tp, kept, users, tokens_in, tokens_out, ttft_ms, tpot_ms in PUBLISHED
    ]
    late, off = [], []
    for point in written(tmp_path, rows):
        found = replayed(point)
        assert found is not None
        late.append(abs(found.ttft_s / point.ttft_s - 1))
        off.append(abs(found.tpot_s / point.tpot_s - 1))
    assert len(late) == len(PUBLISHED)
    assert np.median(late) < 0.3
    assert np.median(off) < 0.1
    assert max(off) < 0.25


def test_many_users_wait_longer_and_a_server_that_is_told_to_wait_does(tmp_path: Path) -> None:
    few = ROW | {"silicon_data_source": "silicon_concurrency=4"}
    waiting, many, some = (replayed(point) for point in written(tmp_path, [ROW | {"backend": "trtllm"}, ROW, few]))
    assert many is not None
    assert some is not None
    assert waiting is not None
    assert many.ttft_s > some.ttft_s
    assert many.tpot_s > some.tpot_s
    assert waiting.ttft_s > many.ttft_s + 8 * some.tpot_s  # TensorRT-LLM gathers prompts for 20 steps there


def test_a_server_without_room_for_a_request_is_left_out(tmp_path: Path) -> None:
    (point,) = written(tmp_path, [ROW | {"tp_size": "1", "isl": "2000000"}])
    assert replayed(point) is None


def test_an_overhead_that_was_put_in_is_found_again(tmp_path: Path) -> None:
    shipped = calibration("hopper", "vllm")
    true = Calibration(shipped.kernels, msgspec.structs.replace(shipped.overhead, layer_s=90e-6, row_s=40e-6))
    rows = [
        ROW | {"id": str(n), "silicon_data_source": f"silicon_concurrency={users}", "tp_size": str(tp)}
        for n, (users, tp) in enumerate((users, tp) for users in (4, 16, 64, 256) for tp in (1, 2, 4, 8))
    ]
    made = [
        msgspec.structs.replace(p, tpot_s=foreseen_tpot_s(p, true), ttft_s=foreseen_ttft_s(p, true))
        for p in written(tmp_path, rows)
    ]
    found = fitted_overhead(made, shipped)
    assert np.median(np.abs(tpot_errors(made, shipped))) > 0.1
    assert np.median(np.abs(tpot_errors(made, found))) < 0.03


def test_the_search_finds_shares_and_latency() -> None:
    work = np.logspace(-6, -2, 40)
    (share, late), error = search(lambda share, late: work / share + late, work / 0.6 + 2e-5, (0.8, 1e-5))
    assert share == pytest.approx(0.6, rel=0.05)
    assert late == pytest.approx(2e-5, rel=0.1)
    assert error < 0.03

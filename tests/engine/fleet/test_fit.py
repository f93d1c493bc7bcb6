"""Fitting constants: the fit recovers the constants behind made-up measurements, and skips rows that lack values."""

import csv
from pathlib import Path

import msgspec
import numpy as np
import pytest

from engine.fleet.catalog.calibration import Calibration, calibration
from engine.fleet.fit.served import Point, fitted_overhead, foreseen_tpot_s, foreseen_ttft_s, points, tpot_errors
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
        {"pp_size": "2"},
        {"system": "moon"},
        {"model_path": "nobody/knows"},
        {"silicon_tpot_ms": ""},
        {"silicon_data_source": "no users"},
        {"tp_size": "16"},
    ],
    ids=str,
)
def test_rows_that_the_formula_does_not_describe_are_left_out(tmp_path: Path, other: dict[str, str]) -> None:
    assert written(tmp_path, [ROW | other]) == []


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

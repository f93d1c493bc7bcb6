"""Attainment, and the requests per second that met the SLOs."""

import pytest

from engine.errors import BadInput
from engine.goodput import Slo, attainment, goodput_per_s
from engine.metrics import RequestResult


def served(ttft_s: float | None, gaps: tuple[float, ...] = (), finished: str = "length") -> RequestResult:
    e2e_s = None if ttft_s is None else ttft_s + sum(gaps)
    return RequestResult("r", 1, 0 if ttft_s is None else 1 + len(gaps), (), "", ttft_s, gaps, e2e_s, finished)


@pytest.mark.parametrize(
    ("request_", "slo", "met"),
    [
        (served(0.2, (0.1, 0.3)), Slo(ttft_s=0.2, tpot_s=0.2 + 1e-9, e2e_s=0.6 + 1e-9), True),
        (served(0.2, (0.1, 0.3)), Slo(tpot_s=0.19), False),
        (served(0.2, (0.1,)), Slo(ttft_s=0.1), False),
        (served(0.2), Slo(tpot_s=0.001), True),  # one token has no gap
        (served(None, finished=""), Slo(), False),
        (served(0.1, finished="cancelled"), Slo(), False),
        (served(0.1, finished="failed"), Slo(), False),
    ],
)
def test_a_request_is_good_if_it_met_every_slo(request_: RequestResult, slo: Slo, met: bool) -> None:
    assert slo.met_by(request_) is met


def test_attainment_and_goodput_count_the_good() -> None:
    requests = [served(0.1), served(0.3), served(0.5), served(None, finished="")]
    assert attainment(requests, Slo(ttft_s=0.3)) == 0.5
    assert goodput_per_s(requests, Slo(ttft_s=0.3), span_s=4.0, gpus=2) == 0.25
    assert attainment([], Slo()) == 0.0


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_an_slo_is_above_zero(value: float) -> None:
    with pytest.raises(BadInput, match="TTFT SLO is"):
        Slo(ttft_s=value).checked()

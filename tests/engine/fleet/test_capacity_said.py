"""What the advisor says a plan sustains is what the `simulate` command sees: promises hold below it, and fail above."""

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner

from engine.cli import cli
from engine.fleet.advisor.candidates import Candidate
from engine.fleet.advisor.plan import Pool
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.simulation import at_rate
from engine.fleet.advisor.trial import confirmed, tried

REQUESTS = 3000
TOLERANCE = 0.1
UNITS = {"s": 1.0, "ms": 1e-3}


def said(*line: str) -> str:
    ran = CliRunner().invoke(cli, list(line), catch_exceptions=False)
    assert ran.exit_code == 0
    return ran.stdout


def deployed(plan: dict[str, Any]) -> list[str]:
    """The options of `simulate` that make it the advised plan."""
    if plan["both"]:
        kind = ["chunked", "--chunk", str(plan["chunk_tokens"])] if plan["chunk_tokens"] else ["colocated"]
        return ["--deployment", *kind, "--workers", str(plan["both"]["replicas"]), "--tp", str(plan["both"]["tp"])]
    prefill, decode = plan["prefill"], plan["decode"]
    assert prefill["tp"] == decode["tp"]  # the command has one TP for both pools
    pools = ["--prefill-workers", str(prefill["replicas"]), "--decode-workers", str(decode["replicas"])]
    return ["--deployment", "disaggregated", *pools, "--tp", str(prefill["tp"])]


def simulated(plan: dict[str, Any], asked: dict[str, Any], rate_per_s: float, seed: int) -> tuple[float, float, float]:
    """What the command's table says: TTFT at the 90th percentile, ITL at the 99th, and the share that met the SLOs."""
    out = said(
        *("simulate", "--gpu", asked["gpu"], "--model", asked["model"], "--engine", asked["engine"], *deployed(plan)),
        *("--prompt-tokens", str(asked["isl_tokens"]), "--output-tokens", str(asked["osl_tokens"])),
        *("--requests", str(REQUESTS), "--rate", str(rate_per_s), "--seed", str(seed)),
        *("--ttft-slo", f"{asked['ttft_slo_s']}s", "--tpot-slo", f"{asked['itl_slo_s']}s"),
    )
    cells = [float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|s)\b", out.splitlines()[1])]
    _, ttft_p90_s, _, itl_p99_s, *_ = cells
    met = re.search(r"([\d.]+) % of the requests met", out)
    assert met
    return ttft_p90_s, itl_p99_s, float(met[1]) / 100


@pytest.mark.parametrize(
    "question",
    [[], ["--tpot-slo", "50ms"], ["--tpot-slo", "20ms", "--rate", "40", "--tp", "1"]],
    ids=["the default question", "a promised TPOT", "a split"],
)
def test_the_capacity_said_is_what_simulate_sees(question: list[str]) -> None:
    advice = json.loads(said("advise", *question, "--json"))
    plan, asked, sustains = advice["plan"], advice["question"], advice["chosen"]["sustained_per_s"]
    assert (advice["verdict"] == "disaggregate") == ("--rate" in question)

    def keeps(times: float, seed: int) -> bool:
        ttft_s, itl_s, met = simulated(plan, asked, times * sustains, seed)
        if asked["promised"] == "itl":
            return bool(ttft_s <= asked["ttft_slo_s"] and itl_s <= asked["itl_slo_s"])
        return met >= 0.9

    for seed in (0, 1, 2):
        assert keeps(1 - TOLERANCE, seed)
        assert not keeps(1 + TOLERANCE, seed)


@pytest.mark.parametrize(
    ("question", "plan"),
    [
        (
            Question(8, isl_tokens=128, osl_tokens=1024, promised="tpot"),
            Candidate(both=Pool("h100-sxm", 8), chunk_tokens=8192),
        ),
        (
            Question(72, "gb200", fabric="nvl72", promised="tpot", itl_slo_s=0.02),
            Candidate(both=Pool("gb200", 72), chunk_tokens=16_384),
        ),
    ],
    ids=["long answers", "a rack"],
)
def test_a_capacity_is_not_said_before_the_house_is_full(question: Question, plan: Candidate) -> None:
    """Thousands of requests are in flight there, and until as many have come everything keeps its promises."""
    outcome = confirmed(question, tried(question, plan))
    assert outcome.then.turnovers > 2
    full, over = (
        at_rate(question, plan, times * outcome.sustained_per_s, requests=20_000, only_if_kept=True)
        for times in (1 - TOLERANCE / 2, 1 + TOLERANCE)
    )
    assert full.keeps(question)
    assert not over.keeps(question)

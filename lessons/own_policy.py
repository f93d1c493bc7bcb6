"""What a policy of one's own is measured by: orders that its author has not seen, under ours and under theirs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean, median

import msgspec

from engine.link import LinkSpec
from engine.own_file import OwnFile
from engine.scenario import Deployment, Scenario, Workload
from engine.sim.run import count
from engine.sim.station import WorkerSpec
from lessons.runs import FALLBACK, LONG, SHORT, crowd

CHUNK = 128  # tokens: the budget of a step
CUT = 64  # tokens: our conditional split ships what is longer
LINK = LinkSpec(FALLBACK * 1e6)
YOURS = "yours"
# The four policies of engine/policy.py, in the deployments that they make up; decode workers of the last are chunked.
OURS: Mapping[str, Deployment] = {
    "prefill first": Deployment("colocated"),
    "chunked prefill": Deployment("chunked", chunk=CHUNK),
    "split": Deployment("disaggregated"),
    "conditional split": Deployment("disaggregated", chunk=CHUNK, local_prefill_tokens=CUT),
}
HIDDEN_SEEDS = tuple(Random("orders that nobody has seen").sample(range(1_000, 1_000_000), 7))
BUSY = 0.7  # of the load that chunked workers sustain at most
ALIKE = 1.05  # what differs by less is the same


def practice(deployment: Deployment) -> Scenario:
    """The crowd of lessons 3 and 4: five short orders, and a giant behind them."""
    return Scenario(msgspec.structs.replace(deployment, chunk=CHUNK), LINK, crowd())


def hidden(seed: int, rate_per_s: float | None) -> Workload:
    """Short orders in bursts, and a giant among every four, so that there is something to decide."""
    return Workload(
        requests=48,
        rate_per_s=rate_per_s,
        prompt_tokens=SHORT,
        output_tokens=32,
        long_prompt_tokens=LONG,
        long_every=4,
        arrivals="gamma",
        burstiness=2.0,
        seed=seed,
        ignore_eos=True,
    )


@dataclass(frozen=True)
class Scored:
    """Of each seed: the orders' mean TTFT and the longest stall, in seconds."""

    ttft_s: tuple[float, ...]
    stall_s: tuple[float, ...]

    @property
    def middle(self) -> tuple[float, float]:
        """The medians of both."""
        return median(self.ttft_s), median(self.stall_s)

    def beats(self, other: "Scored") -> bool:
        """Better in one of the two and worse in none, by more than `ALIKE`."""
        ratios = [mine / theirs for mine, theirs in zip(self.middle, other.middle, strict=True)]
        return max(ratios) <= ALIKE and min(ratios) < 1 / ALIKE


def score(own: OwnFile, worker: WorkerSpec, seeds: Sequence[int] = HIDDEN_SEEDS) -> dict[str, Scored]:
    """Ours and yours on the same orders, in simulated time at this worker's pace. Raises PolicyRefused."""
    rate_per_s = BUSY * most_per_s(worker)
    theirs = own.deployed(Scenario(Deployment(chunk=CHUNK))).deployment
    return {
        name: _scored([Scenario(deployment, LINK, hidden(seed, rate_per_s)) for seed in seeds], worker, own)
        for name, deployment in {YOURS: theirs, **OURS}.items()
    }


def most_per_s(worker: WorkerSpec) -> float:
    """How many of these orders two chunked workers serve in a second, when all of them come at once."""
    served = count(Scenario(OURS["chunked prefill"], LINK, hidden(0, None)), worker).requests
    return len(served) / max(request.last_s for request in served)


def _scored(scenarios: Sequence[Scenario], worker: WorkerSpec, own: OwnFile) -> Scored:
    tallies = [count(scenario, worker, own=own) for scenario in scenarios]
    ttfts = [fmean(request.ttft_s for request in tally.requests if request.ttft_s is not None) for tally in tallies]
    return Scored(tuple(ttfts), tuple(tally.metrics.max_stall_s for tally in tallies))


def verdict(scores: Mapping[str, Scored]) -> str:
    """How yours compares, in a sentence or two."""
    mine = scores[YOURS]
    beaten = [name for name in OURS if mine.beats(scores[name])]
    better = [name for name in OURS if scores[name].beats(mine)]
    says = [f"Yours beats {_listed(beaten)}: better in one, and worse in neither."] if beaten else []
    says += [f"{_listed(better)} {'beats' if len(better) == 1 else 'beat'} yours."] if better else []
    return " ".join(says) or "Yours beats none of ours, and none of ours beats yours: each trades one for the other."


def _listed(names: Sequence[str]) -> str:
    quoted = [f"*{name}*" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if quoted[1:] else quoted)

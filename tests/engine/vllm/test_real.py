"""A real vLLM, for some minutes: `make vllm`, and its Python named in SPLIT_KITCHEN_VLLM_PYTHON."""

import os
from statistics import median

import msgspec
import pytest

from engine.commands.inside import VARIABLE
from engine.events import Arrived, Event, HandoffEnded, HandoffOffered, TokenMade
from engine.grammar import check
from engine.link import LinkSpec
from engine.live.process.run import make_requests, run_on
from engine.log import Log
from engine.scenario import KINDS, Deployment, ModelSpec, Scenario, Workload
from engine.vllm import road
from engine.vllm.front import VllmFront
from engine.vllm.run import run_vllm

pytestmark = [
    pytest.mark.claims,
    pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} is not set: see the top of this file"),
]
LOAD = Workload(
    requests=4, prompt_tokens=128, long_prompt_tokens=512, long_every=2, output_tokens=12, ignore_eos=True, seed=3
)
BLOCK_TOKENS = 128  # vLLM's on a CPU


@pytest.fixture(scope="module")
def logs() -> dict[str, Log]:
    """The same four requests on each deployment, greedy, in fp32."""
    made: dict[str, Log] = {}
    for kind in KINDS:
        scenario = Scenario(Deployment(kind, chunk=256), workload=LOAD, model=ModelSpec(dtype="fp32"))
        found = run_vllm(scenario, python=os.environ[VARIABLE])
        assert (found.misses, found.dropped) == ((), 0)
        made[kind] = found.log
    return made


def tokens(log: Log) -> dict[str, list[int]]:
    made: dict[str, list[int]] = {}
    for event in log.events:
        if isinstance(event, TokenMade):
            made.setdefault(event.request, []).append(event.token)
    return made


def test_logs_obey_the_grammar(logs: dict[str, Log]) -> None:
    for log in logs.values():
        check(log.events)
        assert {len(ids) for ids in tokens(log).values()} == {LOAD.output_tokens}


def test_a_split_vllm_makes_the_same_tokens(logs: dict[str, Log]) -> None:
    assert tokens(logs["disaggregated"]) == tokens(logs["colocated"])


def test_trays_hold_the_whole_blocks_of_their_prompts(logs: dict[str, Log]) -> None:
    log = logs["disaggregated"]
    prompts = {event.request: event.prompt_tokens for event in log.events if isinstance(event, Arrived)}
    trays = {event.request: event.nbytes for event in log.events if isinstance(event, HandoffEnded)}
    per_block = {nbytes / -(-prompts[request] // BLOCK_TOKENS) for request, nbytes in trays.items()}
    assert trays.keys() == prompts.keys()
    assert len(per_block) == 1
    # what was offered is blocks times the size of one; what landed is NIXL's own count
    assert trays == {event.request: event.nbytes for event in log.events if isinstance(event, HandoffOffered)}


def test_prompts_are_cut_only_where_that_was_asked_for(logs: dict[str, Log]) -> None:
    assert msgspec.json.encode(logs["chunked"].events) != msgspec.json.encode(logs["colocated"].events)
    most = {
        kind: max(piece.tokens for event in log.events for piece in getattr(event, "plan", ()))
        for kind, log in logs.items()
    }
    assert most["chunked"] <= 256
    assert most["colocated"] >= 512


@pytest.mark.skipif(bool(road.refused()), reason=f"no link can be paced here: {road.refused()}")
def test_the_link_paces_the_real_handoff_and_its_change_in_mid_run() -> None:
    first, then = 20e6, 40e6  # bytes/s
    load = Workload(requests=8, prompt_tokens=512, output_tokens=2, ignore_eos=True, users=1)  # one at a time
    scenario = Scenario(Deployment("disaggregated"), LinkSpec(first), load, ModelSpec(dtype="fp32"))
    landed = 0
    with VllmFront(
        scenario.deployment, scenario.link, scenario.model, python=os.environ[VARIABLE], paced=True
    ) as front:
        front.start()
        while not front.ready:
            front.poll(0.5)

        def watch(events: list[Event]) -> None:
            nonlocal landed
            before, landed = landed, landed + sum(isinstance(event, HandoffEnded) for event in events)
            if before < 4 <= landed:
                front.set_link(LinkSpec(then))

        log = run_on(front, scenario, make_requests(scenario), watch)
    check(log.events)
    ended = [event for event in log.events if isinstance(event, HandoffEnded)]
    assert len(ended) == 8
    for pace in (first, then):  # the median: the end is noticed once a step, and the first one connects
        rates = [event.bytes_per_s for event in ended if event.configured_bytes_per_s == pace]
        assert len(rates) >= 3
        assert median(rates) == pytest.approx(pace, rel=0.2), rates

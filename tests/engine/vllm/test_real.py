"""A real vLLM, for some minutes: `make vllm`, and its Python named in SPLIT_KITCHEN_VLLM_PYTHON."""

import os

import msgspec
import pytest

from engine.commands.inside import VARIABLE
from engine.events import Arrived, HandoffEnded, TokenMade
from engine.grammar import check
from engine.log import Log
from engine.scenario import KINDS, Deployment, ModelSpec, Scenario, Workload
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


def test_prompts_are_cut_only_where_that_was_asked_for(logs: dict[str, Log]) -> None:
    assert msgspec.json.encode(logs["chunked"].events) != msgspec.json.encode(logs["colocated"].events)
    most = {
        kind: max(piece.tokens for event in log.events for piece in getattr(event, "plan", ()))
        for kind, log in logs.items()
    }
    assert most["chunked"] <= 256
    assert most["colocated"] >= 512

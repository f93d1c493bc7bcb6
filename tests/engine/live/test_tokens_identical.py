"""The oracle, over real processes: whatever the deployment and the transport, the tokens are those of `generate`."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
import torch

from engine.events import TokenMade
from engine.grammar import check
from engine.link import LinkSpec
from engine.live.compute.sampling import sample
from engine.live.compute.transformers_model import load
from engine.live.handoff.transports import why_not
from engine.live.model.catalog import Prepared, prepare
from engine.live.model.text import Text
from engine.live.process.front import Front
from engine.live.process.run import run_on
from engine.log import Log
from engine.metrics import summarize
from engine.request import Request, Sampling
from engine.scenario import BLOCK_TOKENS, TRANSPORTS, Deployment, ModelSpec, Scenario
from tests.disturbed import answers

LENGTHS = (5, 9, 16, 17, 33, 64, 100, 257, 300, 512, 777, 1500)  # around the borders of blocks, chunks and batches
OUTPUT = 16
LACKS_NIXL = why_not("nixl")

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("one_thread")]


class Kitchen:
    """A model, what `generate` makes of the prompts, and a running engine for every number of workers asked for."""

    def __init__(self, path: str, lengths: Sequence[int] = LENGTHS, output: int = OUTPUT) -> None:
        self.spec = ModelSpec(path, "fp32")
        self.prepared: Prepared = prepare(self.spec)
        text = Text(self.prepared)
        prompts = [text.synthetic_prompt(0, number, length).ids for number, length in enumerate(lengths)]
        self.requests = [Request(f"r{number}", prompt, output) for number, prompt in enumerate(prompts)]
        self.expected = generated(self.prepared, self.requests)
        self._fronts: dict[int, Front] = {}

    def run(self, deployment: Deployment, requests: Sequence[Request] = ()) -> Log:
        """These requests (else all of them), arriving together, on an engine that is up already or is started now."""
        log = run_on(self._front(deployment), Scenario(deployment, model=self.spec), requests or self.requests)
        check(log.events)
        return log

    def _front(self, deployment: Deployment) -> Front:
        if deployment.workers not in self._fronts:
            roads = ["shm", "tcp"] if LACKS_NIXL else ["shm", "tcp", "nixl"]
            front = Front(deployment, LinkSpec(), self.spec, transports=roads)
            self._fronts[deployment.workers] = front
            front.start()
        return self._fronts[deployment.workers]

    def close(self) -> None:
        for front in self._fronts.values():
            front.close()


def generated(prepared: Prepared, requests: Sequence[Request]) -> dict[str, tuple[int, ...]]:
    """By transformers alone: one prompt at a time, nothing of ours but the file it loads."""
    model: Any = load(prepared, attention="sdpa")
    made = {}
    for request in requests:
        ids = torch.tensor([request.prompt_ids])
        mask = torch.ones_like(ids)
        tokens = request.max_output_tokens
        out = model.generate(ids, attention_mask=mask, max_new_tokens=tokens, do_sample=False, eos_token_id=None)
        made[request.id] = tuple(out[0, ids.shape[1] :].tolist())
    return made


@torch.inference_mode()
def drawn(prepared: Prepared, request: Request) -> tuple[int, ...]:
    """Our draws from the logits of transformers, which computes everything anew for each token."""
    model: Any = load(prepared, attention="sdpa")
    ids = list(request.prompt_ids)
    for index in range(request.max_output_tokens):
        ids += sample(model(torch.tensor([ids])).logits[0, -1:], [(request.sampling, index)])
    return tuple(ids[len(request.prompt_ids) :])


@pytest.fixture(scope="module", params=["tiny-llama", "tiny-qwen3"])
def kitchen(request: pytest.FixtureRequest) -> Iterator[Kitchen]:
    opened = Kitchen(request.param)
    yield opened
    opened.close()


SHIPPED = ("whole", "layers")
SPLITS = {"1P1D": (2, 1), "2P1D": (3, 2), "1P2D": (3, 1)}  # workers, prefill workers
TOGETHER = [
    Deployment("colocated", 2),
    Deployment("colocated", 3),
    Deployment("chunked", 2, chunk=64),
    Deployment("chunked", 3, chunk=16),
]
APART = [Deployment("disaggregated", ship="whole"), Deployment("disaggregated", ship="layers", first_token="decode")]


@pytest.mark.parametrize("deployment", TOGETHER, ids=lambda deployment: f"{deployment.kind} {deployment.workers}")
def test_where_one_worker_does_both(kitchen: Kitchen, deployment: Deployment) -> None:
    log = kitchen.run(deployment)
    assert answers(log) == kitchen.expected
    assert summarize(log.events).handoffs == ()


ROADS = [(split, road, SHIPPED[(a + b) % 2]) for a, split in enumerate(SPLITS) for b, road in enumerate(TRANSPORTS)]


@pytest.mark.parametrize(("split", "transport", "ship"), ROADS)  # each two of the three come together somewhere
def test_where_the_kv_is_handed_over(kitchen: Kitchen, split: str, transport: Any, ship: Any) -> None:
    if transport == "nixl" and LACKS_NIXL:
        pytest.skip(LACKS_NIXL)
    workers, prefill = SPLITS[split]
    log = kitchen.run(Deployment("disaggregated", workers, prefill, transport=transport, ship=ship))
    assert answers(log) == kitchen.expected
    handoffs = {handoff.request: handoff for handoff in summarize(log.events).handoffs}
    for request in kitchen.requests:
        blocks = -(-len(request.prompt_ids) // BLOCK_TOKENS)
        assert handoffs[request.id].verified
        assert handoffs[request.id].bytes == kitchen.prepared.kv_shape.tray_bytes(blocks)


@pytest.mark.parametrize("ship", ["whole", "layers"])
@pytest.mark.parametrize("split", SPLITS)
def test_where_the_decode_worker_makes_the_first_token(kitchen: Kitchen, split: str, ship: Any) -> None:
    workers, prefill = SPLITS[split]
    log = kitchen.run(Deployment("disaggregated", workers, prefill, ship=ship, first_token="decode"))
    assert answers(log) == kitchen.expected
    decoders = {f"worker-{number}" for number in range(prefill, workers)}
    assert {event.worker for event in log.events if isinstance(event, TokenMade)} <= decoders


@pytest.mark.parametrize("deployment", [*TOGETHER, *APART], ids=lambda d: f"{d.kind} {d.workers} {d.ship}")
def test_the_end_of_the_sequence_is_the_end_everywhere(kitchen: Kitchen, deployment: Deployment) -> None:
    """Number `n` of the requests stops at its token `n`, if not before; the last one at none."""
    expected = {}
    requests = []
    for number, request in enumerate(kitchen.requests[:8]):
        made = kitchen.expected[request.id]
        stop = (made[number],) if number < 7 else (-1,)
        requests.append(msgspec.structs.replace(request, stop_ids=stop))
        expected[request.id] = made[: made.index(stop[0]) + 1] if number < 7 else made
    log = kitchen.run(deployment, requests)
    assert answers(log) == expected
    assert [result.finished for result in summarize(log.events).requests] == ["stop"] * 7 + ["length"]


def test_draws_are_the_same_everywhere(kitchen: Kitchen) -> None:
    requests = [
        msgspec.structs.replace(request, sampling=Sampling(0.8, 0.9, seed=number))
        for number, request in enumerate(kitchen.requests[:8])
    ]
    runs = [answers(kitchen.run(deployment, requests)) for deployment in (*TOGETHER, *APART)]
    assert all(run == runs[0] for run in runs)
    assert all(runs[0][request.id] != kitchen.expected[request.id] for request in requests), "greedy after all"
    assert {request.id: drawn(kitchen.prepared, request) for request in requests[:4]}.items() <= runs[0].items()


@pytest.mark.parametrize("lengths", [(5, 16, 100, 300), pytest.param(LENGTHS, marks=pytest.mark.claims)])
def test_a_real_model(lengths: Sequence[int]) -> None:
    kitchen = Kitchen("smollm2-135m", lengths, output=8)
    try:
        for deployment in (Deployment("colocated"), Deployment("chunked", chunk=128), *APART):
            assert answers(kitchen.run(deployment)) == kitchen.expected, deployment
    finally:
        kitchen.close()

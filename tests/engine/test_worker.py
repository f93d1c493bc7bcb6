"""One worker alone, under any order of requests, reservations, steps and drops."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.blocks import BlockPool
from engine.events import BlocksFreed, Finished, StepStarted, TokenMade
from engine.messages import Dropped, Prefilled, Reserved
from engine.plan import Plan, Slice
from engine.request import Request
from engine.worker import MAX_RUNNING, Output, Worker
from tests.engine.virtual_cluster import answer, next_token

BLOCK = 16
CHUNK = 24
Kind = TypeVar("Kind")
Tokens = dict[str, list[int]]  # of each request, prompt and output so far

Shape = tuple[int, int, bool]
shapes = st.tuples(st.integers(1, 90), st.integers(1, 8), st.booleans())  # prompt, output at most, stops before that


def a_request(number: int, shape: Shape) -> Request:
    prompt, output, stops = shape
    ids = tuple((number * 37 + i) % 251 for i in range(prompt))
    plain = Request(f"r{number}", ids, output)
    return Request(plain.id, ids, output, stop_ids=(answer(plain)[output // 2],)) if stops else plain


def a_worker(policy: str, blocks: int = 64) -> Worker:
    return Worker("worker", BlockPool(blocks, BLOCK), policy, CHUNK)


def of(kind: type[Kind], outputs: Iterable[object]) -> list[Kind]:
    return [output for output in outputs if isinstance(output, kind)]


def step(worker: Worker, tokens: Tokens) -> tuple[Plan, list[Output]]:
    """One step, as a driver does it. The model's next token depends on all tokens before; `tokens` grow with it."""
    plan, began = worker.plan(1.0)
    if not plan:
        return plan, began
    sampled = [next_token(tokens[piece.request]) if piece.sample else None for piece in worker.pieces(plan)]
    ended = worker.finish(plan, sampled, 2.0)
    for made in of(TokenMade, ended):
        tokens[made.request].append(made.token)
    return plan, [*began, *ended]


def serve(worker: Worker, requests: Sequence[Request], output_ids: Sequence[int] = ()) -> list[Output]:
    """Everything that the worker says until it has nothing left to do."""
    tokens = {request.id: [*request.prompt_ids, *output_ids] for request in requests}
    for request in requests:
        worker.submit(request, output_ids)
    said: list[Output] = []
    while not worker.idle:
        plan, stepped = step(worker, tokens)
        assert plan, "it has work and does nothing"
        said += stepped
    return said


def answers(said: Sequence[Output]) -> dict[str, list[int]]:
    made: dict[str, list[int]] = {}
    for token in of(TokenMade, said):
        made.setdefault(token.request, []).append(token.token)
    return made


class Life(RuleBasedStateMachine):
    """A worker, and a record of each request: its tokens, how many of them have KV, and where it is."""

    @initialize(
        policy=st.sampled_from(["prefill_first", "chunked", "prefill_only", "decode_only"]),
        blocks=st.integers(7, 20),
        samples=st.booleans(),
    )
    def begin(self, policy: str, blocks: int, samples: bool) -> None:
        self.worker = a_worker(policy, blocks)
        self.worker.configure(policy, CHUNK, samples)
        self.hands_off = policy == "prefill_only"
        self.samples = samples or not self.hands_off
        self.requests: list[Request] = []
        self.tokens: Tokens = {}
        self.kv: dict[str, int] = {}
        self.waiting: list[str] = []
        self.running: list[str] = []
        self.held: list[str] = []
        self.asked: list[tuple[str, int]] = []
        self.reserved: list[str] = []

    def arrive(self, shape: tuple[int, int, bool]) -> Request:
        request = a_request(len(self.requests), shape)
        self.requests.append(request)
        self.tokens[request.id], self.kv[request.id] = list(request.prompt_ids), 0
        return request

    @precondition(lambda self: self.worker.policy != "decode_only")
    @rule(shape=shapes, lived=st.integers(0, 3))
    def submit(self, shape: tuple[int, int, bool], lived: int) -> None:
        request = self.arrive(shape)
        had = answer(request)[:-1][:lived]  # tokens of an earlier life, in which it did not end
        self.tokens[request.id] += had
        self.worker.submit(request, had)
        self.waiting.append(request.id)

    @precondition(lambda self: not self.hands_off)
    @rule(shape=shapes)
    def reserve(self, shape: tuple[int, int, bool]) -> None:
        request = self.arrive(shape)
        self.asked.append((request.id, len(request.prompt_ids) + request.max_output_tokens))
        self.heard(self.worker.reserve(*self.asked[-1]))

    @precondition(lambda self: self.reserved)
    @rule(data=st.data(), first=st.booleans())
    def admit(self, data: st.DataObject, first: bool) -> None:
        name = data.draw(st.sampled_from(self.reserved))
        request = self.named(name)
        had = answer(request)[:-1][: int(first)]
        self.tokens[name] += had
        self.kv[name] = len(self.tokens[name]) - 1
        self.worker.admit(request, had)
        self.reserved.remove(name)
        self.running.append(name)

    @precondition(lambda self: self.present())
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self.drop_one(data.draw(st.sampled_from(self.present())))

    def drop_one(self, name: str) -> None:
        owned = bool(self.worker.blocks_of(name))
        for place in (self.waiting, self.running, self.held, self.reserved):
            if name in place:
                place.remove(name)
        self.asked = [ask for ask in self.asked if ask[0] != name]
        said = self.worker.drop(name, 3.0)
        assert of(Dropped, said) == [Dropped(name)]
        assert [freed.request for freed in of(BlocksFreed, said)] == [name] * owned
        self.heard(said)

    @rule()
    def step(self) -> None:
        before = {name: list(tokens) for name, tokens in self.tokens.items()}
        running = list(self.running)
        plan, said = step(self.worker, self.tokens)
        if self.worker.policy in ("chunked", "decode_only"):
            assert [piece.request for piece in plan][: len(running)] == running, "somebody who decodes was left out"
        if self.worker.policy == "chunked":
            assert sum(piece.tokens for piece in plan) <= CHUNK
        assert len({piece.request for piece in plan}) == len(plan)
        for piece in plan:
            self.computed(piece, before[piece.request])
        for started in of(StepStarted, said):
            assert started.waiting == len(set(self.waiting) - {piece.request for piece in plan})
        self.moved_on(plan, said)
        self.heard(said)

    def computed(self, piece: Slice, tokens: list[int]) -> None:
        """It goes on where the KV ends, and its tokens have room."""
        assert piece.start == self.kv[piece.request]
        self.kv[piece.request] += piece.tokens
        assert piece.tokens >= 1
        assert self.kv[piece.request] <= len(tokens)

    def moved_on(self, plan: Plan, said: list[Output]) -> None:
        prefilled = [report.request for report in of(Prefilled, said)]
        finished = {end.request: end for end in of(Finished, said)}
        made = {token.request for token in of(TokenMade, said)}
        for piece in plan:
            name = piece.request
            complete = self.kv[name] == len(self.tokens[name]) - (name in made)
            assert (name in made) == (complete and self.samples)
            if name in self.waiting and complete:
                self.waiting.remove(name)
                (self.held if self.hands_off else self.running).append(name)
            if name in finished:
                (self.held if self.hands_off else self.running).remove(name)
                self.ended(finished[name])
        assert prefilled == [piece.request for piece in plan if piece.request in self.held]

    def ended(self, end: Finished) -> None:
        request = self.named(end.request)
        made = self.tokens[end.request][len(request.prompt_ids) :]
        assert made == answer(request)
        assert end.output_tokens == len(made)
        assert end.reason == ("stop" if made[-1] in request.stop_ids else "length")

    def heard(self, said: list[Output]) -> None:
        """Reservations are granted first come, first served."""
        for granted in of(Reserved, said):
            name, tokens = self.asked.pop(0)
            assert granted.request == name
            assert granted.blocks == self.worker.blocks_of(name)
            assert len(granted.blocks) == -(-tokens // BLOCK)
            self.reserved.append(name)

    def named(self, name: str) -> Request:
        return self.requests[int(name[1:])]

    def present(self) -> list[str]:
        return [*self.waiting, *self.running, *self.held, *self.reserved, *(name for name, _ in self.asked)]

    @invariant()
    def nobody_waits_for_blocks_that_are_free(self) -> None:
        pool = self.worker.pool
        assert not self.asked or pool.needed(self.asked[0][1]) > pool.blocks - pool.used

    @invariant()
    def blocks_belong_to_those_who_are_here(self) -> None:
        owned = {request.id: self.worker.blocks_of(request.id) for request in self.requests}
        assert {name for name, blocks in owned.items() if blocks} <= set(self.present())
        assert sum(map(len, owned.values())) == self.worker.pool.used
        assert all(len(owned[name]) * BLOCK >= self.kv[name] for name in self.present())
        assert all(owned[name] for name in (*self.running, *self.held, *self.reserved))
        assert self.worker.idle == (not self.waiting and not self.running)

    def teardown(self) -> None:
        """Every started request ends once the KV that is kept for others is gone."""
        if not hasattr(self, "worker"):
            return
        for name in [*self.reserved, *(name for name, _ in self.asked)]:
            self.drop_one(name)
        for _ in range(sum(map(len, self.tokens.values())) + 20 * len(self.requests)):
            self.step()
            for name in list(self.held):
                self.drop_one(name)
        assert not self.present()
        assert self.worker.pool.used == 0


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=40)


@pytest.mark.parametrize("policy", ["prefill_first", "chunked"])
@given(drawn=st.lists(shapes, min_size=1, max_size=8), blocks=st.integers(7, 30))
def test_every_request_ends_with_its_answer_however_small_the_pool(
    policy: str, drawn: list[Shape], blocks: int
) -> None:
    requests = [a_request(number, shape) for number, shape in enumerate(drawn)]
    worker = a_worker(policy, blocks)
    said = serve(worker, requests)
    assert answers(said) == {request.id: answer(request) for request in requests}
    assert {end.request for end in of(Finished, said)} == {request.id for request in requests}
    assert worker.pool.used == 0


@given(shape=shapes, lived=st.integers(1, 7), policy=st.sampled_from(["prefill_first", "chunked"]))
def test_a_request_with_an_earlier_life_goes_on_with_the_token_it_had_come_to(
    shape: Shape, lived: int, policy: str
) -> None:
    request = a_request(0, shape)
    had = answer(request)[:-1][:lived]
    said = serve(a_worker(policy), [request], had)
    assert answers(said) == {request.id: answer(request)[len(had) :]}
    assert [made.index for made in of(TokenMade, said)] == list(range(len(had), len(answer(request))))
    assert [end.output_tokens for end in of(Finished, said)] == [len(answer(request))]


@given(shape=shapes, lived=st.integers(0, 3), samples=st.booleans())
def test_prefill_only_keeps_the_kv_until_it_is_told_to_drop_it(shape: Shape, lived: int, samples: bool) -> None:
    request = a_request(0, shape)
    had = answer(request)[:-1][:lived]
    worker = a_worker("prefill_only")
    worker.configure("prefill_only", CHUNK, samples)
    said = serve(worker, [request], had)
    if of(Finished, said):  # the token it made was the last one
        assert len(had) + 1 == len(answer(request))
        assert worker.pool.used == 0
        return
    assert of(Prefilled, said) == [Prefilled(request.id)]
    assert len(of(TokenMade, said)) == int(samples)
    assert len(worker.blocks_of(request.id)) == worker.pool.needed(len(request.prompt_ids) + len(had))
    assert worker.plan(3.0) == ((), [])
    worker.drop(request.id, 4.0)
    assert worker.pool.used == 0


def test_a_small_reservation_does_not_overtake_a_large_one() -> None:
    worker = a_worker("decode_only", blocks=10)
    assert of(Reserved, worker.reserve("a", 6 * BLOCK))
    assert worker.reserve("b", 5 * BLOCK) == []
    assert worker.reserve("c", 1) == []
    assert [granted.request for granted in of(Reserved, worker.drop("a", 1.0))] == ["b", "c"]


def test_a_reservation_that_is_dropped_lets_those_behind_it_pass() -> None:
    worker = a_worker("decode_only", blocks=10)
    worker.reserve("a", 6 * BLOCK)
    worker.reserve("b", 5 * BLOCK)
    worker.reserve("c", 1)
    assert [granted.request for granted in of(Reserved, worker.drop("b", 1.0))] == ["c"]


def test_a_small_prompt_does_not_overtake_one_that_waits_for_blocks() -> None:
    worker = a_worker("prefill_first", blocks=10)
    sizes = [(90, 6, False), (90, 6, False), (5, 6, False)]
    said = serve(worker, [a_request(number, shape) for number, shape in enumerate(sizes)])
    first = [made.request for made in of(TokenMade, said) if made.index == 0]
    assert first == ["r0", "r1", "r2"]


@pytest.mark.parametrize("policy", ["prefill_first", "chunked"])
def test_no_more_run_side_by_side_than_the_limit(policy: str) -> None:
    requests = [a_request(number, (1, 3, False)) for number in range(MAX_RUNNING + 10)]
    worker = Worker("worker", BlockPool(1000, BLOCK), policy, 10 * MAX_RUNNING)
    said = serve(worker, requests)
    assert max(len(started.plan) for started in of(StepStarted, said)) == MAX_RUNNING
    assert len(of(Finished, said)) == len(requests)

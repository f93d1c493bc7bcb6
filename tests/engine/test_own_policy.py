"""A policy that somebody has written: what it decides is carried out as it stands, or refused by name."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from engine.errors import BadInput, PolicyRefused
from engine.own_file import ANSWERS, OwnFile, needed
from engine.own_policy import (
    BUDGET,
    IDLE,
    ONCE,
    ONE_TOKEN,
    PAIRS,
    PASSED_OVER,
    PIECE,
    RAISES,
    RULES,
    STARVES,
    THERE,
    OwnPolicy,
    Seen,
)
from engine.policy import POLICIES, Job
from engine.scenario import Deployment, Scenario
from tests.engine.test_policy import running_job, waiting_job
from tests.engine.test_worker import a_request, a_worker, answers, serve
from tests.engine.virtual_cluster import answer

CHUNK = 64
Decide = Callable[[list[Seen], list[Seen], int], Any]


def jobs(left: Sequence[int], running: int) -> tuple[list[Job], list[Job]]:
    """Waiting r1, r2 and so on in order of arrival, running r7, r8, r9."""
    waiting = [waiting_job(f"r{number}", tokens) for number, tokens in enumerate(left, 1)]
    return waiting, [running_job(f"r{number}") for number in range(7, 7 + running)]


def refusal(decide: Decide, left: Sequence[int] = (100, 20), running: int = 2) -> PolicyRefused:
    with pytest.raises(PolicyRefused) as refused:
        OwnPolicy(decide, "worker-0", "mine.py")(*jobs(left, running), CHUNK)
    return refused.value


stale = Seen(running_job("r5"))

WRONG: list[tuple[Decide, str, str]] = [
    (
        lambda w, r, c: 1 / 0,
        RAISES,
        "asked about requests 1, 2, 7 and 8, it raises ZeroDivisionError (division by zero)",
    ),
    (lambda w, r, c: exit(), RAISES, "it raises SystemExit"),
    (lambda w, r, c: setattr(r[0], "done", 9), RAISES, "it raises AttributeError"),
    (lambda w, r, c: None, PAIRS, "asked about requests 1, 2, 7 and 8, it returns None"),
    (lambda w, r, c: {w[0]: 3}, PAIRS, "it returns a value of type dict"),
    (lambda w, r, c: ((job, 1) for job in r), PAIRS, "it returns a value of type generator"),
    (lambda w, r, c: r, PAIRS, "among what it chooses for requests 1, 2, 7 and 8 is a value of type Seen"),
    (lambda w, r, c: [(w[0],)], PAIRS, "is a value of type tuple"),
    (lambda w, r, c: [("r1", 5)], PAIRS, "is a pair that begins with a value of type str"),
    (lambda w, r, c: [(w[0], 5.0)], PAIRS, "what it gives to request 1 is a value of type float"),
    (lambda w, r, c: [(w[0], True)], PAIRS, "what it gives to request 1 is a value of type bool"),
    (lambda w, r, c: [(stale, 1)], THERE, "it names request 5, which is neither waiting nor running"),
    (lambda w, r, c: [(r[0], 1), (r[0], 1)], ONCE, "it names request 7 twice"),
    (lambda w, r, c: [(r[1], 2)], ONE_TOKEN, "it gives 2 tokens to request 8"),
    (lambda w, r, c: [(w[1], 21)], PIECE, "it gives 21 tokens to request 2, and 20 are left"),
    (lambda w, r, c: [(w[1], 0)], PIECE, "it gives 0 tokens to request 2, and 20 are left"),
    (lambda w, r, c: [(w[1], -(10**5000))], PIECE, "it gives far too many tokens to request 2"),
    (lambda w, r, c: [(r[0], 1), (w[0], 64)], BUDGET, "it gives 65 tokens to requests 7 and 1, and `chunk` is 64"),
    (lambda w, r, c: [], IDLE, "it chooses nothing, though requests 1, 2, 7 and 8 could go on"),
]


@pytest.mark.parametrize(("decide", "rule", "fault"), WRONG)
def test_a_wrong_decision_gets_one_sentence_with_rule_step_and_request(decide: Decide, rule: str, fault: str) -> None:
    refused = refusal(decide)
    assert refused.rule == rule
    says = str(refused)
    assert fault in says
    assert says.startswith("mine.py, step 1 of worker-0: ")
    assert says.endswith(f"; the rule: {rule}.")
    assert "\n" not in says


def test_the_sentence_names_five_requests_and_counts_the_others() -> None:
    assert "though requests 1, 2, 3, 4, 5 and 3 more could go on" in str(refusal(lambda w, r, c: [], (9,) * 6))


def test_steps_are_counted_where_there_was_something_to_decide() -> None:
    mine = OwnPolicy(lambda w, r, c: [(w[0], 1)] if len(w) == 2 else [], "worker-1", "mine.py")
    mine(*jobs((9, 9), 0), CHUNK)
    assert mine([], [], CHUNK) == []
    with pytest.raises(PolicyRefused, match="step 2 of worker-1"):
        mine(*jobs((9,), 0), CHUNK)


def test_an_order_that_is_passed_over_again_and_again_starves() -> None:
    """Decode the newest alone: whoever runs longest never gets a token."""
    mine, (_, running) = OwnPolicy(lambda w, r, c: [(r[-1], 1)], "worker-0"), jobs((), 2)
    for _ in range(PASSED_OVER - 1):
        mine([], running, CHUNK)
    with pytest.raises(PolicyRefused, match=rf"passed over request 7 {PASSED_OVER} times in a row, now for request 8"):
        mine([], running, CHUNK)


def test_who_waits_behind_an_earlier_one_is_not_passed_over() -> None:
    mine, (waiting, _) = OwnPolicy(lambda w, r, c: [(w[0], 1)], "worker-0"), jobs((9, 9), 0)
    for _ in range(2 * PASSED_OVER):
        mine(waiting, [], CHUNK)
    newest = OwnPolicy(lambda w, r, c: [(w[-1], 1)], "worker-0")
    for _ in range(PASSED_OVER - 1):
        newest(waiting, [], CHUNK)
    with pytest.raises(PolicyRefused) as refused:
        newest(waiting, [], CHUNK)
    assert refused.value.rule == STARVES


def test_a_turn_in_between_is_enough() -> None:
    turns = iter(range(10 * PASSED_OVER))
    mine = OwnPolicy(lambda w, r, c: [(r[next(turns) % 400 == 0], 1)], "worker-0")
    _, running = jobs((), 2)
    for _ in range(4 * PASSED_OVER):
        mine([], running, CHUNK)


def test_what_it_sees_is_the_job_to_read_only_and_the_same_at_every_step() -> None:
    (waiting,), (running,) = jobs((40,), 1)
    shown: list[Seen] = []

    def decide(w: list[Seen], r: list[Seen], chunk: int) -> Any:
        shown.extend((*w, *r))
        return [(w[0], 1)]

    mine = OwnPolicy(decide, "worker-0")
    for _ in range(2):
        mine([waiting], [running], CHUNK)
    assert shown[:2] == shown[2:]
    for seen, job in zip(shown, (waiting, running), strict=False):
        assert (seen.id, seen.request, seen.tokens) == (job.request.id, job.request, tuple(job.tokens))
        assert (seen.done, seen.left, seen.longest) == (job.done, job.left, job.longest)
        assert seen.output_tokens == job.output_tokens
    with pytest.raises(AttributeError):
        shown[0].done = 3  # type: ignore[misc]
    again = waiting_job("r1", 5)  # recalled, and here again: another job of the same name
    mine([again], [], CHUNK)
    assert shown[-1].left == 5


# ---- any decision


@st.composite
def decisions(draw: st.DrawFn) -> Decide:
    """Mostly near what is allowed: any jobs in any order with some number of tokens; now and then anything at all."""
    picks = draw(st.lists(st.tuples(st.integers(0, 9), st.integers(-1, 30)), max_size=6))
    odd = draw(st.sampled_from([None] * 8 + [3, "r1", [None], [(1, 2)], [[]], [(stale, 1)]]))

    def decide(waiting: list[Seen], running: list[Seen], chunk: int) -> Any:
        if odd is not None:
            return odd
        there = [*waiting, *running]
        chosen = [(there[place % len(there)], tokens) for place, tokens in picks]
        return [(seen, 1 if seen in running and tokens > 0 else tokens) for seen, tokens in chosen]

    return decide


@settings(max_examples=300)
@given(st.lists(decisions(), min_size=1, max_size=12), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_any_decision_is_carried_out_or_refused_by_name(made: list[Decide], prompts: list[int]) -> None:
    """Those that break no rule are followed to the letter; nothing is lost, and the answers are the usual ones."""
    turns = 0

    def in_turn(waiting: list[Seen], running: list[Seen], chunk: int) -> Any:
        nonlocal turns
        turns += 1
        return made[turns % len(made)](waiting, running, chunk) if turns <= 60 else fair(waiting, running, chunk)

    requests = [a_request(number, (prompt, 6, False)) for number, prompt in enumerate(prompts)]
    worker = a_worker("prefill_first")
    worker.configure("own", CHUNK, own=OwnPolicy(in_turn, "worker"))
    said, refused = None, None
    try:
        said = serve(worker, requests)
    except PolicyRefused as wrong:
        refused = wrong
    if said is None:
        assert refused is not None
        assert refused.rule in RULES
        assert f"step {turns} of worker" in str(refused)
    else:
        assert answers(said) == {request.id: answer(request) for request in requests}
        assert worker.pool.used == 0


def fair(waiting: list[Seen], running: list[Seen], chunk: int) -> list[tuple[Seen, int]]:
    return [(job, 1) for job in (*running, *waiting)]


@settings(max_examples=100)
@given(st.sampled_from(["prefill_first", "chunked"]), st.lists(st.integers(1, 90), max_size=5), st.integers(0, 3))
def test_our_own_policies_break_no_rule(policy: str, left: list[int], running: int) -> None:
    ours, asked = POLICIES[policy], jobs(left, running)
    chunk = 1024 if policy == "prefill_first" else CHUNK
    assert OwnPolicy(ours, "worker-0")(*asked, chunk) == ours(*asked, chunk)


# ---- files


def test_each_worker_has_functions_of_its_own() -> None:
    file = OwnFile("seen = []\ndef policy(w, r, c):\n    seen.append(1)\n    return [(w[0], len(seen))]", "mine.py")
    one, two = file.policy("worker-0"), file.policy("worker-1")
    asked = jobs((9,), 0)
    assert [tokens for mine in (one, one, two) for _, tokens in mine(*asked, CHUNK)] == [1, 2, 1]


def test_what_it_raises_has_the_line() -> None:
    file = OwnFile("def policy(w, r, c):\n    return helper(w)\n\ndef helper(w):\n    return w[9]\n", "mine.py")
    with pytest.raises(PolicyRefused, match=r"it raises IndexError \(list index out of range\) in line 5; the rule"):
        file.policy("worker-0")(*jobs((9,), 0), CHUNK)


BAD_FILES = [
    ("def policy(w, r, c)\n    return []", "must be a Python file: line 1, expected ':'."),
    ("x = '\0'", "must be a Python file: "),
    ("import nothing_of_this_name", "a file that can be loaded: it raises ModuleNotFoundError (No module named"),
    ("\n\nraise SystemExit(3)", "it raises SystemExit (3) in line 3."),
    ("x = 1", "a file that defines `policy(waiting, running, chunk)` or `ships(tokens, prefill, decode)`."),
    ("policy = 3", "a file that defines `policy("),
    ("def policy(waiting, running): ...", "a file that defines `policy(waiting, running, chunk)`: too many positional"),
    ("def ships(tokens): ...", "a file that defines `ships(tokens, prefill, decode)`: too many positional"),
]


@pytest.mark.parametrize(("source", "sentence"), BAD_FILES)
def test_a_file_that_cannot_be_used_is_refused_before_anything_starts(source: str, sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        OwnFile(source, "mine.py")
    assert sentence in str(refused.value)
    assert str(refused.value).startswith("policy is 'mine.py', but must ")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no such file"):
        OwnFile.read(tmp_path / "nowhere.py")


POLICY = "def policy(waiting, running, chunk): return []\n"
SHIPS = "def ships(tokens, prefill, decode): return True\n"


@pytest.mark.parametrize(
    ("source", "roles"),
    [
        (POLICY, ("own", "own")),
        (SHIPS, ("prefill_only", "chunked")),
        (POLICY + SHIPS, ("prefill_only", "own")),
    ],
)
def test_a_file_decides_which_deployment_it_is_for(source: str, roles: tuple[str, ...]) -> None:
    file = OwnFile(source, "mine.py")
    deployed = file.deployed(Scenario()).deployment
    assert deployed.policies == roles
    assert needed(deployed, file) is file
    with pytest.raises(BadInput, match="a recording or a scenario does not contain it"):
        needed(deployed, None)
    assert needed(Deployment(), file) is None
    other = OwnFile(SHIPS if source == POLICY else POLICY, "other.py")
    with pytest.raises(BadInput, match=r"policy is 'other\.py', but must be a file that defines"):
        needed(deployed, other)


def test_one_s_own_deployment_must_make_sense() -> None:
    for wrong in (
        Deployment("chunked", own_policy=True),
        Deployment("disaggregated", own_policy=True),
        Deployment("colocated", own_split=True),
        Deployment("disaggregated", own_split=True, local_prefill_tokens=64),
    ):
        with pytest.raises(BadInput, match="own "):
            wrong.checked()


def test_the_rules_are_told_apart() -> None:
    assert len({*RULES, ANSWERS}) == len(RULES) + 1

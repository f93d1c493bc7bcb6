"""The advisor: the case that the project grew out of, what answers are made of, and that they turn the right way."""

import msgspec
import pytest
from hypothesis import example, given, settings, strategies as st

from engine.errors import BadInput
from engine.fleet.advisor import search as searching
from engine.fleet.advisor.advice import Advice
from engine.fleet.advisor.advisor import advise
from engine.fleet.advisor.candidates import chunked, colocated, handoff_s, splits, unchunked
from engine.fleet.advisor.capacity import best, pays, splitting_pays
from engine.fleet.advisor.plan import WHOLE, Plan, Pool
from engine.fleet.advisor.question import Question
from engine.fleet.advisor.search import search
from engine.fleet.advisor.simulation import at_rate
from engine.fleet.advisor.sureness import scale_of
from engine.fleet.advisor.trial import confirmed, tried
from engine.fleet.estimate.roofline import prefill_s
from engine.fleet.exports import vllm
from engine.fleet.exports.files import files
from engine.fleet.exports.report import report
from engine.workload import Draft

SEED_CASE = Question(gpus=4, gpu="a100-pcie-80g", fabric="nvlink3", links_down=1, rate_per_s=1.0)
TIGHT = Question(gpus=8, gpu="a100-sxm4-80g", rate_per_s=8.0, itl_slo_s=0.015)


def but(question: Question, **changes: object) -> Question:
    return msgspec.structs.replace(question, **changes)


@pytest.fixture(scope="module")
def progress() -> list[float]:
    """What `seed_advice` told of its progress."""
    return []


@pytest.fixture(scope="module")
def seed_advice(progress: list[float]) -> Advice:
    return advise(SEED_CASE, lambda share, what: progress.append(share))


@pytest.fixture(scope="module")
def tight_advice() -> Advice:
    return advise(TIGHT)


# ---- the seed's own case


def test_four_gpus_with_a_pair_down_chunk_now_fix_first_and_split_at_scale(seed_advice: Advice) -> None:
    assert seed_advice.verdict == "fix-first"
    assert seed_advice.plan.both is not None
    assert seed_advice.plan.gpus == 4
    assert seed_advice.chosen.keeps
    assert any(found.severity == "critical" and "NVLink" in found.what for found in seed_advice.findings)
    tier = seed_advice.next_tier
    assert tier is not None
    assert tier.gpus >= 4
    assert tier.rate_per_s > SEED_CASE.rate_per_s
    assert "fix that first" in seed_advice.sentence
    assert "next tier" in seed_advice.sentence


def test_the_next_tier_is_where_splitting_keeps_what_chunking_does_not(seed_advice: Advice) -> None:
    tier = seed_advice.next_tier
    assert tier is not None
    there = but(SEED_CASE, gpus=tier.gpus, rate_per_s=tier.rate_per_s, fabric=tier.fabric, links_down=0)
    scale = scale_of(search(SEED_CASE.mended(), lambda share, what: None, 0, 1))
    assert best(there, scale).together < 1 <= best(there, scale).split


def test_without_the_fault_the_same_fleet_is_simply_told_to_chunk() -> None:
    advice = advise(but(SEED_CASE, links_down=0))
    assert advice.verdict == "colocate-chunked"
    assert not advice.findings


# ---- what an advice is made of


def test_reasons_reproduce_their_numbers(tight_advice: Advice) -> None:
    question, said = tight_advice.question, {reason.name: reason for reason in tight_advice.reasons}
    together = max((o for o in tight_advice.tried if o.candidate.both), key=lambda o: o.headroom)
    split = max((o for o in tight_advice.tried if o.candidate.split), key=lambda o: o.headroom)
    for name, outcome in (("together", together), ("split", split)):
        again = confirmed(question, tried(question, outcome.candidate))
        assert said[f"{name}_sustained_per_s"].value == again.sustained_per_s
        assert said[f"{name}_ttft_s"].value == again.ttft_s
        assert said[f"{name}_itl_s"].value == again.itl_s
    assert split.candidate.prefill is not None
    alone = prefill_s(question.shape, question.card, question.isl_tokens, tp=split.candidate.prefill.tp)
    assert said["handoff_share"].value == pytest.approx(handoff_s(question, split.candidate) / alone)
    assert said["copies"].value == 8


def test_the_verdict_follows_from_what_was_tried(tight_advice: Advice) -> None:
    together = max(o.headroom for o in tight_advice.tried if o.candidate.both)
    split = max(o.headroom for o in tight_advice.tried if o.candidate.split)
    assert pays(together, split)
    assert tight_advice.verdict == "disaggregate"


@pytest.fixture(scope="module")
def default_advice() -> Advice:
    return advise(but(Question(), rate_per_s=10.0))


def test_eight_h100s_and_a_small_model_are_run_as_replicas(default_advice: Advice) -> None:
    """The default question, answered as an expert would; test_capacity_said.py checks the rate."""
    advice = default_advice
    assert advice.verdict == "colocate-chunked"
    assert advice.plan.both is not None
    assert advice.plan.both.tp in (1, 2)
    assert advice.fewest_gpus in (1, 2)
    assert advice.chosen.sustained_per_s > 30


def test_what_is_promised_decides_the_chunk(default_advice: Advice) -> None:
    gaps, means = default_advice, advise(but(Question(), rate_per_s=10.0, promised="tpot"))
    assert gaps.question.promised == "itl"
    assert means.plan.chunk_tokens > gaps.plan.chunk_tokens  # a long step now and then hardly moves a mean
    assert means.chosen.sustained_per_s > gaps.chosen.sustained_per_s
    assert means.chosen.then.itl_s > means.question.itl_slo_s > means.chosen.then.tpot_s


def test_every_candidate_uses_all_gpus_or_as_many_as_its_workers_can() -> None:
    for question in (SEED_CASE, TIGHT, but(TIGHT, model="llama-3.3-70b"), but(TIGHT, gpus=6), but(TIGHT, gpus=9)):
        for candidate in (*colocated(question), *splits(question)):
            pools = [pool for pool in candidate.split or (candidate.both,) if pool]
            left = question.gpus - sum(pool.gpus for pool in pools)
            assert 0 <= left < min(pool.tp for pool in pools)


def test_a_gpu_more_than_tensor_parallelism_divides_is_left_over() -> None:
    question = but(TIGHT, gpus=9, gpu="h100-sxm", model="llama-3.3-70b", fabric="ib-400g")
    assert best(question).together >= best(but(question, gpus=8)).together > 0


def test_flips_turn_the_verdict_of_the_formulas(tight_advice: Advice) -> None:
    assert tight_advice.flips
    for flip in tight_advice.flips:
        assert flip.verdict != tight_advice.verdict


def test_exports_come_with_the_advice(seed_advice: Advice, tight_advice: Advice) -> None:
    assert {"report.md", "vllm.sh", "kubernetes.yaml", "dynamo.yaml"} <= set(files(tight_advice))
    assert "kv_producer" in files(tight_advice)["vllm.sh"]
    assert "Next tier" in files(seed_advice)["report.md"]


@pytest.mark.usefixtures("seed_advice")
def test_progress_is_told_and_can_end_the_advice(progress: list[float]) -> None:
    assert progress == sorted(progress)
    assert progress[-1] == 1.0

    def enough(share: float, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        advise(SEED_CASE, enough)


def test_mixed_prompts_may_be_split_by_length() -> None:
    """Conditional needs prompts that differ: a trace. Where it is the verdict, it has its threshold."""
    trace = tuple(Draft(n, n / 8, 12_000 if n % 4 == 0 else 300, 200) for n in range(240))
    advice = advise(but(TIGHT, trace=trace))
    conditional = [o for o in advice.tried if o.candidate.remote_above_tokens is not None]
    assert conditional
    assert (advice.plan.remote_above_tokens is not None) == (advice.verdict == "conditional")


def test_an_advice_survives_json(seed_advice: Advice) -> None:
    assert msgspec.json.decode(msgspec.json.encode(seed_advice), type=type(seed_advice)) == seed_advice


@pytest.mark.parametrize(
    "wrong",
    [
        {"gpus": 0},
        {"gpu": "h900"},
        {"model": "gpt-9"},
        {"fabric": "string"},
        {"itl_slo_s": -1.0},
        {"ttft_slo_s": float("nan")},
        {"rate_per_s": 0.0},
        {"prefix_reuse": 1.0},
        {"links_down": -1},
        {"isl_tokens": 0},
        {"gpus": 1, "model": "llama-3.3-70b"},
        {"gpus": 64, "fabric": "nvlink4"},
        {"fabric": "eth-10g", "links_down": 1},
    ],
    ids=str,
)
def test_bad_input_is_one_sentence(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput) as said:
        advise(but(Question(), **wrong))
    assert "\n" not in str(said.value)


# ---- monotone where they must be: on the formulas, which take milliseconds

questions = st.builds(
    Question,
    gpus=st.sampled_from((2, 4, 8)),
    gpu=st.sampled_from(("a100-sxm4-80g", "h100-sxm")),
    model=st.sampled_from(("llama-3.1-8b", "opt-13b")),
    isl_tokens=st.integers(128, 16_000),
    osl_tokens=st.integers(2, 500),
    rate_per_s=st.floats(0.1, 30),
    ttft_slo_s=st.floats(0.2, 10),
    itl_slo_s=st.floats(0.01, 0.2),
    fabric=st.sampled_from(("eth-25g", "eth-100g", "ib-400g", "nvlink4")),
)
few = settings(max_examples=25)


@few
@given(questions, st.floats(1, 4))
def test_a_looser_itl_target_never_turns_kept_together_into_split(question: Question, factor: float) -> None:
    if not best(question).pays and best(question).together >= 1:
        assert not best(but(question, itl_slo_s=question.itl_slo_s * factor)).pays


@few
@given(questions, st.floats(1, 4))
def test_longer_answers_never_help_one_pool(question: Question, factor: float) -> None:
    """So where splitting still keeps the targets with them, it still is the answer."""
    longer = but(question, osl_tokens=round(question.osl_tokens * factor))
    now, then = best(question), best(longer)
    if now.pays and then.split >= 1:
        assert then.together <= now.together * 1.05  # batches are found by iteration


@few
@given(questions, st.integers(1, 3))
@example(  # two splits within 0.1 %, each with its batch found by iteration
    Question(model="opt-13b", isl_tokens=471, osl_tokens=231, rate_per_s=1.0, ttft_slo_s=1.0, itl_slo_s=0.125), 1
)
def test_one_more_fault_never_turns_no_into_yes(question: Question, down: int) -> None:
    whole = but(question, fabric="nvlink4")
    assert best(but(whole, links_down=down)).split <= best(whole).split * 1.01  # batches are found by iteration


@few
@given(questions)
def test_one_gpu_never_splits(question: Question) -> None:
    assert not best(but(question, gpus=1)).pays


@settings(max_examples=100)
@given(questions, st.floats(0.5, 2), st.floats(0.5, 2))
def test_whether_splitting_pays_is_the_same_without_the_rest(question: Question, one: float, other: float) -> None:
    assert splitting_pays(question, (one, other)) == best(question, (one, other)).pays


@few
@given(questions, st.floats(0.5, 0.999))
def test_it_is_the_same_where_splitting_begins_to_pay(question: Question, below: float) -> None:
    """Most questions are answered by one pool; here none of them keeps the rate, and some splits do."""
    together = best(question).together
    scale = (below / together if together else 1.0, 1.0)
    assert splitting_pays(question, scale) == best(question, scale).pays


# ---- with or without chunks

LONG = Question(gpus=2, rate_per_s=10.0, isl_tokens=16_000, itl_slo_s=0.01, fabric="eth-25g")  # nothing keeps this


def test_every_kind_is_simulated_with_or_without_chunks(tight_advice: Advice, default_advice: Advice) -> None:
    for advice in (tight_advice, default_advice):
        kinds = {outcome.candidate.verdict for outcome in advice.tried}
        assert kinds == {"colocate", "colocate-chunked", "disaggregate"}
    assert next(unchunked(but(TIGHT, engine="sglang")), None) is None  # it never mixes, so it has no other kind


def test_a_split_must_sustain_more_than_whole_prompts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where whole prompts sustain more than the chunks there are, they are what a split is compared with."""
    tiny = [one for one in chunked(LONG) if one.chunk_tokens == 256]
    monkeypatch.setattr(searching, "chunked", lambda question: tiny)
    found = search(LONG, lambda share, what: None, 0, 1)
    most = {
        verdict: max(o.sustained_per_s for o in found.all if o.candidate.verdict == verdict)
        for verdict in ("colocate", "colocate-chunked")
    }
    assert most["colocate"] > 1.1 * most["colocate-chunked"]
    assert found.together is not None
    assert found.together.candidate.chunk_tokens == WHOLE
    assert found.together.sustained_per_s == most["colocate"]
    assert found.verdict == ("disaggregate" if found.splits else "colocate")
    assert found.splits == pays(found.together.headroom, found.split.headroom if found.split else 0.0)


def test_a_budget_for_one_prompt_is_among_the_chunks() -> None:
    for tokens in (100, 4096, 5000):
        sizes = {one.chunk_tokens for one in chunked(but(TIGHT, isl_tokens=tokens))}
        assert any(tokens < size <= tokens + 512 for size in sizes)


def test_a_plan_of_whole_prompts_can_be_exported() -> None:
    plan = Plan(
        "colocate", "Qwen/Qwen3-8B", "nvlink4", 4096, 256, 2.0, 0.05, both=Pool("h100-sxm", 4), chunk_tokens=WHOLE
    )
    script = vllm.script(plan.checked())
    assert "--no-enable-chunked-prefill" in script
    assert "--max-num-batched-tokens" not in script
    assert "whole prompts" in report(plan)


@pytest.mark.parametrize("promised", ["itl", "tpot"])
def test_who_asks_only_whether_promises_are_kept_hears_the_same(promised: str) -> None:
    question = but(TIGHT, isl_tokens=1024, osl_tokens=64, promised=promised)
    one = next(iter(chunked(but(question, gpus=1))))
    heard = [
        (at_rate(question, one, rate, requests=240), at_rate(question, one, rate, requests=240, only_if_kept=True))
        for rate in (1.0, 10.0, 100.0)
    ]
    assert all(short.keeps(question) == full.keeps(question) for full, short in heard)
    assert all(short == full for full, short in heard if full.keeps(question))
    assert heard[-1][1].requests == 0 < heard[-1][0].requests  # it ended before all had come


def test_it_ends_as_soon_as_too_many_gaps_are_too_long() -> None:
    question = Question(rate_per_s=20.0)
    whole = next(candidate for candidate in unchunked(question) if candidate.both and candidate.both.tp == 4)
    heard = [
        (at_rate(question, whole, rate), at_rate(question, whole, rate, only_if_kept=True))
        for rate in (14.0, 16.0, 17.0, 17.5, 18.0, 20.0)
    ]
    assert all(short.keeps(question) == full.keeps(question) for full, short in heard)
    assert {full.keeps(question) for full, _ in heard} == {True, False}
    full, short = heard[-1]
    assert full.steady
    assert full.ttft_s < question.ttft_slo_s  # so it is the gaps that end it
    assert short.requests == 0

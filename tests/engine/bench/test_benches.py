"""What benches count and how they report it, on made-up numbers; no test checks how fast anything is."""

import json
import sys

import pytest
from click.testing import CliRunner

from engine.bench.figure import Figure, as_json, as_table, beside, found, said_in
from engine.bench.handoff import itl_s
from engine.bench.start import Memory
from engine.cli import cli
from engine.errors import BadInput, WorkerFailed
from engine.events import Arrived, Event, Finished, HandoffEnded, HandoffStarted, TokenMade
from engine.live.handoff.transports import why_not

Capture = pytest.CaptureFixture[str]


def test_a_figure_is_judged_by_its_ratio_if_it_has_one() -> None:
    assert Figure("a", 9.0, "B/s", "b", 10.0, least=0.8).reached
    assert not Figure("a", 7.0, "B/s", "b", 10.0, least=0.8).reached
    assert Figure("a", 7.0, "s", most=8.0).reached
    assert not Figure("a", 9.0, "s", most=8.0).reached
    assert Figure("a", 9.0, "s").reached is None


def test_interleaved_repeats_are_compared_by_their_medians() -> None:
    figure = beside("a", [1.0, 9.0, 2.0], [4.0, 100.0, 3.0], "s", "b")
    assert (figure.value, figure.beside, figure.ratio) == (2.0, 4.0, 0.5)


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (1.234e10, "B/s", "12.3 GB/s"),
        (8e3, "B", "8 kB"),
        (0.0543, "s", "54.3 ms"),
        (2.5e-6, "s", "2.5 µs"),
        (999.6e-6, "s", "1 ms"),
        (0.9996, "s", "1 s"),
        (999.6e6, "B", "1 GB"),
        (999.6, "", "1,000"),
        (4.67, "s", "4.67 s"),
        (1152, "", "1,152"),
    ],
)
def test_amounts_are_said_in_three_digits(value: float, unit: str, said: str) -> None:
    assert said_in(value, unit) == said


def test_findings_are_said_as_a_table_and_as_json() -> None:
    figures = [Figure("here", 9e9, "B/s", "memcpy", 1e10, least=0.8), Figure("slow", 3.0, "s", most=2.0)]
    findings = found("made up", "a machine", figures, ["A note."])
    lines = as_table(findings).splitlines()
    assert lines[1].split() == ["here", "9", "GB/s", "10", "GB/s", "memcpy", "0.90", "≥", "0.8", "reached"]
    assert lines[2].split()[-3:] == ["2", "s", "missed"]
    assert lines[3] == "A note."
    said = json.loads(as_json(findings))
    assert [figure["reached"] for figure in said["figures"]] == [True, False]
    assert [figure["ratio"] for figure in said["figures"]] == [0.9, None]
    assert "numpy" in said["versions"]


def test_gaps_are_told_apart_by_whether_another_s_tray_travelled() -> None:
    made = [TokenMade(0.1 * n, "d", "me", n, 7) for n in range(20)]
    other: list[Event] = [
        Arrived(0.75, "other", 64, 2),
        HandoffStarted(1.05, "other", "p", "d", 100, "shm", 100.0),
        HandoffEnded(1.46, "other", "p", "d", 100, 0.4, 250.0, 100.0, True),
        Finished(1.55, "other", "length", 2),
    ]
    during, alone = itl_s(sorted([*made, *other], key=lambda event: event.t), "me")
    assert len(during) == 3  # from 1.1 to 1.4: the gap that the last byte fell into is not whole
    assert len(alone) == 5 + 3  # from the third gap to the arrival, and after the end


def test_pages_of_weights_are_counted_by_share_and_one_s_own_apart() -> None:
    smaps = """\
7f00-7f10 r--p 00000000 08:01 42   /cache/model.bf16.safetensors
Rss:                 100 kB
Pss:                  50 kB
Private_Dirty:         0 kB
7f20-7f30 rw-p 00000000 00:00 0
Rss:                  30 kB
Pss:                  30 kB
Private_Clean:         1 kB
Private_Dirty:        29 kB
"""
    memory = Memory()
    memory.add(smaps)
    memory.add(smaps)
    assert (memory.file_rss, memory.file_pss, memory.private) == (200 * 1024, 100 * 1024, 60 * 1024)


@pytest.mark.parametrize(
    "words", [["handoff", "--repeat", "0"], ["start", "--repeat", "0"], ["growth", "--minutes", "0"]]
)
def test_nothing_is_measured_of_bad_input(words: list[str]) -> None:
    with pytest.raises(BadInput):
        cli.main(["bench", *words, "--model", "tiny-llama"], standalone_mode=False)


@pytest.mark.live
def test_the_handoff_s_bench_counts_on_a_tiny_model(capfd: Capture) -> None:
    from engine.bench import handoff
    from engine.live.model.shape import KvShape

    shape = KvShape(layers=2, kv_heads=1, head_dim=8, block_tokens=16, dtype="float32")
    figures = [*handoff.shared_memory(shape, 2, [8192]), *handoff.pacing(shape, 1, [1e9])]
    assert [figure.name for figure in figures] == [
        "shared memory, 0 MB",
        "shared memory, 0 MB, checksum for checksum",
        "shared memory, 0 MB, until it is verified",
        "shared memory, 0 MB in scattered blocks",
        "pacing error at 1,000 MB/s",
    ]
    assert all(figure.value > 0 for figure in figures)


@pytest.mark.live
@pytest.mark.skipif(bool(why_not("nixl")), reason=str(why_not("nixl")))
def test_a_tray_over_nixl_stands_beside_bare_nixl_with_and_without_a_checksum() -> None:
    from engine.bench import handoff
    from engine.live.model.shape import KvShape

    shape = KvShape(layers=2, kv_heads=1, head_dim=8, block_tokens=16, dtype="float32")
    bare, summed = handoff.nixl(shape, 2, [8192])
    assert (bare.against, summed.against) == ("a bare NIXL loop", "bare NIXL, then a checksum")
    assert bare.value == summed.value > 0
    assert bare.least == 0.9
    assert summed.least is None


def test_a_peer_that_ends_is_quoted() -> None:
    from engine.bench.compute import peer

    with (
        pytest.raises(WorkerFailed, match=r"the peer ended in the middle of the bench. Its last output: no model"),
        peer("the peer", sys.executable, "-c", "import sys; sys.exit('no model')"),
    ):
        pass


def test_an_interpreter_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match="vllm python"):
        cli.main(["bench", "compute", "--vllm-python", "nowhere"], standalone_mode=False)


@pytest.mark.live
def test_compute_s_peers_answer_on_a_tiny_model() -> None:
    from engine.bench import compute
    from engine.live.model.catalog import prepare
    from engine.scenario import ModelSpec

    prepared = prepare(ModelSpec("tiny-llama", "bf16"))
    with compute.ours(prepared, "packed_weights") as ours:
        assert ours.ask("prefill", 40) > 0
        ours.ask("gather", 3, 20)
        assert ours.ask("step") > 0


def test_the_guard_compares_the_best_turn_of_each() -> None:
    from engine.bench.guard import compared

    figure = compared("decode", 8, [4.0, 2.0, 9.0], [50.0, 3.0, 4.0], least=1.5)
    assert (figure.value, figure.beside, figure.ratio) == (4.0, 8 / 3, 1.5)
    assert figure.reached


@pytest.mark.parametrize(("ours_s", "code", "verdict"), [(2.0, 0, "reached"), (2.1, 1, "missed")])
def test_the_guard_ends_with_1_below_a_limit(
    ours_s: float, code: int, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.bench import guard

    figures = [guard.compared("prefill", 8, [1.0], [1.0], 0.9), guard.compared("decode", 8, [ours_s], [3.0], 1.5)]
    monkeypatch.setattr(guard, "measure", lambda model: found("guard", "a machine", figures))
    ended = CliRunner().invoke(cli, ["bench", "guard"])
    assert ended.exit_code == code
    assert ended.output.splitlines()[2].split()[-1] == verdict


@pytest.mark.live
def test_the_guard_measures_both_engines_on_a_tiny_model() -> None:
    from engine.bench import guard
    from engine.scenario import ModelSpec

    figures = guard.measure(ModelSpec("tiny-llama", "bf16")).figures
    assert [figure.name for figure in figures] == ["decode, batch 1", "decode, batch 4", "prefill, 256 tokens"]
    assert all(figure.value > 0 and figure.beside for figure in figures)

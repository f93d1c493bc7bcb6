"""The notebook in which one writes policies: its cells run from top to bottom, and what it says of them holds."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import nbformat
import pytest
from nbclient import NotebookClient

from engine.errors import PolicyRefused
from engine.own_file import OwnFile
from engine.own_policy import BUDGET, RULES
from engine.scenario import Deployment
from engine.sim.run import simulate
from engine.sim.station import WorkerSpec
from lab.course.cook import numbers, score_html
from lessons.notebooks.page import CELL, FILE, FOLDED, PAGE, page_notebook
from lessons.own_policy import HIDDEN_SEEDS, OURS, YOURS, Scored, practice, score, verdict
from lessons.runs import GIANT, SHORT, crowd
from tests.engine.sim.test_own import events
from tests.lessons.simulated import PACE
from tests.patience import PATIENCE_S

WORKER = WorkerSpec(PACE, handoff_bytes_per_s=2e9)
TEXT = PAGE.read_text("utf-8")
CELLS = [cell.partition("\n")[2] for cell in CELL.findall(TEXT) if cell.startswith("%%writefile my_policy.py\n")]
SOLUTIONS = [code for code in FOLDED.findall(TEXT) if "..." not in code]


def test_it_is_what_its_page_generates() -> None:
    assert FILE.read_bytes() == page_notebook(), "run: python -m lessons.notebooks"
    book = nbformat.reads(page_notebook().decode(), as_version=4)
    nbformat.validate(book)
    assert all(not cell.outputs for cell in book.cells if cell.cell_type == "code")
    assert all(rule[1:] in page_notebook().decode() for rule in RULES)


def simulated(source: str) -> Any:
    file = OwnFile(source, "my_policy.py")
    return simulate(file.deployed(practice(Deployment())), WORKER, own=file)


def scored(source: str) -> dict[str, Scored]:
    """On a few of the seeds."""
    return score(OwnFile(source, "mine.py"), WORKER, HIDDEN_SEEDS[:3])


def test_the_cells_work_but_the_one_that_is_to_be_refused() -> None:
    assert len(CELLS) == 5
    for number, source in enumerate(CELLS, 1):
        if number != 3:
            assert "TTFT" in numbers(simulated(source))
    with pytest.raises(PolicyRefused, match=f"request.* {GIANT[1:]}, and `chunk` is 128") as refused:
        simulated(CELLS[2])
    assert refused.value.rule == BUDGET


def test_who_is_left_out_is_told_so() -> None:
    """All are read at once; then the newest is served to its end, and so on."""
    source = """
def policy(waiting, running, chunk):
    return [(waiting[0], waiting[0].left)] if waiting else [(running[-1], 1)]
"""
    file = OwnFile(source, "my_policy.py")
    short = msgspec.structs.replace(practice(Deployment()), workload=crowd(SHORT))
    said = numbers(simulate(file.deployed(short), WORKER, own=file))
    assert re.search(
        r"longest stall .* s: request \d, left out by the policy in \d+ steps of worker-\d with tokens for others\.$",
        said,
    ), said


def as_good(found: Mapping[str, Scored], policy: str) -> bool:
    """Our own take leaps where nothing changes, one own goes step by step: their sums are rounded differently."""
    yours, ours = found[YOURS], found[policy]
    return yours.ttft_s == pytest.approx(ours.ttft_s) and yours.stall_s == pytest.approx(ours.stall_s)


def test_each_step_is_better_once_it_is_solved() -> None:
    """Starting and solved: one token for everybody, chunked prefill, split."""
    joins, chunks, by_length, by_load = (scored(source) for source in SOLUTIONS)
    alone, nobody, all_shipped = (scored(CELLS[place]) for place in (1, 3, 4))
    for started, solved in ((alone, joins), (nobody, chunks)):
        assert solved[YOURS].middle[0] < 0.5 * started[YOURS].middle[0]
    assert chunks[YOURS].middle[1] < 0.5 * joins[YOURS].middle[1]
    assert as_good(all_shipped, "split")
    assert as_good(chunks, "chunked prefill")
    assert as_good(by_length, "conditional split")
    assert by_load[YOURS] != by_length[YOURS]


def test_the_solutions_are_ours_event_by_event() -> None:
    _, chunks, by_length, _ = SOLUTIONS
    for source, ours in ((chunks, "chunked prefill"), (by_length, "conditional split")):
        assert events(simulated(source).events) == events(simulate(practice(OURS[ours]), WORKER).events)


def test_reading_the_shortest_first_shortens_the_mean_ttft() -> None:
    chunks = scored(SOLUTIONS[1])
    assert "sorted(waiting, key=lambda job: job.left)" in TEXT
    shortest = SOLUTIONS[1].replace("in waiting", "in sorted(waiting, key=lambda job: job.left)")
    found = scored(shortest)
    assert found[YOURS].beats(chunks[YOURS])
    assert "chunked prefill" in verdict(found)


def test_a_verdict_says_who_beats_whom() -> None:
    def scores(mine: tuple[float, float]) -> dict[str, Scored]:
        theirs = {name: (1.0 + n, 4.0 - n) for n, name in enumerate(OURS)}
        return {name: Scored((ttft,), (stall,)) for name, (ttft, stall) in {YOURS: mine, **theirs}.items()}

    assert verdict(scores((0.5, 3.0))) == (
        "Yours beats *prefill first* and *chunked prefill*: better in one, and worse in neither."
    )
    assert verdict(scores((9.0, 9.0))).endswith("*split* and *conditional split* beat yours.")
    assert verdict(scores((4.1, 0.98))) == (  # as good as one of ours, within the error
        "Yours beats none of ours, and none of ours beats yours: each trades one for the other."
    )
    assert verdict(scores((4.5, 1.0))) == "*conditional split* beats yours."


def test_the_figure_has_a_mark_for_each_policy_and_seed() -> None:
    html = score_html({name: Scored((1.0, 2.0), (0.1, 0.2)) for name in (YOURS, *OURS)})
    assert len(re.findall('<i class="ch-mark', html)) == 5 * 2 + 5  # and the legend's
    assert html.count("<tr>") == 1 + 5


@pytest.mark.live
def test_it_runs_from_top_to_bottom_on_the_real_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the small model, so that it takes seconds."""
    book = nbformat.reads(page_notebook().decode(), as_version=4)
    tiny = 'Cook("my_policy.py", ModelSpec("tiny-llama", "fp32"))'
    for cell in book.cells:
        cell.source = cell.source.replace('Cook("my_policy.py")', tiny)
        cell.source = cell.source.replace("import Cook", "import Cook\nfrom engine.scenario import ModelSpec")
    NotebookClient(
        book, timeout=int(PATIENCE_S), kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs if "data" in output]
    said = [output["data"].get("text/markdown", "") for output in shown]
    assert sum(text.startswith("**Refused.**") for text in said) == 1
    frames = [output for output in shown if "<iframe" in output["data"].get("text/html", "")]
    assert len(frames) == 6
    assert (tmp_path / "my_policy.py").exists()

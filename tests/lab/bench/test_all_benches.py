"""`bench all` takes half an hour: what it has measured is kept, whatever becomes of the rest."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine.bench.document import kept
from engine.bench.figure import Figure, Findings, found
from engine.errors import WorkerFailed
from lab.bench import all_benches as bench_all


def on(machine: str, bench: str) -> Callable[[], Findings]:
    return lambda: found(bench, machine, [Figure("ready", 2.0, "s", most=5.0)], [])


def fails() -> Findings:
    raise WorkerFailed("it died.")


def ran(folder: Path, monkeypatch: pytest.MonkeyPatch, *only: str, **benches: Callable[[], Findings]) -> Result:
    monkeypatch.setattr(bench_all, "parts", lambda *_: iter(benches.items()))
    words = [word for name in only for word in ("--only", name)]
    return CliRunner().invoke(bench_all.all_command, ["--docs", str(folder), *words])


def test_what_was_measured_before_a_failure_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(ran(tmp_path, monkeypatch, start=on("one", "start"), growth=fails).exception, WorkerFailed)
    assert [findings.bench for findings in kept(tmp_path)] == ["start"]
    assert "ready" in (tmp_path / "performance.md").read_text()


def test_one_alone_leaves_the_others_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for machine, only in (("one", ()), ("another", ("growth",))):
        benches = {bench: on(machine, bench) for bench in ("start", "growth")}
        assert ran(tmp_path, monkeypatch, *only, **benches).exit_code == 0
    assert [(one.bench, one.machine) for one in kept(tmp_path)] == [("start", "one"), ("growth", "another")]

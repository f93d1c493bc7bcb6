"""The plugin against stub classes with vLLM's names."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from engine.events import Finished, StepStarted, TokenMade
from engine.grammar import check
from engine.vllm.raw import HookBroke, Raw, parse
from engine.vllm.translate import translate

PLUGIN = Path(__file__).parents[3] / "engine" / "vllm" / "plugin"


class Scheduler:
    """As much of vLLM's as the plugin touches; each method does the engine's own work, which no hook may change."""

    def __init__(self) -> None:
        spec = SimpleNamespace(page_size_bytes=100)
        self.vllm_config = SimpleNamespace(
            kv_transfer_config=None,
            scheduler_config=SimpleNamespace(max_num_batched_tokens=512),
            parallel_config=SimpleNamespace(tensor_parallel_size=2),
        )
        groups = [SimpleNamespace(kv_cache_spec=spec, layer_names=["one", "two"])]
        self.kv_cache_config = SimpleNamespace(num_blocks=9, kv_cache_groups=groups)
        self.block_size = 16
        pool = SimpleNamespace(num_gpu_blocks=9, get_num_free_blocks=lambda: 6)
        self.kv_cache_manager = SimpleNamespace(block_pool=pool)
        self.waiting: list[Any] = []

    def add_request(self, request: Any) -> str:
        return f"added {request.request_id}"

    def schedule(self) -> Any:
        return SimpleNamespace(
            total_num_scheduled_tokens=16,
            scheduled_cached_reqs=SimpleNamespace(req_ids=[], num_computed_tokens=[]),
            scheduled_new_reqs=[SimpleNamespace(req_id="cmpl-r1-0-aaaaaaaa", num_computed_tokens=0)],
            num_scheduled_tokens={"cmpl-r1-0-aaaaaaaa": 16},
        )

    def update_from_output(self, output: Any, model_output: Any) -> str:
        return "updated"

    def _connector_finished(self, request: Any) -> tuple[bool, None]:
        return False, None

    def _free_blocks(self, request: Any) -> str:
        return "freed"

    def _preempt_request(self, request: Any) -> str:
        return "preempted"


class KVConnectorFactory:
    @staticmethod
    def create_connector(config: Any) -> str:
        return f"a connector for {config}"


def request() -> Any:
    return SimpleNamespace(
        request_id="cmpl-r1-0-aaaaaaaa",
        get_finished_reason=lambda: "length",
        num_output_tokens=1,
        kv_transfer_params=None,
    )


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Fresh classes under vLLM's module names."""
    core, factory = ModuleType("core"), ModuleType("factory")
    core.Scheduler = type("Scheduler", (Scheduler,), dict(Scheduler.__dict__))  # type: ignore[attr-defined]
    factory.KVConnectorFactory = type("KVConnectorFactory", (), dict(KVConnectorFactory.__dict__))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm.v1.core.sched.scheduler", core)
    monkeypatch.setitem(sys.modules, "vllm.distributed.kv_transfer.kv_connector.factory", factory)
    return SimpleNamespace(Scheduler=core.Scheduler, Factory=factory.KVConnectorFactory)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("SPLIT_KITCHEN_WATCH", str(tmp_path))
    monkeypatch.setenv("SPLIT_KITCHEN_WATCH_NAME", "a")
    loaded = load()
    yield loaded
    loaded.writer.close()


def load() -> Any:
    spec = importlib.util.spec_from_file_location("split_kitchen_watch", PLUGIN / "split_kitchen_watch.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(plugin: Any, folder: Path) -> list[Raw]:
    plugin.writer.close()
    (file,) = folder.glob("a.*.jsonl")
    return list(parse(file.read_bytes().splitlines(keepends=True)))


def serve(scheduler: Any) -> list[Any]:
    """One request from its arrival to its end, and what the engine's own methods returned."""
    output = None
    returned = [scheduler.add_request(request()), output := scheduler.schedule()][:1]
    model_output = SimpleNamespace(sampled_token_ids=[[7]], req_id_to_index={"cmpl-r1-0-aaaaaaaa": 0})
    returned += [scheduler.update_from_output(output, model_output)]
    returned += [scheduler._connector_finished(request()), scheduler._free_blocks(request())]
    return returned


DOES = ["added cmpl-r1-0-aaaaaaaa", "updated", (False, None), "freed"]


def test_what_it_hears_becomes_a_log(plugin: Any, stubs: Any, tmp_path: Path) -> None:
    plugin.register()
    assert serve(stubs.Scheduler()) == DOES
    client = parse(
        [
            b'{"k":"zero","t":0,"w":"client","t0":0}\n',
            b'{"k":"arrived","t":0,"w":"client","r":"r1","prompt":16,"most":1}\n',
        ]
    )
    log = translate([*client, *lines(plugin, tmp_path)]).log
    check(log.events)
    kinds = [type(event) for event in log.events if isinstance(event, StepStarted | TokenMade | Finished)]
    assert kinds == [StepStarted, TokenMade, Finished]
    (up,) = [event for event in log.events if isinstance(event, StepStarted)]
    assert (up.blocks_used, up.blocks) == (2, 9)


def test_without_a_folder_it_does_nothing(stubs: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SPLIT_KITCHEN_WATCH", raising=False)
    monkeypatch.chdir(tmp_path)
    untouched = dict(stubs.Scheduler.__dict__)
    load().register()
    assert dict(stubs.Scheduler.__dict__) == untouched
    assert serve(stubs.Scheduler()) == DOES
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["add_request", "schedule", "update_from_output", "_free_blocks", "_preempt_request"])
def test_a_name_that_this_vllm_lacks_is_said_and_the_engine_works(
    plugin: Any, stubs: Any, name: str, tmp_path: Path
) -> None:
    left = {key: member for key, member in Scheduler.__dict__.items() if key not in (name, "__dict__", "__weakref__")}
    bare = type("Scheduler", (), left)
    sys.modules["vllm.v1.core.sched.scheduler"].Scheduler = bare  # type: ignore[attr-defined]
    plugin.register()
    bare()
    said = [json.loads(line) for file in tmp_path.glob("*") for line in _written(plugin, file)]
    assert f"Scheduler.{name}" in [line.get("what") for line in said]


def _written(plugin: Any, file: Path) -> list[str]:
    plugin.writer.close()
    return file.read_text().splitlines()


def test_a_hook_that_raises_never_reaches_the_engine_and_is_said_once(plugin: Any, stubs: Any, tmp_path: Path) -> None:
    plugin.register()
    scheduler = stubs.Scheduler()
    scheduler.kv_cache_manager = None  # a vLLM whose inside has changed
    assert serve(scheduler) == DOES
    assert serve(scheduler) == DOES
    said = [line for line in lines(plugin, tmp_path) if isinstance(line, HookBroke)]
    assert {line.hook for line in said} == {"scheduled", "freed"}
    assert len(said) == 2


def test_a_full_disk_does_not_reach_the_engine(stubs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLIT_KITCHEN_WATCH", "/nowhere/at/all")
    load().register()
    assert serve(stubs.Scheduler()) == DOES


def test_lines_that_do_not_fit_are_counted(plugin: Any, tmp_path: Path) -> None:
    writer = plugin.Writer(str(tmp_path), "small", waiting_lines=1)
    started, may_write = plugin.threading.Event(), plugin.threading.Event()
    real = writer._write

    def wait_then_write(*arguments: Any) -> None:
        started.set()
        may_write.wait()
        real(*arguments)

    writer._write = wait_then_write
    for number in range(5):
        writer.say("up", n=number)
    started.wait()
    may_write.set()
    writer.close()
    (file,) = tmp_path.glob("small.*")
    said = [json.loads(line) for line in file.read_text().splitlines()]
    assert sum(line["k"] == "up" for line in said) + sum(line.get("lines", 0) for line in said) == 5
    assert [line["lines"] for line in said if line["k"] == "dropped"] == [4]


def test_vllm_would_find_it() -> None:
    (found,) = distributions(name="split-kitchen-watch", path=[str(PLUGIN)])
    (entry,) = found.entry_points
    assert (entry.group, entry.value) == ("vllm.general_plugins", "split_kitchen_watch:register")


def test_check_names_what_is_missing_where_there_is_no_vllm() -> None:
    ran = subprocess.run(
        [sys.executable, "-I", str(PLUGIN / "split_kitchen_watch.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "MISSING  Scheduler.schedule" in ran.stdout

"""A server seen from outside: what its client writes down, and what it says when there is no answer.

Against a small server of the test's own, and against the real ones where their environments are: the top of
tests/engine/fleet/test_exports.py says how to make them.
"""

import json
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from engine.cli import cli, run_cli
from engine.client.run import run_outside
from engine.client.summary import sentences
from engine.errors import BadInput
from engine.events import SERVER, UNSEEN, Arrived, Connected, Counted, Event, Failed, Finished, TokenMade
from engine.grammar import check
from engine.live.model.catalog import prepare
from engine.log import Log, dump, load, parse
from engine.metrics import summarize
from engine.report import report
from engine.scenario import ModelSpec, Scenario, Workload
from lab.scene.motions import motions
from tests.engine.client.openai_like import KEY, PROMPT_TOKENS, WORDS, openai_like
from tests.patience import PATIENCE_S, comes

E = TypeVar("E", bound=Event)
TINY = ModelSpec("tiny-llama")
FEW = Scenario(workload=Workload(requests=3, prompt_tokens=40, output_tokens=4), model=TINY)


def of(log: Log, kind: type[E]) -> list[E]:
    return [event for event in log.events if isinstance(event, kind)]


# ---- what is written down


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_clients_log_is_a_log(api: str) -> None:
    with openai_like() as server:
        log = run_outside(FEW, server.url, api=api)
    check(log.events)
    assert parse(dump(log)) == log
    assert {type(event) for event in log.events} == {Connected, Arrived, TokenMade, Counted, Finished}
    assert {(token.worker, token.token) for token in of(log, TokenMade)} == {(SERVER, UNSEEN)}
    summary = summarize(log.events)
    assert [(r.prompt_tokens, r.output_tokens, r.finished) for r in summary.requests] == [(40, 4, "length")] * 3
    assert all(request.text == "".join(WORDS[:4]) and request.output_ids == () for request in summary.requests)
    assert all((request.ttft_s or 0) > 0 and len(request.itl_s) == 3 for request in summary.requests)
    about = report(log, summary)
    assert (about["deployment"], about["endpoint"]["counted"]["r1"]) == ("endpoint", (PROMPT_TOKENS, 4))


def test_the_same_scenario_asks_the_same() -> None:
    with openai_like() as first, openai_like() as again:
        run_outside(FEW, first.url)
        run_outside(FEW, again.url)
    assert first.asked == again.asked
    assert len({body["messages"][0]["content"] for body in first.asked}) == 3


def test_what_is_no_standard_is_asked_only_of_those_who_know_it() -> None:
    """A server may refuse an option that it does not know."""
    with openai_like("openai") as strict, openai_like("vllm") as vllm:
        run_outside(FEW, strict.url)
        run_outside(FEW, vllm.url)
    assert all(body["stream_options"] == {"include_usage": True} for body in strict.asked)
    assert all(body["stream_options"]["continuous_usage_stats"] for body in vllm.asked)
    assert not any("ignore_eos" in body for body in strict.asked + vllm.asked)


@pytest.mark.parametrize(("owner", "tokens"), [("vllm", 4), ("somebody", 2)])
def test_pieces_of_several_tokens(owner: str, tokens: int) -> None:
    """Counted in every piece they are tokens; else they are pieces, and the log's reader is told."""
    with openai_like(owner) as server:
        log = run_outside(FEW, server.url, prompts=["bundle"] * 3)
    check(log.events)
    assert [request.output_tokens for request in summarize(log.events).requests] == [tokens] * 3
    assert any("in 6 chunks, and the server counts 12" in line for line in sentences(log)) == (tokens == 2)
    assert f"{3 * PROMPT_TOKENS:,} as the server counts" in " ".join(sentences(log))


def test_a_server_that_does_not_count() -> None:
    with openai_like(usage=False) as server:
        log = run_outside(FEW, server.url)
    check(log.events)
    assert "did not say how many tokens" in " ".join(sentences(log))


def test_in_a_closed_loop_nobody_asks_twice_at_once() -> None:
    load = msgspec.structs.replace(FEW.workload, requests=6, users=2)
    with openai_like() as server:
        log = run_outside(msgspec.structs.replace(FEW, workload=load), server.url)
    check(log.events)
    assert len(server.asked) == 6
    assert server.most_open == 2


# ---- the scene


def test_in_the_scene_an_order_waits_for_its_first_token_and_then_stands_behind_the_hatch() -> None:
    with openai_like() as server:
        log = run_outside(FEW, server.url)
    drawn = motions(log.events)
    kinds = {motion["kind"] for motion in drawn} - {"stall"}  # on a busy machine an answer may pause
    assert kinds == {"deployed", "order", "ticket", "plate", "token"}
    assert next(m for m in drawn if m["kind"] == "deployed")["roles"] == [[SERVER, "unseen"]]
    first = {token.request: token.t for token in reversed(of(log, TokenMade))}
    for kind, edge in (("ticket", "t1"), ("plate", "t0")):
        shown = {m["request"]: m[edge] for m in drawn if m["kind"] == kind}
        assert shown == pytest.approx(first, abs=1e-6)
    assert all(motion["t1"] is not None for motion in drawn if "t1" in motion)


# ---- no answer


def test_what_fails_fails_alone() -> None:
    with openai_like() as server:
        prompts = ["cut it short", "all is well", "refuse it", "garble it"]
        load = msgspec.structs.replace(FEW.workload, requests=5)
        log = run_outside(msgspec.structs.replace(FEW, workload=load), server.url, prompts=prompts)
    check(log.events)
    assert [request.finished for request in summarize(log.events).requests] == [
        *("failed", "length", "failed", "failed", "length"),
    ]
    why = {event.request: event.why for event in of(log, Failed)}
    assert summarize(log.events).requests[0].output_tokens == 2
    assert "broke off" in why["r1"]
    assert why["r3"] == "The server refused it: HTTP 500, out of pans."
    assert "not a chunk of an answer" in why["r4"]
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in why.values())
    assert "3 of 5 requests failed." in sentences(log)


@pytest.mark.parametrize(
    ("path", "options", "sentence"),
    [
        ("/elsewhere", {}, "HTTP 404"),
        ("", {"served_model": "two"}, "served model is 'two', but must be one of one."),
        ("", {"api": "poems"}, "api is 'poems'"),
    ],
)
def test_nothing_is_sent_to_the_wrong_address(path: str, options: dict[str, str], sentence: str) -> None:
    with openai_like() as server, pytest.raises(BadInput, match=sentence):
        run_outside(FEW, server.url + path, **options)
    assert server.asked == []


def test_nothing_is_sent_that_cannot_fit() -> None:
    long = msgspec.structs.replace(FEW, workload=msgspec.structs.replace(FEW.workload, output_tokens=461))
    with openai_like() as server, pytest.raises(BadInput, match="at most 500 together, the server's context"):
        run_outside(long, server.url)
    assert server.asked == []


def test_a_key_goes_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with openai_like(key=KEY) as server:
        monkeypatch.delenv("SPLIT_KITCHEN_API_KEY", raising=False)
        with pytest.raises(BadInput, match="needs a key"):
            run_outside(FEW, server.url)
        monkeypatch.setenv("SPLIT_KITCHEN_API_KEY", "another")
        with pytest.raises(BadInput, match="HTTP 401"):
            run_outside(FEW, server.url)
        monkeypatch.setenv("SPLIT_KITCHEN_API_KEY", KEY)
        check(run_outside(FEW, server.url).events)


# ---- the command


def test_the_command(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    few = ("--requests", "2", "--prompt-tokens", "40", "--output-tokens", "4", "--model", "tiny-llama")
    with openai_like() as server:
        assert run_cli(cli, ["run", "--endpoint", server.url, *few, "--json", "--record", str(file)]) == 0
        out, _ = capfd.readouterr()
        assert json.loads(out)["endpoint"]["model"] == "one"
        check(load(file).events)
        assert run_cli(cli, ["run", "--endpoint", server.url, *few]) == 0
        out, _ = capfd.readouterr()
        assert "cannot be seen from here" in " ".join(out.split())
        for option in (("--link", "1GB/s"), ("--workers", "2"), ("--deployment", "chunked")):
            assert run_cli(cli, ["run", "--endpoint", server.url, *few, *option]) == 2
            assert "left out with --endpoint" in capfd.readouterr().err
        prompts = tmp_path / "prompts.txt"
        prompts.write_text("refuse me\n")
        assert run_cli(cli, ["run", "--endpoint", server.url, *few, "--prompts", str(prompts)]) == 1
        assert "No request was answered. The server refused it: HTTP 500" in capfd.readouterr().err
    assert run_cli(cli, ["run", "--endpoint", server.url, *few]) == 2  # it is gone
    assert "must be a server that answers" in capfd.readouterr().err


# ---- real servers


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged model's folder with the one field more that Dynamo wants, and one set of weights."""
    cached = Path(prepare(ModelSpec(dtype="bf16")).folder)
    folder = tmp_path_factory.mktemp("served")
    for file in cached.iterdir():
        if file.name not in ("config.json", "model.safetensors"):
            (folder / file.name).symlink_to(file)
    config = json.loads((cached / "config.json").read_text()) | {"architectures": ["LlamaForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@contextmanager
def started(commands: list[list[str]], port: int, env: dict[str, str]) -> Iterator[str]:
    """Processes that together serve a model on this port."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [
        subprocess.Popen(command, env=os.environ | {"HF_HUB_OFFLINE": "1"} | env, **quiet)  # type: ignore[call-overload]
        for command in commands
    ]
    url = f"http://127.0.0.1:{port}/v1"

    def serves() -> bool:
        assert all(process.poll() is None for process in running), "a server ended by itself"
        try:
            with urllib.request.urlopen(f"{url}/models", timeout=5) as answer:
                return bool(json.load(answer)["data"])
        except OSError:
            return False

    try:
        assert comes(serves)
        yield url
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(PATIENCE_S)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def python_of(name: str) -> str:
    python = os.environ.get(name)
    if not python or not shutil.which(python):
        pytest.skip(f"{name} is not set: see the top of this file")
    return python


def answers_well(url: str) -> None:
    """8 requests, every token of each seen and counted alike on both sides, prompts within a few tokens."""
    load = Workload(requests=8, rate_per_s=4.0, prompt_tokens=200, output_tokens=16, ignore_eos=True)
    log = run_outside(Scenario(workload=load), url)
    check(log.events)
    assert [request.output_tokens for request in summarize(log.events).requests] == [16] * 8
    assert [count.output_tokens for count in of(log, Counted)] == [16] * 8
    assert all(abs(count.prompt_tokens - 200) <= 4 for count in of(log, Counted))
    assert not of(log, Failed)


@pytest.mark.live
def test_a_real_vllm(served: Path) -> None:
    python, port = python_of("SPLIT_KITCHEN_TEST_VLLM"), free_port()
    serve = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(served), "--served-model-name", "one"]
    options = ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", "1024", "--enforce-eager"]
    with started([[*serve, *options]], port, {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}) as url:
        answers_well(url)


@pytest.mark.live
def test_a_real_dynamo_graph_of_prefill_and_decode(served: Path, tmp_path: Path) -> None:
    python, port = python_of("SPLIT_KITCHEN_TEST_DYNAMO"), free_port()
    planes = ["--discovery-backend", "file", "--request-plane", "tcp", "--event-plane", "zmq"]
    mocker = [python, "-m", "dynamo.mocker", "--model-path", str(served), "--model-name", "one", *planes]
    commands = [
        [python, "-m", "dynamo.frontend", "--http-host", "127.0.0.1", "--http-port", str(port), *planes],
        [*mocker, "--disaggregation-mode", "prefill", "--kv-transfer-bandwidth", "1"],
        [*mocker, "--disaggregation-mode", "decode"],
    ]
    with started(commands, port, {"DYN_FILE_KV": str(tmp_path)}) as url:
        answers_well(url)

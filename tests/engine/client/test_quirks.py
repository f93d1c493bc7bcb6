"""What servers send besides the standard: passed over where it is harmless, a failure where it is one."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx2
import msgspec
import pytest

from engine.cli import cli, run_cli
from engine.client.answer import NoAnswer, answer
from engine.client.run import run_outside
from engine.client.summary import sentences
from engine.errors import BadInput
from engine.events import Connected, Counted, Failed
from engine.grammar import check
from engine.log import Log, load
from engine.metrics import summarize
from engine.scenario import ModelSpec, Scenario, Workload
from tests.engine.client.openai_like import KEY, openai_like
from tests.patience import PATIENCE_S, comes

ONE = Scenario(workload=Workload(requests=1, prompt_tokens=40, output_tokens=4), model=ModelSpec("tiny-llama"))
RUN = [sys.executable, "-c", "import sys; from engine.cli import cli, run_cli; sys.exit(run_cli(cli))", "run"]
WELL = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'
END = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


def heard(plays: bytes, kind: str = "text/event-stream") -> Log:
    with openai_like() as server:
        server.plays, server.kind = plays, kind
        log = run_outside(ONE, server.url)
    check(log.events)
    return log


def why(log: Log) -> list[str]:
    return [event.why for event in log.events if isinstance(event, Failed)]


# ---- failures inside an answer of HTTP 200


@pytest.mark.parametrize(
    ("plays", "sentence"),
    [
        (b'data: {"object": "error", "message": "out of pans"}\n\ndata: [DONE]\n\n', "out of pans"),
        (b'data: {"detail": "out of pans"}\n\ndata: [DONE]\n\n', "out of pans"),
        (b'event: error\ndata: {"message": "out of pans"}\n\ndata: [DONE]\n\n', "out of pans"),
        (b"event: error\ndata: out of pans\n\ndata: [DONE]\n\n", "out of pans"),
        (b'data: {"choices": [{"error": {"message": "out of pans"}}]}\n\ndata: [DONE]\n\n', "out of pans"),
        (b'data: {"choices": [{"delta": {}, "finish_reason": "error"}]}\n\ndata: [DONE]\n\n', "ends with error"),
        (b'data: {"choices": [{"delta": {}, "finish_reason": "abort"}]}\n\ndata: [DONE]\n\n', "ends with abort"),
        (b'data: {"id": "x"}\n\ndata: [DONE]\n\n', "neither choices nor usage"),
        (b"data: [1, 2]\n\ndata: [DONE]\n\n", "neither choices nor usage"),
        (b"data: " + b"[" * 100_000 + b"\n\ndata: [DONE]\n\n", "not a chunk of an answer"),
        (b"data: [DONE]\n\n", "without a token"),
        (END, "without a token"),
    ],
)
@pytest.mark.parametrize("before", [b"", WELL])
def test_a_failure_in_a_stream_is_a_failure(before: bytes, plays: bytes, sentence: str) -> None:
    if sentence == "without a token" and before:
        return  # there is one then
    log = heard(before + plays)
    assert [sentence in said for said in why(log)] == [True], why(log)
    assert [request.finished for request in summarize(log.events).requests] == ["failed"]


def test_an_answer_that_is_no_stream_says_so() -> None:
    log = heard(b'{"choices": [{"message": {"content": "Hi"}}]}', kind="application/json")
    assert why(log) == ["The server sent its whole answer at once, not as a stream: nobody can time its tokens."]
    log = heard(b'{"detail": "out of pans"}', kind="application/json")
    assert why(log) == ["The server sent application/json, not an event stream: out of pans."]


def test_a_run_with_a_failure_only_ends_with_exit_code_1(capfd: pytest.CaptureFixture[str]) -> None:
    with openai_like() as server:
        server.plays = b'data: {"object": "error", "message": "out of pans"}\n\ndata: [DONE]\n\n'
        few = ("--requests", "2", "--prompt-tokens", "40", "--output-tokens", "4", "--model", "tiny-llama")
        assert run_cli(cli, ["run", "--endpoint", server.url, *few]) == 1
    assert "No request was answered. The server gave up half way: out of pans." in capfd.readouterr().err


# ---- what is harmless


@pytest.mark.parametrize(
    "plays",
    [
        b"id: 7\n\n" + WELL + END,
        b"retry: 1000\n\n" + WELL + END,
        b"data:\n\n" + WELL + END,
        b"event: ping\n\n" + WELL + END,
        b"\xef\xbb\xbf" + WELL + END,
        b'data: {"choices": null}\n\n' + WELL + END,
        b'data: {"choices": []}\n\n' + WELL + END,
        b'data: {"choices": [{"delta": null, "text": null}], "usage": null}\n\n' + WELL + END,
        b'data: {"choices": [{"delta": {"content": null, "role": "assistant"}}]}\n\n' + WELL + END,
        b'data: {"choices": [{"delta": {"content": [{"type": "text", "text": "Hi"}]}}]}\n\n' + END,
        b'data: {"error": null, "choices": [{"delta": {"content": "Hi"}}]}\n\n' + END,
        WELL + END.removesuffix(b"\n\n"),
        WELL + b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}',
        (WELL + END).replace(b"\n", b"\r\n"),
        b": keep-alive\n\n" + WELL + b":\n\n" + END,
        b'data: {"choices": [{"delta": {"content": null, "reasoning_content": "Hi"}}]}\n\n' + END,
        b'data: {"choices": [{"delta": {"reasoning": "Hi"}}]}\n\n' + END,
    ],
)
def test_what_means_nothing_costs_nothing(plays: bytes) -> None:
    log = heard(plays)
    assert why(log) == []
    assert [(request.text, request.output_tokens) for request in summarize(log.events).requests] == [("Hi", 1)]


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 3.0, "completion_tokens": 1.0}, [(3, 1)]),
        ({"prompt_tokens": None, "completion_tokens": 1}, [(0, 1)]),
        ({"prompt_tokens": 3, "completion_tokens": None}, []),
        ([], []),
    ],
)
def test_counts_of_any_kind(usage: object, counted: list[tuple[int, int]]) -> None:
    log = heard(WELL + b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n" + END)
    assert why(log) == []
    found = [(event.prompt_tokens, event.output_tokens) for event in log.events if isinstance(event, Counted)]
    assert found == counted


def test_one_connection_serves_one_request_after_the_other() -> None:
    """Else each time to a first token holds the making of a connection."""
    asked = msgspec.structs.replace(ONE.workload, requests=5, users=1)
    with openai_like() as server:
        run_outside(msgspec.structs.replace(ONE, workload=asked), server.url)
        assert len(server.asked) == 5
        assert server.connections == 1


# ---- where it is and what it serves


@pytest.mark.parametrize(
    "models",
    [
        (404, {"detail": "Not Found"}),
        (200, [{"id": "one"}]),
        (200, {"data": [{"id": "one", "owned_by": None, "max_model_len": None}, {"name": "odd"}, 7]}),
        (200, {"data": None}),
        (200, "all of them"),
    ],
)
def test_a_model_that_is_named_is_asked_whatever_the_list_is(models: tuple[int, object]) -> None:
    with openai_like() as server:
        server.models = models
        log = run_outside(ONE, server.url, served_model="one")
        assert [body["model"] for body in server.asked] == ["one"]
    assert why(log) == []


def test_without_a_list_a_name_is_asked_for() -> None:
    with openai_like() as server:
        server.models = (404, {})
        with pytest.raises(BadInput, match="--served-model"):
            run_outside(ONE, server.url)


def test_a_query_stays_behind_the_path() -> None:
    with openai_like() as server:
        run_outside(ONE, f"{server.url}/v1/?api-version=1")
    assert server.targets == ["/v1/models?api-version=1", "/v1/chat/completions?api-version=1"]


def test_defaults_are_left_out() -> None:
    with openai_like() as server:
        run_outside(ONE, server.url)
    assert not {"top_p", "seed", "ignore_eos"} & server.asked[0].keys()


def test_options_are_added_and_left_out_as_a_server_wants_them() -> None:
    said = '{"max_tokens": null, "max_completion_tokens": 4, "stream_options": null}'
    with openai_like() as server:
        server.plays = WELL + END
        run_outside(ONE, server.url, extra_body=said)
    (body,) = server.asked
    assert body["max_completion_tokens"] == 4
    assert not {"max_tokens", "stream_options"} & body.keys()


@pytest.mark.parametrize("said", ["{", "[1]", "7", '{"model": "two"}', '{"stream": false}', "[" * 100_000])
def test_options_that_are_none_are_refused_before_anything_is_sent(said: str) -> None:
    with openai_like() as server, pytest.raises(BadInput, match="extra body"):
        run_outside(ONE, server.url, extra_body=said)
    assert server.asked == []


@pytest.mark.parametrize(("output_tokens", "told"), [(3, True), (1, False)])
def test_a_server_that_takes_no_notice_of_ignore_eos_is_told_of(output_tokens: int, told: bool) -> None:
    asked = msgspec.structs.replace(ONE.workload, ignore_eos=True, output_tokens=output_tokens)
    with openai_like() as server:
        server.plays = WELL + END  # one token, whatever is asked for
        log = run_outside(msgspec.structs.replace(ONE, workload=asked), server.url)
    assert ("The server does not keep to --ignore-eos: 1 of 1 answers" in " ".join(sentences(log))) == told


# ---- whose fault it is


@pytest.mark.live
@pytest.mark.parametrize(
    ("limits", "rate", "code", "sentence"),
    [
        ("-Sn 40", "inf", 0, ""),  # the process raises it
        ("-n 100", "inf", 2, "requests is 60, but must be at most 36 at once: this process may have 100 files open."),
        ("-n 40", "100000", 1, "This machine opens no more connections: a process may have 40 files open."),
    ],
)
def test_many_connections_need_many_open_files(limits: str, rate: str, code: int, sentence: str) -> None:
    """Which is nobody's fault but this machine's."""
    with openai_like() as server:
        line = [*RUN, "--endpoint", server.url, "--model", "tiny-llama"]
        few = ["--requests", "60", "--rate", rate, "--prompt-tokens", "16", "--output-tokens", "200", "--json"]
        ran = subprocess.run(
            ["bash", "-c", f'ulimit {limits}; exec "$@"', "bash", *line, *few],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
    assert (ran.returncode, sentence in ran.stderr) == (code, True), ran.stderr[-2000:]
    assert "Traceback" not in ran.stderr


def test_a_server_that_takes_no_connection_is_not_one_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.client.answer.CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, ExitStack() as waiting:
        for _ in range(4):  # until nobody more is let in to wait
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())
        said = asyncio.run(_refusal(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1/completions"))
    assert said == "The server took no connection within 0.2 s."


async def _refusal(url: str) -> str:
    async with httpx2.AsyncClient(timeout=httpx2.Timeout(PATIENCE_S, connect=0.2)) as client:
        with pytest.raises(NoAnswer) as refused:
            async for _ in answer(client, httpx2.URL(url), {}):
                pass
    return str(refused.value)


@pytest.mark.live
def test_what_was_heard_before_an_interruption_is_not_lost(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    with openai_like() as server:
        line = [*RUN, "--endpoint", server.url, "--model", "tiny-llama"]
        few = ["--requests", "400", "--rate", "20", "--prompt-tokens", "16", "--output-tokens", "2"]
        running = subprocess.Popen(
            [*line, *few, "--record", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert comes(lambda: len(server.asked) >= 5 or running.poll() is not None)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in err
    log = load(file)
    check(log.events)
    answered = [request for request in summarize(log.events).requests if request.finished != "failed"]
    assert len(answered) >= 4
    assert "TTFT" in out
    assert running.returncode in (0, 1)  # 1 where an answer was cut off


# ---- secrets


def test_what_stands_before_the_at_of_an_address_goes_to_the_server_only(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log.jsonl"
    few = ("--requests", "1", "--prompt-tokens", "40", "--output-tokens", "4", "--model", "tiny-llama")
    with openai_like() as server:
        url = server.url.replace("://", "://somebody:pa55@")
        assert run_cli(cli, ["run", "--endpoint", url, *few, "--record", str(file)]) == 0
        assert all(login.startswith("basic ") for login in server.logins)
        assert run_cli(cli, ["run", "--endpoint", url + "/elsewhere", *few]) == 2
    assert run_cli(cli, ["run", "--endpoint", url, *few]) == 2  # it is gone
    for odd in ("http://somebody:pa55@host:99999/v1", "http://somebody:pa55@[::1/v1", "ftp://somebody:pa55@host/"):
        assert run_cli(cli, ["run", "--endpoint", odd, *few]) == 2
    assert "pa55" not in file.read_text()
    assert "pa55" not in str(capfd.readouterr())


def test_a_key_is_stripped_and_never_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with openai_like(key=KEY) as server:
        monkeypatch.setenv("SPLIT_KITCHEN_API_KEY", f" {KEY}\n")
        log = run_outside(ONE, server.url)
        assert why(log) == []
        for odd in ("pa55\nword", "pa55 word", "pa55wörd", "pa55\x00"[:-1] + "\x7f"):
            monkeypatch.setenv("SPLIT_KITCHEN_API_KEY", odd)
            with pytest.raises(BadInput, match="printable ASCII") as refused:
                run_outside(ONE, server.url)
            assert "pa55" not in str(refused.value)
    assert not any("pa55" in event.endpoint for event in log.events if isinstance(event, Connected))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks9://somebody:pa55@host"),
        ("HTTP_PROXY", "garbage pa55"),
        ("HTTP_PROXY", "http://["),
        ("SSL_CERT_FILE", "/nowhere/pa55"),
    ],
)
def test_an_environment_that_cannot_be_used_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with openai_like() as server, pytest.raises(BadInput, match=name):
        run_outside(ONE, server.url)

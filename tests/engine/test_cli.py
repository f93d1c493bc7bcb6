"""The command line: bad input is one sentence and exit code 2 before anything starts; `--json` keeps its contract."""

import io
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from engine import load_log, summarize
from engine.cli import run_cli
from engine.events import Arrived
from engine.grammar import check
from engine.live.model.catalog import prepare
from engine.live.model.text import Text
from engine.metrics import Spread
from engine.scenario import KINDS, ModelSpec
from lab.web.cli import cli

KEY_VARIABLE = "SPLIT_KITCHEN_KEY"
KEY = "a key of sixteen letters and more"
TINY = ("--model", "tiny-llama")

RUN_KEYS = [
    "deployment",
    "workers",
    "requests",
    "metrics",
    "handoffs",
    "link",
    "machine",
    "longest_stall",
    "recalled",
]
REQUEST_KEYS = [
    "id",
    "prompt_tokens",
    "output_tokens",
    "output_ids",
    "text",
    "ttft_s",
    "itl_s",
    "e2e_s",
    "finished",
]
SPREADS = ["ttft_s", "itl_s", "tpot_s", "e2e_s"]
METRIC_KEYS = [*SPREADS, "output_tokens_per_s", "max_stall_s", "busy"]
SPREAD_KEYS = ["p50", "p90", "p99", "mean", "max"]
HANDOFF_KEYS = ["request", "bytes", "seconds", "bytes_per_s", "verified"]
LINK_KEYS = ["configured_bytes_per_s", "achieved_bytes_per_s", "transport"]

Capture = pytest.CaptureFixture[str]


# ---- bad input


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process may start, and no key is set unless a test sets one."""
    prepare(ModelSpec("tiny-llama"))  # the first time, the model is made and the processor measured, by processes

    def explode(*_: object, **__: object) -> None:
        raise AssertionError("something was started")

    monkeypatch.setattr("subprocess.Popen", explode)
    monkeypatch.setattr("engine.live.process.front.Front.start", explode)
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def refusal(capfd: Capture, *arguments: str) -> str:
    assert run_cli(cli, arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


BAD_OPTIONS = [
    ("--workers 0", "workers is 0, but must be a whole number from 1 to 16."),
    ("--workers -1", "workers is -1, but must be a whole number from 1 to 16."),
    ("--workers 17", "workers is 17, but must be a whole number from 1 to 16."),
    ("--workers 1", "decode workers is 0, but must be a whole number from 1 to 15."),
    ("--prefill-workers 0", "prefill workers is 0, but must be a whole number from 1 to 16."),
    ("--decode-workers 0", "decode workers is 0, but must be a whole number from 1 to 16."),
    ("--workers 4 --prefill-workers 1 --decode-workers 1", "workers is 4, but must be 2, the prefill and decode"),
    ("--prefill-workers 9 --decode-workers 9", "workers is 18, but must be a whole number from 1 to 16."),
    ("--workers 2.5", "'2.5' is not a valid integer."),
    ("--requests 0", "requests is 0, but must be a whole number from 1 to 100,000."),
    ("--requests -3", "requests is -3, but must be"),
    ("--requests many", "'many' is not a valid integer."),
    ("--prompt-tokens 0", "prompt tokens is 0, but must be a whole number"),
    ("--prompt-tokens -1", "prompt tokens is -1, but must be a whole number"),
    ("--output-tokens 0", "output tokens is 0, but must be a whole number"),
    ("--output-tokens nan", "'nan' is not a valid integer."),
    ("--long-every -1", "long every is -1, but must be a whole number"),
    ("--long-every 2", "long prompt tokens is 0, but must be a whole number"),
    ("--seed -1", "seed is -1, but must be a whole number"),
    ("--seed 9223372036854775808", "seed is 9223372036854775808, but must be a whole number"),
    ("--rate 0", "rate is '0', but must be requests per second above 0, or inf."),
    ("--rate -2", "rate is '-2', but must be requests per second above 0, or inf."),
    ("--rate nan", "rate is 'nan', but must be requests per second above 0, or inf."),
    ("--link 0MB/s", "link is '0MB/s', but must be a bandwidth above 0"),
    ("--link -5MB/s", "link is '-5MB/s', but must be a bandwidth above 0"),
    ("--link nan", "link is 'nan', but must be a bandwidth above 0"),
    ("--link inf", "link is 'inf', but must be a bandwidth above 0"),
    ("--link '10 parsecs'", "link is '10 parsecs', but must be a bandwidth above 0"),
    ("--latency -1ms", "latency is '-1ms', but must be a time of 0 or more"),
    ("--latency nan", "latency is 'nan', but must be a time of 0 or more"),
    ("--latency soon", "latency is 'soon', but must be a time of 0 or more"),
    ("--transport pigeon", "transport is 'pigeon', but must be one of shm, tcp, nixl."),
    ("--ship half", "ship is 'half', but must be one of whole, layers."),
    ("--first-token router", "first token is 'router', but must be one of prefill, decode."),
    ("--chunk 0", "chunk is 0, but must be a whole number from 16 to 65,536."),
    ("--dtype fp8", "dtype is 'fp8', but must be one of auto, bf16, fp32."),
    ("--kv-blocks -1", "kv blocks is -1, but must be a whole number"),
    ("--temperature -1", "temperature is -1.0, but must be from 0 (greedy) to 2."),
    ("--temperature nan", "temperature is nan, but must be from 0 (greedy) to 2."),
    ("--top-p 0", "top p is 0.0, but must be above 0, at most 1."),
    ("--top-p nan", "top p is nan, but must be above 0, at most 1."),
    ("--model /nowhere/at/all", "model is '/nowhere/at/all', but must be one of smollm2-135m, tiny-llama"),
    ("--model nobody/has-this", "(for a hub model, run first: hf download nobody/has-this)."),
    (
        "--prompt-tokens 2017",
        "prompt tokens is '2017 + 32 output tokens', but must be at most 2,048 together, the model",
    ),
    ("--long-every 2 --long-prompt-tokens 9999", "prompt tokens is '9999 + 32 output tokens', but must be at most"),
    ("--kv-blocks 4", "prompt tokens is '256 + 32 output tokens', but must be at most 64 together, the KV pool."),
    ("--prompts /nowhere/prompts.txt", "prompts is '/nowhere/prompts.txt', but must be a text file with a prompt a"),
    ("--prompts /", "prompts is '/', but must be a text file with a prompt a line."),
    ("--listen 7000", "listen is '7000', but must be HOST:PORT, as 10.0.0.1:7000."),
    ("--listen 127.0.0.1:0", "listen is '127.0.0.1:0', but must be HOST:PORT, as 10.0.0.1:7000."),
    ("--listen 127.0.0.1:http", "listen is '127.0.0.1:http', but must be HOST:PORT, as 10.0.0.1:7000."),
    ("--listen 127.0.0.1:7000", "SPLIT_KITCHEN_KEY is 'not set', but must be the same secret everywhere"),
    ("--link", "Option '--link' requires an argument."),
    ("--parsecs 10", "No such option '--parsecs'."),
    ("leftovers", "Got unexpected extra argument (leftovers)"),
]


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.parametrize("command", ["run", "compare"])
@pytest.mark.parametrize(("options", "said"), BAD_OPTIONS, ids=[options for options, _ in BAD_OPTIONS])
def test_bad_options_of_a_run(command: str, options: str, said: str, capfd: Capture) -> None:
    assert said in refusal(capfd, command, "--json", *TINY, *shlex.split(options))


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("run --deployment scattered", "deployment is 'scattered', but must be one of colocated, chunked,"),
        ("run --deployment disaggregated --workers 1", "decode workers is 0, but must be a whole number"),
        ("run --record /nowhere/run.jsonl", "record is '/nowhere/run.jsonl', but must be in a folder that exists."),
        ("compare --deployment chunked", "No such option '--deployment'."),
        ("run --policy nowhere.py", "policy is 'nowhere.py', but must be a Python file: there is no such file."),
        ("run --policy mine.py --engine vllm", "policy is 'mine.py', but must be left out with --engine vllm,"),
        ("run --policy mine.py --endpoint http://127.0.0.1:1/v1", "but must be left out with --endpoint: a client"),
        ("doctor --model /nowhere", "model is '/nowhere', but must be one of"),
        ("worker", "Missing option '--join'."),
        ("worker --join 10.0.0.1:7000", "SPLIT_KITCHEN_KEY is 'not set', but must be the same secret"),
        ("worker --join 10.0.0.1:7000 --role cook", "role is 'cook', but must be one of any, prefill, decode."),
        ("lab --port 0", "port is 0, but must be a whole number from 1 to 65,535."),
        ("serve", "No such command 'serve'."),
    ],
)
def test_other_bad_input(arguments: str, said: str, capfd: Capture) -> None:
    assert said in refusal(capfd, *arguments.split())


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.parametrize("address", ["nowhere", ":7000", "10.0.0.1:", "10.0.0.1:70000", "10.0.0.1:-1"])
def test_where_nobody_can_join(address: str, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert f"join is '{address}', but must be HOST:PORT" in refusal(capfd, "worker", "--join", address)


@pytest.mark.usefixtures("nothing_starts")
def test_an_address_of_another_host(capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    said = refusal(capfd, "run", *TINY, "--listen", "192.0.2.1:7000")  # reserved for documentation: nobody's
    assert said.startswith("listen is '192.0.2.1:7000', but must be an address of this host (")


@pytest.mark.usefixtures("nothing_starts")
def test_prompts_that_are_none(capfd: Capture, tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    for data, said in (
        (b"", "with at least one prompt."),
        (b"\n  \n", "with at least one prompt."),
        (b"\xff\xfe", "with a prompt a line."),
        (b"word " * 500, "at most 2,048 together, the model's context."),
    ):
        file.write_bytes(data)
        assert refusal(capfd, "run", *TINY, "--prompts", str(file)).endswith(said)


def test_the_program_itself_says_one_sentence_and_ends_with_2() -> None:
    program = [sys.executable, "-c", "from lab.web.cli import main; main()"]
    ran = subprocess.run([*program, "run", "--link", "10 parsecs"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "link is '10 parsecs', but must be a bandwidth above 0 such as 100MB/s or 10Gbit/s, or none.\n"


# ---- help


def shown(parameter: click.Parameter) -> str:
    """A parameter's line in its command's help."""
    return parameter.opts[0] if isinstance(parameter, click.Option) else (parameter.name or "").upper()


@pytest.mark.parametrize("command", [[], *([name] for name in sorted(cli.commands))])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(command: list[str], flag: str, capfd: Capture) -> None:
    assert run_cli(cli, [*command, flag]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("Usage: ")
    assert err == ""
    names = [shown(option) for option in cli.commands[command[0]].params] if command else list(cli.commands)
    assert [name for name in names if name not in out] == []


def test_the_commands_that_were_promised_are_there() -> None:
    assert {"lab", "run", "compare", "doctor", "worker"} <= cli.commands.keys()


# ---- real runs

SMALL = (*TINY, "--dtype", "fp32", "--requests", "3", "--prompt-tokens", "40", "--output-tokens", "6", "--ignore-eos")


def report(capfd: Capture, *arguments: str) -> dict[str, Any]:
    """The one JSON object on stdout; any other output there would break it."""
    assert run_cli(cli, arguments) == 0
    out, _ = capfd.readouterr()
    (line,) = out.splitlines()
    said: dict[str, Any] = json.loads(line)
    return said


def keeps_the_contract(run: dict[str, Any], requests: int, prompt_tokens: int, output_tokens: int) -> None:
    assert list(run) == RUN_KEYS
    assert len(run["requests"]) == requests
    for request in run["requests"]:
        assert list(request) == REQUEST_KEYS
        assert (request["prompt_tokens"], request["output_tokens"]) == (prompt_tokens, output_tokens)
        assert len(request["output_ids"]) == output_tokens == len(request["itl_s"]) + 1
        assert request["e2e_s"] == pytest.approx(request["ttft_s"] + sum(request["itl_s"]))
    metrics = run["metrics"]
    assert list(metrics) == METRIC_KEYS
    assert all(list(metrics[name]) == SPREAD_KEYS for name in SPREADS)
    gaps = [gap for request in run["requests"] for gap in request["itl_s"]]
    for name, samples in (("itl_s", gaps), *((key, [r[key] for r in run["requests"]]) for key in ("ttft_s", "e2e_s"))):
        assert metrics[name] == msgspec.to_builtins(Spread.of(samples))
    assert metrics["max_stall_s"] == max(gaps)
    assert list(run["link"]) == LINK_KEYS
    assert len(metrics["busy"]) <= run["workers"]


@pytest.mark.live
@pytest.mark.parametrize("ship", ["whole", "layers"])
def test_run_reports_what_it_recorded(ship: str, capfd: Capture, tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl.gz"
    link = ("--link", "20MB/s", "--latency", "1ms", "--ship", ship, "--transport", "tcp")
    run = report(capfd, "run", "--json", *SMALL, *link, "--record", str(file))
    keeps_the_contract(run, 3, 40, 6)
    assert (run["deployment"], run["workers"]) == ("disaggregated", 2)

    tray = prepare(ModelSpec("tiny-llama", "fp32")).kv_shape.tray_bytes(3)  # 40 tokens begin a third block of 16
    assert [handoff["request"] for handoff in run["handoffs"]] == ["r1", "r2", "r3"]
    for handoff in run["handoffs"]:
        assert list(handoff) == HANDOFF_KEYS
        assert (handoff["bytes"], handoff["verified"]) == (tray, True)
        assert handoff["bytes_per_s"] == pytest.approx(tray / handoff["seconds"])
        assert handoff["seconds"] > 0.001  # the latency alone
    seconds = sum(handoff["seconds"] for handoff in run["handoffs"])
    assert run["link"]["configured_bytes_per_s"] == 20e6
    assert run["link"]["achieved_bytes_per_s"] == pytest.approx(3 * tray / seconds)
    assert run["link"]["transport"] == "tcp"

    log = load_log(file)
    check(log.events)
    summary = json.loads(msgspec.json.encode(summarize(log.events)))
    assert {key: run[key] for key in ("requests", "metrics", "handoffs")} == summary
    assert log.scenario.deployment.ship == ship
    assert log.machine == run["machine"]


@pytest.mark.live
def test_compare_runs_the_same_requests_on_all_three(capfd: Capture) -> None:
    compared = report(capfd, "compare", "--json", *SMALL, "--chunk", "16")
    assert list(compared) == ["deployments"]
    runs = compared["deployments"]
    assert [run["deployment"] for run in runs] == list(KINDS)
    assert [run["workers"] for run in runs] == [2, 2, 2]
    for run in runs:
        keeps_the_contract(run, 3, 40, 6)
        assert [request["output_ids"] for request in run["requests"]] == [
            request["output_ids"] for request in runs[0]["requests"]
        ]
        handed_off = run["deployment"] == "disaggregated"
        assert len(run["handoffs"]) == (3 if handed_off else 0)
        assert (run["link"]["achieved_bytes_per_s"] is not None) == handed_off
        assert run["link"]["configured_bytes_per_s"] is None


@pytest.mark.live
def test_prompts_are_used_in_turn_and_answers_are_printed(capfd: Capture, tmp_path: Path) -> None:
    prompts, record = tmp_path / "prompts.txt", tmp_path / "run.jsonl"
    prompts.write_text("What is a roux?\n\n  Why rest a steak?  \n", "utf-8")
    arguments = ["run", *SMALL, "--deployment", "colocated", "--prompts", str(prompts), "--record", str(record)]
    assert run_cli(cli, arguments) == 0
    out, _ = capfd.readouterr()
    events = load_log(record).events
    text = Text(prepare(ModelSpec("tiny-llama", "fp32")))
    asked = ["What is a roux?", "Why rest a steak?", "What is a roux?"]
    arrived = [event for event in events if isinstance(event, Arrived)]
    assert [event.prompt for event in arrived] == asked
    assert [event.prompt_tokens for event in arrived] == [len(text.encode_chat(prompt)) for prompt in asked]
    assert [name in out for name in ("r1: ", "r2: ", "r3: ", "TTFT p50", "colocated")] == [True] * 5
    answers = [request.output_ids for request in summarize(events).requests]
    assert answers[0] == answers[2] != answers[1]


@pytest.mark.live
def test_doctor_reports_in_json(capfd: Capture) -> None:
    found = report(capfd, "doctor", "--json", *TINY)
    assert list(found) == [
        "cpu",
        "memory",
        "dtype",
        "peak_flops_per_s",
        "read_bytes_per_s",
        "model",
        "gpu_workers",
        "transports",
        "gpu_pairs",
        "gpus",
        "findings",
    ]
    assert found["peak_flops_per_s"] > 0
    assert {"shm", "tcp"} <= set(found["transports"])


def test_a_terminal_that_cannot_show_a_letter_shows_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="latin-1", write_through=True))

    @click.command()
    def answer() -> None:
        click.echo("a token: 料")

    assert run_cli(answer, []) == 0
    assert shown.getvalue() == b"a token: ?\n"

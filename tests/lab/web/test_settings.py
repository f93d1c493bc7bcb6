"""The lab's settings: what the environment says, what it leaves open, and one sentence for what can't be."""

import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.live import gpus
from engine.live.gpus import Found
from lab.runs.engine_settings import EngineSettings
from lab.web.cli import can_listen
from lab.web.settings import Settings
from lessons.book import Book
from tests.lab.conftest import ROOT


def test_without_variables_the_lab_has_its_defaults() -> None:
    assert Settings.of_environment({}) == Settings(Path("~/.local/share/split-kitchen").expanduser(), EngineSettings())


def test_every_variable_is_read() -> None:
    said = {
        "SPLIT_KITCHEN_DATA": "/data",
        "SPLIT_KITCHEN_URL": "https://lab.example/",
        "SPLIT_KITCHEN_INSTRUCTOR_KEY": "a long enough key",
        "SPLIT_KITCHEN_WORKERS": "3",
        "SPLIT_KITCHEN_MODEL": "tiny-llama",
        "SPLIT_KITCHEN_TRANSPORTS": "tcp,shm",
        "SPLIT_KITCHEN_DEVICE": "cuda:1",
    }
    settings = Settings.of_environment(said)
    assert (settings.data, settings.url) == (Path("/data"), "https://lab.example")
    assert settings.instructor_key == "a long enough key"
    engine = settings.engine
    assert (engine.workers, engine.model.path, engine.transports) == (3, "tiny-llama", ("tcp", "shm"))
    assert engine.model.device == "cuda:1"


@pytest.mark.parametrize(
    ("device", "listen", "sentence"),
    [
        ("gpu", "", "device is 'gpu', but must be cpu, cuda, or a list as cuda:0,cuda:1."),
        ("cuda", "", "device is 'cuda', but must be cpu where torch finds no GPU: there is none."),
        ("cuda", "0.0.0.0:7000", "device is 'cuda', but must be cpu where workers join from other hosts."),
    ],
)
def test_a_device_that_is_not_here_is_one_sentence_before_the_lab_starts(
    device: str, listen: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "found", lambda: Found((), "there is none"))
    said = {"SPLIT_KITCHEN_DEVICE": device, "SPLIT_KITCHEN_LISTEN": listen, "SPLIT_KITCHEN_DATA": str(tmp_path)}
    with pytest.raises(BadInput) as wrong:
        Settings.of_environment(said).checked()
    assert str(wrong.value) == sentence


def test_workers_on_other_hosts_share_no_memory() -> None:
    engine = Settings.of_environment({"SPLIT_KITCHEN_LISTEN": "0.0.0.0:7000"}).engine
    assert (engine.listen, engine.transports) == ("0.0.0.0:7000", ("tcp",))


WRONG = [
    ("SPLIT_KITCHEN_WORKERS", "abc", "SPLIT_KITCHEN_WORKERS is 'abc', but must be a whole number from 2 to 16."),
    ("SPLIT_KITCHEN_WORKERS", "1", "SPLIT_KITCHEN_WORKERS is 1, but must be a whole number from 2 to 16."),
    ("SPLIT_KITCHEN_WORKERS", "", "SPLIT_KITCHEN_WORKERS is '', but must be a whole number from 2 to 16."),
    ("SPLIT_KITCHEN_TRANSPORTS", "shm,pigeon", "SPLIT_KITCHEN_TRANSPORTS is 'pigeon', but must be one of shm, tcp"),
    ("SPLIT_KITCHEN_LISTEN", "7000", "SPLIT_KITCHEN_LISTEN is '7000', but must be HOST:PORT"),
    ("SPLIT_KITCHEN_INSTRUCTOR_KEY", "short", "SPLIT_KITCHEN_INSTRUCTOR_KEY is '5 characters long'"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG)
def test_a_bad_value_is_one_sentence(name: str, value: str, sentence: str) -> None:
    with pytest.raises(BadInput) as wrong:
        Settings.of_environment({name: value})
    assert str(wrong.value).startswith(sentence)


@pytest.mark.parametrize("damage", [b"no database", b"SQLite format 3\0 and no more", bytes(5000)])
def test_data_that_is_no_database_is_refused_by_name_and_kept(damage: bytes, tmp_path: Path) -> None:
    (tmp_path / "class.sqlite").write_bytes(damage)
    with pytest.raises(BadInput, match=r"class\.sqlite.*move it away"):
        Settings(tmp_path, EngineSettings()).checked()
    assert (tmp_path / "class.sqlite").read_bytes() == damage


def test_data_of_another_lab_that_runs_is_no_damage(tmp_path: Path) -> None:
    settings = Settings(tmp_path, EngineSettings()).checked()
    Book(tmp_path / "guesses.sqlite", "a")
    assert settings.checked() is settings


NO_HOME = "import os, pwd; pwd.getpwuid = pwd.getpwnam = {}.__getitem__; os.environ.pop('HOME', None); "  # nor an entry


def test_a_user_without_a_home_says_where_and_the_lab_needs_no_more(tmp_path: Path) -> None:
    def say(**environment: str) -> str:
        code = NO_HOME + "from lab.web.settings import Settings; print(Settings.of_environment().checked().data)"
        ran = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, cwd=ROOT
        )
        return (ran.stdout or ran.stderr.splitlines()[-1]).strip()

    assert say(SPLIT_KITCHEN_DATA=str(tmp_path)) == str(tmp_path)
    assert "SPLIT_KITCHEN_DATA is 'not set', but must be a folder, since this user has no home folder." in say()


def test_a_lab_with_a_bad_value_says_so_and_does_not_start() -> None:
    line = [sys.executable, "-m", "streamlit", "run", "lab/web/app.py", "--server.headless=true", "--server.port=1"]
    environment = os.environ | {"SPLIT_KITCHEN_WORKERS": "abc"}
    ran = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert ran.returncode == 2, ran
    assert "SPLIT_KITCHEN_WORKERS is 'abc', but must be a whole number from 2 to 16." in ran.stderr
    assert "Traceback" not in ran.stderr


def folder_that_is(tmp_path: Path, what: str) -> Path:
    folder = tmp_path / "data"
    match what:
        case "a file":
            folder.write_text("hello")
        case "read-only":
            folder = Path("/proc/self")
        case "full":
            full = tmp_path / "full"
            full.mkdir()
            mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", full], capture_output=True)
            if mounted.returncode:
                pytest.skip("nobody may mount a small disk here")
            return full
        case "not SQLite":
            folder.mkdir()
            (folder / "guesses.sqlite").write_text("hello " * 100)
        case "cut off":
            folder.mkdir()
            with closing(sqlite3.connect(folder / "class.sqlite")) as db:
                db.executescript("CREATE TABLE rooms (code TEXT); INSERT INTO rooms VALUES ('x');")
            whole = (folder / "class.sqlite").read_bytes()
            (folder / "class.sqlite").write_bytes(whole[:50])
    return folder


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("a file", "a folder that can be written to"),
        ("read-only", "a folder that can be written to"),
        ("full", "No space left on device"),
        ("not SQLite", "guesses.sqlite is whole and writable (file is not a database)"),
        ("cut off", "class.sqlite is whole"),
    ],
)
def test_a_data_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path, what: str, sentence: str) -> None:
    folder = folder_that_is(tmp_path, what)
    try:
        with pytest.raises(BadInput) as wrong:
            Settings(folder, EngineSettings(), instructor_key="a long enough key").checked()
    finally:
        if what == "full":
            subprocess.run(["umount", folder], check=True)
    assert str(wrong.value).startswith(f"SPLIT_KITCHEN_DATA is {str(folder)!r}, but must be")
    assert sentence in str(wrong.value)


def test_a_data_folder_is_made_and_kept(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "one" / "two", EngineSettings())
    settings.checked()
    key = settings.key()
    settings.checked()
    assert settings.key() == key


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("203.0.113.7", "host is '203.0.113.7', but must be an address of this machine"),
        ("no such host", "host is 'no such host', but must be an address of this machine"),
        ("", "host is '', but must be an address of this machine"),
        ("a" * 300, "but must be an address of this machine"),
    ],
)
def test_an_address_that_is_nobody_s_here_is_one_sentence(host: str, sentence: str) -> None:
    with pytest.raises(BadInput) as wrong:
        can_listen(host, 8501)
    assert sentence in str(wrong.value)


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=f"port is {port}, but must be one that is free"):
            can_listen("127.0.0.1", port)

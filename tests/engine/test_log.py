"""A log is read back as it was written; anything else is rejected with the number of the wrong line."""

import gzip
import os
import tracemalloc
import types
import typing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from engine.cli import cli, run_cli
from engine.errors import BadInput
from engine.events import Arrived, Event, Finished, TokenMade
from engine.link import LinkSpec
from engine.log import MOST_BYTES, Log, can_be_saved, dump, in_order, load, parse, save
from engine.request import Sampling
from engine.scenario import Deployment, ModelSpec, Scenario, Workload
from tests.disks import small_disk
from tests.engine.client.openai_like import openai_like

KINDS = typing.get_args(Event)
PLAIN = Log(Scenario(), (Arrived(0.0, "r1", 10, 2), TokenMade(1.0, "worker-0", "r1", 0, 7), Finished(1.0, "r1", "", 1)))

finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(2**63), 2**64 - 1)


def values(hint: object) -> st.SearchStrategy[object]:
    """Anything that a field of this type may hold."""
    plain: dict[object, st.SearchStrategy[object]] = {
        float: finite,
        int: whole,
        str: st.text(),
        bool: st.booleans(),
        type(None): st.none(),
    }
    if hint in plain:
        return plain[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return st.floats(0.5, 1)  # of temperature and top_p, allowed in both
    if origin is typing.Literal:
        return st.sampled_from(inner)
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*map(values, inner))
    if origin is tuple and inner[-1] is Ellipsis:
        return st.lists(values(inner[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values, inner))
    return structs(typing.cast(type[msgspec.Struct], hint))


def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[object]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{name: values(hints[name]) for name in kind.__struct_fields__})


logs = st.builds(
    Log,
    structs(Scenario),
    st.lists(st.one_of(*map(structs, KINDS)), max_size=8).map(in_order),
    st.text(),
    st.sampled_from(["", "2026-01-01T00:00:00+00:00"]),
)


@given(log=logs)
def test_what_is_written_is_read_back(log: Log) -> None:
    assert parse(dump(log)) == log
    assert parse(gzip.compress(dump(log))) == log


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_event(kind: type[msgspec.Struct]) -> None:
    @settings(max_examples=20)
    @given(event=structs(kind))
    def round_trip(event: Event) -> None:
        log = Log(Scenario(), (event,))
        assert parse(dump(log)) == log

    round_trip()


def test_a_recording_has_an_event_a_line_for_people_to_read() -> None:
    header, *lines = dump(PLAIN).decode().splitlines()
    assert header.startswith('{"version":1,"scenario":{"deployment":{"kind":"disaggregated"')
    assert lines[0] == '{"kind":"Arrived","t":0.0,"request":"r1","prompt_tokens":10,"max_output_tokens":2,"prompt":""}'
    assert len(lines) == 3


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
def test_files(name: str, tmp_path: Path) -> None:
    scenario = Scenario(
        Deployment("chunked", 3, chunk=64),
        LinkSpec(1e8, 0.001),
        Workload(4, 2.5, 10, 20, sampling=Sampling(0.8, 0.9)),
        ModelSpec("tiny-llama", "fp32"),
    )
    log = Log(scenario, PLAIN.events, "a machine", "2026-01-01T00:00:00+00:00")
    save(log, tmp_path / name)
    assert load(tmp_path / name) == load(str(tmp_path / name)) == log
    assert ((tmp_path / name).read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")


def test_the_same_log_is_the_same_file(tmp_path: Path) -> None:
    save(PLAIN, tmp_path / "one.gz")
    save(PLAIN, tmp_path / "two.gz")
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()


def test_events_are_read_in_order_of_time_those_of_one_moment_as_they_were_said() -> None:
    first, token, end = PLAIN.events
    assert parse(dump(Log(Scenario(), (token, end, first)))).events == (first, token, end)


LINES = dump(PLAIN).splitlines()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "run is 'empty'"),
        (b"\n", "run line 1 is "),
        (b"no json\n", "run line 1 is "),
        (b"[]\n", "run line 1 is "),
        (LINES[1], "run line 1 is "),  # an event where the scenario should be
        (LINES[0].replace(b'"disaggregated"', b'"scattered"'), "line 1 is .*'scattered'"),
        (LINES[0].replace(b'"version":1', b'"version":2'), "run version is 2, but must be 1"),
        (LINES[0][:-1] + b',"recorded_at":"soon"}', "run recorded at is 'soon', but must be a date and time"),
        (b"\n".join([*LINES[:2], b"{}"]), "run line 3 is "),
        (b"\n".join([*LINES[:2], b"", LINES[2]]), "run line 3 is "),
        (b"\n".join([*LINES[:2], LINES[2][:-5]]), "run line 3 is "),  # the disk was full
        (b"\n".join([*LINES, b'{"kind":"Vanished","t":1.0}']), "run line 5 is .*Vanished"),
        (b"\n".join([*LINES, LINES[1].replace(b'"t":0.0', b'"t":"soon"')]), "run line 5 is .*float.*str"),
        (b"\n".join([*LINES, b'{"kind":"Arrived","t":1.0}']), "run line 5 is .*missing required field `request`"),
        (b"\n".join([*LINES, LINES[1].replace(b'"r1"', b'"\xff"')]), "run line 5 is "),
    ],
)
def test_a_line_that_is_wrong_is_named(data: bytes, said: str) -> None:
    for stored in (data, gzip.compress(data)):
        with pytest.raises(BadInput, match=said) as refused:
            parse(stored, "run")
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("cut", [3, 12, 40])
def test_a_gzip_file_that_breaks_off_is_refused(cut: int) -> None:
    with pytest.raises(BadInput, match="run is 'broken gzip data'"):
        parse(gzip.compress(dump(PLAIN))[:cut], "run")


def test_a_gzip_file_whose_bytes_are_wrong_is_refused() -> None:
    good = gzip.compress(dump(PLAIN))
    for at in range(10, len(good)):  # behind the header, which has the time and the system in it
        broken = good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :]
        with pytest.raises(BadInput):
            parse(broken, "run")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="but must be a file that can be read"):
        load(tmp_path / "nothing.jsonl")
    with pytest.raises(BadInput, match="but must be a file that can be read"):
        load(tmp_path)


# ---- logs that somebody made to do harm


def test_a_small_file_unpacks_to_a_bounded_one() -> None:
    packed = gzip.compress(b"\n" * (20 * MOST_BYTES))
    assert len(packed) < 2_000_000
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match="at most 64 MB of events"):
            parse(packed, "bomb.jsonl.gz")
        assert tracemalloc.get_traced_memory()[1] < 4 * MOST_BYTES
    finally:
        tracemalloc.stop()


def test_deep_json_is_a_line_that_is_wrong() -> None:
    deep = dump(PLAIN) + b'{"kind": "Arrived", "t": ' + b"[" * 100_000
    with pytest.raises(BadInput, match="line 5"):
        parse(deep)


def test_what_never_ends_is_no_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe", tmp_path, "x" * 5000, "\0"):
        with pytest.raises(BadInput, match="a file that can be read"):
            load(path)


def test_where_nothing_can_be_written_is_refused_before_a_run(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none" / "log", tmp_path / ("x" * 300), Path("/dev/full")):
        for refuse in (can_be_saved, lambda path: save(PLAIN, path)):
            with pytest.raises(BadInput, match="record"):
                refuse(path)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
    assert not Path("/dev/full").is_file()


def test_numbers_are_printed_though_the_recording_is_lost(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The disk became full meanwhile."""
    with openai_like() as server, small_disk(tmp_path / "disk", full=True) as disk:
        line = ["run", "--endpoint", server.url, "--requests", "1", "--output-tokens", "2", "--model", "tiny-llama"]
        assert run_cli(cli, [*line, "--record", str(disk / "log.jsonl")]) == 1
        assert [path.name for path in disk.iterdir()] == ["filler"]
    out, err = capfd.readouterr()
    assert "No space left on device" in err
    assert "TTFT" in out

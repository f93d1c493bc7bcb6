"""A run on disk, as JSON lines: the first says what was run and where, then one event a line."""

import gzip
import io
import tempfile
import zlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from engine.errors import BadInput
from engine.events import Connected, Event
from engine.files import contents, reason, write_whole
from engine.scenario import Scenario

VERSION = 1
MOST_BYTES = 64_000_000  # of events, as JSON lines: about 400,000, which take some ten times as much memory


class Log(msgspec.Struct, frozen=True):
    """A scenario and its events in order of time. `machine`: where it ran; `recorded_at`: when (UTC, ISO 8601)."""

    scenario: Scenario
    events: tuple[Event, ...] = ()
    machine: str = ""
    recorded_at: str = ""


class _Header(msgspec.Struct, frozen=True):
    version: int
    scenario: Scenario
    machine: str = ""
    recorded_at: str = ""


_encoder = msgspec.json.Encoder()
_header = msgspec.json.Decoder(_Header)
_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def seen_from_outside(log: Log) -> Connected | None:
    """The server that a client's log is about, whose deployment is unknown; None for a log of an engine."""
    return next((event for event in log.events if isinstance(event, Connected)), None)


def in_order(events: Sequence[Event]) -> tuple[Event, ...]:
    """Sorted by time; simultaneous events keep their order."""
    return tuple(sorted(events, key=lambda event: event.t))


def dump(log: Log) -> bytes:
    """The log as JSON lines, UTF-8."""
    header = _Header(VERSION, log.scenario, log.machine, log.recorded_at)
    return b"".join(_encoder.encode(line) + b"\n" for line in (header, *log.events))


def parse(data: bytes, name: str = "log") -> Log:
    """The log in JSON lines (gzipped or not). Raises BadInput naming the line that is wrong."""
    try:
        # no more is unpacked than is allowed: a megabyte of zeros packs a gigabyte
        whole = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MOST_BYTES + 1) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as broken:
        raise BadInput(name, "broken gzip data", "a recording made by --record") from broken
    if len(whole) > MOST_BYTES:
        raise BadInput(name, "longer", f"at most {MOST_BYTES // 1_000_000} MB of events, unpacked")
    lines = whole.splitlines()
    if not lines:
        raise BadInput(name, "empty", "a recording made by --record")
    number = 1
    try:
        header = _header.decode(lines[0])
        events: list[Event] = []
        for number, line in enumerate(lines[1:], start=2):  # noqa: B007 (named in the error)
            events.append(_event.decode(line))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise BadInput(f"{name} line {number}", _short(wrong), "a line of a recording made by --record") from wrong
    if header.version != VERSION:
        raise BadInput(f"{name} version", header.version, f"{VERSION}")
    try:
        datetime.fromisoformat(header.recorded_at or "2026-01-01")
    except ValueError as wrong:
        allowed = "a date and time, as 2026-01-01T12:00:00+00:00"
        raise BadInput(f"{name} recorded at", header.recorded_at, allowed) from wrong
    return Log(header.scenario, in_order(events), header.machine, header.recorded_at)


def save(log: Log, path: str | Path) -> None:
    """Write the log, all of it or nothing; a name that ends in .gz is compressed. Raises BadInput if that fails."""
    data = dump(log)
    can_be_saved(Path(path))
    try:
        write_whole(Path(path), gzip.compress(data, mtime=0) if str(path).endswith(".gz") else data)
    except OSError as why:
        raise BadInput("record", str(path), f"a file that can be written ({why.strerror})") from why


def can_be_saved(path: Path) -> None:
    """Raises BadInput where a log could not be written to `path`; to be asked before a long run."""
    try:
        if not path.parent.is_dir():
            raise BadInput("record", str(path), "in a folder that exists")
        if path.exists() and not path.is_file():  # a device or a pipe would be replaced by a file
            raise BadInput("record", str(path), "a file")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except (OSError, ValueError) as why:
        raise BadInput("record", str(path), f"a file that can be written ({_short(why)})") from why


def load(path: str | Path, field: str = "log", allowed: str = "a file that can be read") -> Log:
    """Read a log. Raises BadInput if the file cannot be read or is not a log."""
    try:
        data = contents(Path(path), MOST_BYTES)
    except OSError as wrong:
        raise BadInput(field, str(path), f"{allowed} ({reason(wrong)})") from wrong
    return parse(data, str(path))


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:120]

"""The road between two hosts, measured: real bytes over one TCP stream each way, and how long one small word takes.

    caller                                   server
    joins the door, proves the key       <->
    "ping"                                -> "ping"      (PINGS times; the quickest counts)
    "take", pieces, an empty message      -> how many bytes came
    "send", for how long, how many        -> pieces, an empty message
    hangs up

One stream, as a KV path of the TCP transport has. Bounded by bytes and by time on both sides: a peer that is silent for
PATIENCE_S is given up. The bytes are random, so nothing on the way can shrink them; nobody keeps them.
"""

import os
import socket
import struct
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import Empty
from typing import TypeAlias

import msgspec

from engine.errors import TransportFailed
from engine.live.process.join_server import Door, join, shared_key

PIECE_BYTES = 1 << 22
MOST_BYTES = 4 << 30  # each way
MOST_SECONDS = 10.0
SECONDS = 2.0  # each way, unless MOST_BYTES are through sooner
PATIENCE_S = 10.0
WAIT_S = 600.0  # for the other host to call
PINGS = 32
PING, TAKE, SEND, OVER = b"ping", b"take", b"send", b""
COUNT, HOW_MUCH = struct.Struct("!Q"), struct.Struct("!dQ")
WORD_BYTES = 64  # no word is longer

Road: TypeAlias = "Connection[bytes, bytes]"  # a string: it cannot be subscripted at run time


class HostsLink(msgspec.Struct, frozen=True):
    """`sent_bytes_per_s` from here to `peer`, `received_bytes_per_s` back; `bytes` both ways together."""

    peer: str
    round_trip_s: float
    sent_bytes_per_s: float
    received_bytes_per_s: float
    bytes: int


def measure(address: tuple[str, int], *, seconds: float = SECONDS, most_bytes: int = MOST_BYTES) -> HostsLink:
    """Measure the road to the host that serves at `address`. Raises BadInput without a key, else TransportFailed."""
    peer = f"{address[0]}:{address[1]}"
    road, _ = join(address, shared_key(), patience_s=PATIENCE_S)
    with road:
        _be_patient(road)
        try:
            round_trip_s = min(_ping(road) for _ in range(PINGS))
            began = time.perf_counter()
            road.send_bytes(TAKE)
            sent = _send(road, seconds, most_bytes)
            (arrived,) = COUNT.unpack(road.recv_bytes(WORD_BYTES))
            sent_s = time.perf_counter() - began
            road.send_bytes(SEND + HOW_MUCH.pack(seconds, most_bytes))
            began = time.perf_counter()
            received = _receive(road)
            received_s = time.perf_counter() - began
        except (OSError, EOFError, struct.error) as gone:
            raise TransportFailed(f"{peer} hung up or fell silent while it was measured: {gone!r}.") from gone
    if arrived != sent:
        raise TransportFailed(f"{peer} got {arrived:,} of {sent:,} bytes.")
    return HostsLink(peer, round_trip_s, sent / sent_s, received / received_s, sent + received)


def serve(port: int, *, host: str = "", wait_s: float = WAIT_S, ready: Callable[[int], None] | None = None) -> None:
    """Answer one caller on `port`, then return. `ready` is told the port once it is open.

    Raises BadInput without a key or for a port that is taken, TransportFailed if nobody calls within `wait_s`.
    """
    door = Door((host, port), shared_key())
    try:
        if ready:
            ready(door.address[1])
        road = door.newcomers.get(timeout=wait_s)
    except Empty:
        raise TransportFailed(f"Nobody has called within {wait_s:g} s.") from None
    finally:
        door.close()
    with road:
        _be_patient(road)
        try:
            _answer(road)
        except EOFError:
            return  # the caller has what it wanted
        except (OSError, struct.error) as gone:
            raise TransportFailed(f"The caller fell silent or talks nonsense: {gone!r}.") from gone


def _answer(road: Road) -> None:
    while True:
        word = road.recv_bytes(WORD_BYTES)
        if word == PING:
            road.send_bytes(PING)
        elif word == TAKE:
            road.send_bytes(COUNT.pack(_receive(road)))
        elif word.startswith(SEND):
            seconds, most_bytes = HOW_MUCH.unpack(word[len(SEND) :])
            _send(road, min(seconds, MOST_SECONDS), min(most_bytes, MOST_BYTES))
        else:
            raise OSError(f"{word!r} is no request")


def _ping(road: Road) -> float:
    began = time.perf_counter()
    road.send_bytes(PING)
    road.recv_bytes(WORD_BYTES)
    return time.perf_counter() - began


def _send(road: Road, seconds: float, most_bytes: int) -> int:
    """Pieces until time or bytes are up, at least one; how many bytes."""
    piece, sent, until = os.urandom(min(PIECE_BYTES, most_bytes)), 0, time.perf_counter() + seconds
    while not sent or (time.perf_counter() < until and sent + len(piece) <= most_bytes):
        road.send_bytes(piece)
        sent += len(piece)
    road.send_bytes(OVER)
    return sent


def _receive(road: Road) -> int:
    """Pieces until the empty message; how many bytes."""
    buffer, received = bytearray(PIECE_BYTES), 0
    while size := road.recv_bytes_into(buffer):
        received += size
        if received > MOST_BYTES:
            raise OSError(f"it sends more than {MOST_BYTES:,} bytes")
    return received


def _be_patient(road: Road) -> None:
    """A read or write that stands still for PATIENCE_S fails."""
    limit = struct.pack("ll", int(PATIENCE_S), 0)  # a timeval
    with socket.socket(fileno=os.dup(road.fileno())) as same:
        for side in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            same.setsockopt(socket.SOL_SOCKET, side, limit)

"""Measure the network between two hosts: real bytes over one TCP stream each way, and one small message's round trip.

    caller                                   server
    connects, proves the key         <->
    "ping"                                -> "ping"      (PINGS times; the quickest counts)
    "take", pieces, an empty message      -> how many bytes came
    "send", for how long, how many        -> pieces, an empty message
    hangs up

One stream, as a KV path of the TCP transport uses. Both sides limit bytes and time, and give up a peer that is silent
for PATIENCE_S. The bytes are random, so nothing on the way can compress them; nobody keeps them.
"""

import os
import struct
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import Empty
from typing import TypeAlias

import msgspec

from engine.errors import TransportFailed
from engine.live.process.join_server import JoinServer, join, limit_silence, shared_key

PIECE_BYTES = 1 << 22
MOST_BYTES = 4 << 30  # each way
MOST_SECONDS = 10.0
SECONDS = 2.0  # each way, unless MOST_BYTES have passed sooner
PATIENCE_S = 10.0
WAIT_S = 600.0  # for the other host to connect
PINGS = 32
PING, TAKE, SEND, OVER = b"ping", b"take", b"send", b""
COUNT, HOW_MUCH = struct.Struct("!Q"), struct.Struct("!dQ")
WORD_BYTES = 64  # no word is longer

Stream: TypeAlias = "Connection[bytes, bytes]"  # a string: it cannot be subscripted at run time


class HostsLink(msgspec.Struct, frozen=True):
    """`sent_bytes_per_s` from here to `peer`, `received_bytes_per_s` back; `bytes` moved, both ways together."""

    peer: str
    round_trip_s: float
    sent_bytes_per_s: float
    received_bytes_per_s: float
    bytes: int


def measure(address: tuple[str, int], *, seconds: float = SECONDS, most_bytes: int = MOST_BYTES) -> HostsLink:
    """Measure the network to the host that serves at `address`. Raises BadInput without a key, or TransportFailed."""
    peer = f"{address[0]}:{address[1]}"
    stream, _ = join(address, shared_key(), patience_s=PATIENCE_S)
    with stream:
        limit_silence(stream, PATIENCE_S)
        try:
            round_trip_s = min(_ping(stream) for _ in range(PINGS))
            began = time.perf_counter()
            stream.send_bytes(TAKE)
            sent = _send(stream, seconds, most_bytes)
            (arrived,) = COUNT.unpack(stream.recv_bytes(WORD_BYTES))
            sent_s = time.perf_counter() - began
            stream.send_bytes(SEND + HOW_MUCH.pack(seconds, most_bytes))
            began = time.perf_counter()
            received = _receive(stream)
            received_s = time.perf_counter() - began
        except (OSError, EOFError, struct.error) as gone:
            raise TransportFailed(f"{peer} hung up or fell silent during the measurement: {gone!r}.") from gone
    if arrived != sent:
        raise TransportFailed(f"{peer} got {arrived:,} of {sent:,} bytes.")
    return HostsLink(peer, round_trip_s, sent / sent_s, received / received_s, sent + received)


def serve(port: int, *, host: str = "", wait_s: float = WAIT_S, ready: Callable[[int], None] | None = None) -> None:
    """Answer one caller on `port`, then return. `ready` is called with the port once it is open.

    Raises BadInput without a key or if the port is taken, TransportFailed if nobody connects within `wait_s`.
    """
    server = JoinServer((host, port), shared_key())
    try:
        if ready:
            ready(server.address[1])
        stream = server.joined.get(timeout=wait_s)
    except Empty:
        raise TransportFailed(f"Nobody has connected within {wait_s:g} s.") from None
    finally:
        server.close()
    with stream:
        limit_silence(stream, PATIENCE_S)
        try:
            _answer(stream)
        except EOFError:
            return  # the caller has what it wanted
        except (OSError, struct.error) as gone:
            raise TransportFailed(f"The caller fell silent or sent an unknown request: {gone!r}.") from gone


def _answer(stream: Stream) -> None:
    while True:
        word = stream.recv_bytes(WORD_BYTES)
        if word == PING:
            stream.send_bytes(PING)
        elif word == TAKE:
            stream.send_bytes(COUNT.pack(_receive(stream)))
        elif word.startswith(SEND):
            seconds, most_bytes = HOW_MUCH.unpack(word[len(SEND) :])
            _send(stream, min(seconds, MOST_SECONDS), min(most_bytes, MOST_BYTES))
        else:
            raise OSError(f"{word!r} is no request")


def _ping(stream: Stream) -> float:
    began = time.perf_counter()
    stream.send_bytes(PING)
    stream.recv_bytes(WORD_BYTES)
    return time.perf_counter() - began


def _send(stream: Stream, seconds: float, most_bytes: int) -> int:
    """Send pieces, at least one, until time or bytes run out; returns how many bytes."""
    piece, sent, until = os.urandom(min(PIECE_BYTES, most_bytes)), 0, time.perf_counter() + seconds
    while not sent or (time.perf_counter() < until and sent + len(piece) <= most_bytes):
        stream.send_bytes(piece)
        sent += len(piece)
    stream.send_bytes(OVER)
    return sent


def _receive(stream: Stream) -> int:
    """Receive pieces until the empty message; returns how many bytes."""
    buffer, received = bytearray(PIECE_BYTES), 0
    while size := stream.recv_bytes_into(buffer):
        received += size
        if received > MOST_BYTES:
            raise OSError(f"it sends more than {MOST_BYTES:,} bytes")
    return received

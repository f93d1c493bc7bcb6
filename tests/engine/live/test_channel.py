"""A worker's sign of life never waits, or the thread that sends it would read no more."""

import socket
from multiprocessing.connection import Connection, Pipe

import msgspec

from engine.live.process.channel import Channel
from engine.messages import Dropped, Pong


def test_it_is_sent_where_there_is_room() -> None:
    front, worker = Pipe()
    Channel(worker).answer(Pong(1.0))
    assert msgspec.msgpack.decode(front.recv_bytes(), type=Pong) == Pong(1.0)


def test_it_is_left_out_where_the_front_has_much_to_read() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    try:
        while True:
            theirs.send(bytes(1 << 16))
    except BlockingIOError:
        theirs.setblocking(True)
    Channel(Connection(theirs.detach())).answer(Pong(1.0))  # returns
    ours.close()


def test_it_is_left_out_where_another_message_is_under_way() -> None:
    front, worker = Pipe()
    channel = Channel(worker)
    with channel._lock:
        channel.answer(Pong(1.0))  # returns
    channel.send(Dropped("r1"))
    assert msgspec.msgpack.decode(front.recv_bytes(), type=Dropped) == Dropped("r1")


def test_a_front_that_is_gone_is_no_error() -> None:
    front, worker = Pipe()
    front.close()
    Channel(worker).answer(Pong(1.0))

"""What one socket may say, and how long the lab waits for one that does not listen."""

import asyncio
import fcntl
import struct
import termios
import time
from contextlib import suppress
from typing import Any, NamedTuple

from starlette.types import Message, Receive, Send

POLICY_VIOLATION, TOO_BIG = 1008, 1009
STALLED_S = 20.0  # in which a socket takes nothing of what waits for it: nobody is there any more


class Limits(NamedTuple):
    """What one client may send on a socket."""

    message_bytes: int
    messages_per_s: int


OURS = Limits(512, 25)  # dragging the slider sends ten messages a second
STREAMLITS = Limits(1_000_000, 100)  # room for text that people paste; a click is one message


class LimitedSocket:
    """A socket that closes when its limits are exceeded; the app behind it then sees a disconnect."""

    def __init__(self, receive: Receive, send: Send, limits: Limits, stalled_s: float = STALLED_S) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        self._stalled_s = stalled_s
        self._transport: Any = getattr(getattr(send, "__self__", None), "transport", None)  # uvicorn's protocol has it
        self._closed = False
        self._second, self._count = 0.0, 0

    async def receive(self) -> Message:
        """The next message; one beyond the limits closes the socket."""
        message = await self._receive()
        if message["type"] != "websocket.receive" or not (code := self._objection(message)):
            return message
        await self.send({"type": "websocket.close", "code": code})
        return {"type": "websocket.disconnect", "code": code}

    async def send(self, message: Message) -> None:
        """Raises OSError, which Starlette takes for a disconnect, where nobody listens at the other end."""
        if self._closed:
            return
        self._closed = message["type"] == "websocket.close"
        waiting = None
        while True:
            try:
                async with asyncio.timeout(self._stalled_s):
                    await self._send(message)  # waits until there is room, and then writes all of it
                return
            except TimeoutError:
                before, waiting = waiting, self._waiting_bytes()
                if before is not None and waiting >= before:  # a slow one takes some of it
                    self._hang_up()
                    raise OSError("the other end of a socket takes nothing any more") from None

    def _waiting_bytes(self) -> int:
        """What the other end has not taken, here and in the kernel, whose buffer of megabytes hides a slow reader."""
        if self._transport is None:
            return 0
        here: int = self._transport.get_write_buffer_size()
        return here + _waiting_in_kernel(self._transport.get_extra_info("socket"))

    def _hang_up(self) -> None:
        """A polite close would wait behind all that was not taken."""
        self._closed = True
        if self._transport:
            self._transport.abort()

    def _objection(self, message: Message) -> int:
        """The code to close with, or 0."""
        now_s = time.monotonic()
        if now_s - self._second >= 1:
            self._second, self._count = now_s, 0
        self._count += 1
        if self._count > self._limits.messages_per_s:
            return POLICY_VIOLATION
        said = message.get("bytes") or (message.get("text") or "").encode()
        return TOO_BIG if len(said) > self._limits.message_bytes else 0


def _waiting_in_kernel(end: Any) -> int:
    with suppress(OSError, AttributeError, ValueError):  # closed by now
        said = fcntl.ioctl(end.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        return int(struct.unpack("i", said)[0])
    return 0

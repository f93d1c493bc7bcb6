"""Sends requests to a front's vLLM servers from a thread of its own, and tells as raw lines what a client sees."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress

from engine.client.answer import NoAnswer
from engine.client.split import open_client, pieces
from engine.request import Request
from engine.vllm.raw import SAID_BY_CLIENT, Raw, Unanswered
from engine.vllm.servers import SERVED


class Sender:
    """`tell` is called on the sender's thread. `sockets`: the servers', by name."""

    def __init__(self, sockets: Mapping[str, str], tell: Callable[[Raw], None]) -> None:
        self._tell = tell
        self._client = open_client(sockets)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vLLM client", daemon=True)
        self._thread.start()
        self._under_way: dict[str, Future[None]] = {}

    def send(self, request: Request, prefill: str, decode: str) -> None:
        """Send it to the servers of these names; `prefill` "": the other does both."""
        task = asyncio.run_coroutine_threadsafe(self._send(request, prefill, decode), self._loop)
        self._under_way[request.id] = task
        task.add_done_callback(lambda ended: self._ended(request.id, ended))

    def _ended(self, request: str, task: "Future[None]") -> None:
        self._under_way.pop(request, None)
        if not task.cancelled() and (wrong := task.exception()) is not None:
            why = str(wrong) if isinstance(wrong, NoAnswer) else f"{type(wrong).__name__}: {wrong}"
            self._tell(Unanswered(t=time.monotonic(), w=SAID_BY_CLIENT, r=request, why=why))

    def cancel(self, request: str) -> None:
        """Hang up; vLLM then ends the request."""
        if task := self._under_way.get(request):
            task.cancel()

    def close(self) -> None:
        """Hang up all."""
        for task in list(self._under_way.values()):
            task.cancel()
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._client.aclose(), self._loop).result(5.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        if not self._thread.is_alive():
            self._loop.close()

    async def _send(self, request: Request, prefill: str, decode: str) -> None:
        first = f"http://{prefill}" if prefill else ""
        async for _ in pieces(self._client, first, f"http://{decode}", SERVED, request, lambda: None):
            pass  # the engine tells the tokens itself

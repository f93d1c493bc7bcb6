"""A small real server that speaks the OpenAI protocol over a socket, and does as it is told: also the wrong thing.

A prompt's first word decides what becomes of it: "cut" ends the stream half way, "refuse" is HTTP 500, "garble" sends
no JSON, "bundle" sends two tokens a piece; anything else is answered well. What is set as `plays` is sent instead.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ssl import SSLContext
from typing import Any

from tests.patience import PATIENCE_S

WORDS = ("One", " two", " three", " four", " five", " six", " seven", " eight")
PROMPT_TOKENS = 99  # as this server counts
KEY = "a-key"


class Server:
    def __init__(self, owner: str, key: str, usage: bool) -> None:
        self.owner, self.key, self.usage = owner, key, usage
        self.asked: list[dict[str, Any]] = []
        self.open = self.most_open = 0
        self.url = ""
        self.plays, self.kind = b"", "text/event-stream"
        self.status, self.more, self.at_once = 200, "", 1 << 20  # of what is played: header lines, bytes in a write
        self.models: tuple[int, object] = (200, {"data": [{"id": "one", "owned_by": owner, "max_model_len": 500}]})
        self.targets: list[str] = []
        self.logins: list[str] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                await self._answer(writer, head.split()[1], fields, json.loads(body or b"{}"))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, writer: asyncio.StreamWriter, path: str, fields: dict[str, str], body: dict[str, Any]
    ) -> None:
        self.targets.append(path)
        self.logins.append(fields.get("authorization", ""))
        path = path.partition("?")[0]
        if self.key and fields.get("authorization") != f"bearer {self.key}":
            return self._say(writer, 401, {"error": {"message": "no"}})
        if path == "/v1/models":
            return self._say(writer, *self.models)
        if path not in ("/v1/chat/completions", "/v1/completions"):
            return self._say(writer, 404, {"detail": "Not Found"})
        self.asked.append(body)
        if self.plays:
            about = f"Content-Type: {self.kind}\r\nContent-Length: {len(self.plays)}\r\n{self.more}"
            writer.write(f"HTTP/1.1 {self.status} Played\r\n{about}\r\n".encode())
            for at in range(0, len(self.plays), self.at_once):
                writer.write(self.plays[at : at + self.at_once])
                await writer.drain()
            return None
        chat = path.startswith("/v1/chat")
        words = body["messages"][0]["content"] if chat else body["prompt"]
        mood = words.split()[0]
        if mood == "refuse":
            return self._say(writer, 500, {"error": {"message": "out of pans"}})
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await self._stream(writer, body, chat, mood)
        self.open -= 1

    async def _stream(self, writer: asyncio.StreamWriter, body: dict[str, Any], chat: bool, mood: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        wanted, step = body["max_tokens"], 2 if mood == "bundle" else 1
        for made in range(step, wanted + 1, step):
            text = "".join(WORDS[n % len(WORDS)] for n in range(made - step, made))
            end = "length" if made >= wanted else None
            said = {"delta": {"content": text}} if chat else {"text": text}
            chunk: dict[str, Any] = {"choices": [{"index": 0, **said, "finish_reason": end}]}
            if body["stream_options"].get("continuous_usage_stats"):
                chunk["usage"] = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": made}
            self._piece(writer, "garbled" if mood == "garble" else json.dumps(chunk))
            await writer.drain()
            await asyncio.sleep(0.002)  # a pace at which pieces come one by one
            if mood == "cut" and made >= wanted // 2:
                writer.close()
                return
        if self.usage:
            usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": wanted}
            self._piece(writer, json.dumps({"choices": [], "usage": usage}))
        self._piece(writer, "[DONE]")
        writer.write(b"0\r\n\r\n")

    @staticmethod
    def _piece(writer: asyncio.StreamWriter, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")

    @staticmethod
    def _say(writer: asyncio.StreamWriter, status: int, said: object) -> None:
        body = json.dumps(said).encode()
        head = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)


@contextmanager
def openai_like(
    owner: str = "somebody", key: str = "", usage: bool = True, host: str = "127.0.0.1", tls: SSLContext | None = None
) -> Iterator[Server]:
    """The server, up, in a thread of its own."""
    server, loop, up = Server(owner, key, usage), asyncio.new_event_loop(), threading.Event()

    async def main() -> None:
        async with await asyncio.start_server(server.serve, host, 0, ssl=tls) as listening:
            named = f"[{host}]" if ":" in host else host
            server.url = f"http{'s' if tls else ''}://{named}:{listening.sockets[0].getsockname()[1]}"
            up.set()
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert up.wait(PATIENCE_S)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()

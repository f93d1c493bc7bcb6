"""One request's answer as it streams in, from servers of many kinds. An error inside an HTTP 200 is still an error.

Read with httpx2's bounded reader of server-sent events. Null and unneeded fields are skipped. An event that reports a
failure, or a stream that says nothing, raises `NoAnswer` with one sentence.
"""

import asyncio
import errno
import math
import resource
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import httpx2
import msgspec

from engine.errors import EngineError

CONNECT_S = 10.0
SILENCE_S = 300.0  # a server that is silent for this long has given up
DRAIN_S = 1.0  # wait this long for a stream to close after its last event: its connection can then be reused
FAILED = ("error", "abort")  # finish reasons that mean a failure
MOST_SAID = 10_000  # bytes of an error message that are read
BYTE_ORDER_MARK = "\ufeff"


class NoAnswer(EngineError):
    """One request was refused, or its answer broke off: why, in one sentence."""


class Heard(msgspec.Struct, frozen=True):
    """One chunk of an answer. `counts`: (prompt, output) tokens so far by the server's own count, if it sends one.

    `output_tokens`: the output count, only if it came with a chunk of the answer and not in the final usage chunk.
    """

    text: str = ""
    counts: tuple[int, int] | None = None
    output_tokens: int | None = None
    end: str = ""


async def answer(
    client: httpx2.AsyncClient, url: httpx2.URL, body: dict[str, Any], headers: Mapping[str, str] | None = None
) -> AsyncIterator[Heard]:
    """The chunks of one answer, as they arrive. Raises NoAnswer if the request fails or the stream breaks off."""
    ended = said = False
    try:
        async with client.stream(
            "POST", url, json=body, headers={"Accept": "text/event-stream"} | dict(headers or {})
        ) as response:
            await _accepted(response)
            events = aiter(httpx2.EventSource(_Whole(response)))  # type: ignore[arg-type]  # all that it uses
            async for event in events:
                if event.data.strip() == "[DONE]":
                    ended = True
                    with suppress(TimeoutError):
                        async with asyncio.timeout(DRAIN_S):
                            async for _ in events:
                                pass
                    break
                if (heard := _heard(event.event, event.data)) is not None:
                    ended = ended or bool(heard.end)
                    said = said or bool(heard.text) or heard.counts is not None
                    yield heard
    except (httpx2.HTTPError, httpx2.StreamError, UnicodeError) as broken:
        raise NoAnswer(_why(broken)) from broken
    if not ended:
        raise NoAnswer("The stream stopped before the answer had ended.")
    if not said:
        raise NoAnswer("The stream ended without a token, and without a count of tokens.")


def _why(broken: Exception) -> str:
    if _out_of_files(broken):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return f"This machine opens no more connections: a process may have {most:,} files open."
    if isinstance(broken, httpx2.ConnectTimeout):
        return f"The server took no connection within {CONNECT_S:g} s."
    if isinstance(broken, httpx2.TimeoutException):
        return f"The server said nothing for {SILENCE_S:g} s."
    return f"The connection broke off ({short(broken)})."


def _out_of_files(error: BaseException | None) -> bool:
    """Whether this process has run out of file descriptors, one of which each connection needs."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__ or error.__context__
    return False


class _Whole:
    """A response without a byte order mark, which would hide the first event, and with a blank line after the last."""

    def __init__(self, response: httpx2.Response) -> None:
        self.headers, self.request = response.headers, response.request
        self._response = response

    async def aiter_text(self) -> AsyncIterator[str]:
        first = True
        async for text in self._response.aiter_text():
            yield text.removeprefix(BYTE_ORDER_MARK) if first else text
            first = first and not text
        yield "\n\n"


async def _accepted(response: httpx2.Response) -> None:
    """Raises NoAnswer if the response is not an event stream."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status_code == 200 and kind == "text/event-stream":
        return
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MOST_SAID:
            break
    why = _refusal(body[:MOST_SAID])
    if response.status_code != 200:
        raise NoAnswer(f"The server refused it: HTTP {response.status_code}{f', {why}' if why else ''}.")
    if b'"choices"' in body:
        raise NoAnswer("The server sent its whole answer at once, not as a stream: nobody can time its tokens.")
    raise NoAnswer(f"The server sent {kind or 'no content type'}, not an event stream{f': {why}' if why else ''}.")


def _refusal(body: bytes) -> str:
    try:
        return message(msgspec.json.decode(body))
    except (msgspec.DecodeError, RecursionError):
        return body.decode("utf-8", "replace").strip().splitlines()[0][:200] if body.strip() else ""


def _heard(kind: str, data: str) -> Heard | None:
    """None for a keep-alive, an event without data."""
    if kind == "error":
        raise NoAnswer(f"The server gave up half way: {_refusal(data.encode()) or 'without saying why'}.")
    if not data.strip():
        return None
    try:
        chunk = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise NoAnswer(f"The server sent something that is not a chunk of an answer ({short(wrong)}).") from wrong
    if not isinstance(chunk, dict) or not chunk.keys() & {"choices", "usage", "error", "detail", "object"}:
        raise NoAnswer("The server sent something that is not a chunk of an answer (neither choices nor usage).")
    choice = _first(chunk.get("choices"))
    if chunk.get("error") or chunk.get("object") == "error" or not chunk.keys() & {"choices", "usage"}:
        raise NoAnswer(f"The server gave up half way: {message(chunk)}.")
    if choice.get("error") or choice.get("finish_reason") in FAILED:
        why = message(choice["error"]) if choice.get("error") else f"it ends with {choice['finish_reason']}"
        raise NoAnswer(f"The server gave up half way: {why}.")
    counts = _counts(chunk.get("usage"))
    if not choice:
        return Heard(counts=counts)
    end = choice.get("finish_reason")
    return Heard(_text(choice), counts, counts[1] if counts else None, end if isinstance(end, str) else "")


def _first(choices: object) -> dict[str, Any]:
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _text(choice: dict[str, Any]) -> str:
    delta = choice.get("delta")
    said = delta if isinstance(delta, dict) else {}
    parts = (choice.get("text"), said.get("content"), said.get("reasoning_content"), said.get("reasoning"))
    return next((text for text in map(_words, parts) if text), "")


def _words(content: object) -> str:
    """Some servers send a list of parts."""
    if isinstance(content, list):
        return "".join(_words(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _counts(usage: object) -> tuple[int, int] | None:
    if not isinstance(usage, dict):
        return None
    prompt, output = (_whole(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    return None if output is None else (prompt or 0, output)


def _whole(number: object) -> int | None:
    """Some servers count in floats."""
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number) or number < 0:
        return None
    return int(number)


def message(said: object) -> str:
    """The error message in a decoded JSON body; servers put it at different depths."""
    while isinstance(said, dict):
        said = said.get("error") or said.get("message") or said.get("detail")
    return str(said or "without saying why").rstrip(".")[:300]


def short(error: Exception) -> str:
    """The first line of an exception's message, or its type's name."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200] or type(error).__name__

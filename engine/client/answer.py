"""One request's answer as it streams in, from servers of many kinds. A failure inside a good HTTP answer is a failure.

Read with httpx2's bounded reader of server-sent events. Fields that are null, or of a kind that nobody here needs, are
passed over; what says that the server failed, or says nothing at all, raises `NoAnswer` with one sentence.
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
SILENCE_S = 300.0  # a server that says nothing for so long has given up
DRAIN_S = (
    1.0  # for the end of a stream after its last event; a stream that is read to its end leaves its connection open
)
FAILED = ("error", "abort")  # ways to finish that are none
MOST_SAID = 10_000  # bytes of a refusal that are read
BYTE_ORDER_MARK = "\ufeff"


class NoAnswer(EngineError):
    """One request was refused, or its answer broke off: why, in one sentence."""


class Heard(msgspec.Struct, frozen=True):
    """One piece of an answer. `counts`: the server's own (prompt, output) tokens up to here, if it says them.

    `output_tokens`: the same, in a piece of the answer itself, not in the sum that is sent after it.
    """

    text: str = ""
    counts: tuple[int, int] | None = None
    output_tokens: int | None = None
    end: str = ""


async def answer(
    client: httpx2.AsyncClient, url: httpx2.URL, body: dict[str, Any], headers: Mapping[str, str] | None = None
) -> AsyncIterator[Heard]:
    """The pieces of one answer, as they come. Raises NoAnswer."""
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
    """Whether the fault is ours: a connection is an open file, and no more may be opened here."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__ or error.__context__
    return False


class _Whole:
    """A response without a byte order mark, which would hide the first event, and with an empty line after the last."""

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
    """Raises NoAnswer for what is no stream of events."""
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
    raise NoAnswer(f"The server sent no stream of events but {kind or 'something unnamed'}{f': {why}' if why else ''}.")


def _refusal(body: bytes) -> str:
    try:
        return message(msgspec.json.decode(body))
    except (msgspec.DecodeError, RecursionError):
        return body.decode("utf-8", "replace").strip().splitlines()[0][:200] if body.strip() else ""


def _heard(kind: str, data: str) -> Heard | None:
    """None: an event that says nothing, as a sign of life."""
    if kind == "error":
        raise NoAnswer(f"The server gave up half way: {_refusal(data.encode()) or 'without saying why'}.")
    if not data.strip():
        return None
    try:
        chunk = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as wrong:
        raise NoAnswer(f"The server sent what is no chunk of an answer ({short(wrong)}).") from wrong
    if not isinstance(chunk, dict) or not chunk.keys() & {"choices", "usage", "error", "detail", "object"}:
        raise NoAnswer("The server sent what is no chunk of an answer (it has neither choices nor usage).")
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
    """Servers put it at different depths."""
    while isinstance(said, dict):
        said = said.get("error") or said.get("message") or said.get("detail")
    return str(said or "without saying why").rstrip(".")[:300]


def short(error: Exception) -> str:
    """The first line of an exception's message, or its type's name."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200] or type(error).__name__

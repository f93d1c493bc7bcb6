"""One OpenAI-compatible server: who answers there, and one request's answer as it streams in.

Spoken with httpx2, whose reader of server-sent events is bounded. Errors become one sentence: `BadInput` while nothing
has been sent, `NoAnswer` for one request of many.
"""

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

import httpx2
import msgspec

from engine.errors import BadInput, EngineError
from engine.request import Request
from engine.scenario import one_of

KEY_VARIABLE = "SPLIT_KITCHEN_API_KEY"  # not a flag: command lines are seen by everyone on the machine
APIS = ("chat", "completions")
PATHS = {"chat": "/chat/completions", "completions": "/completions"}
COUNTING = (
    "vllm",
    "sglang",
    "nvidia",
)  # whose servers count in every chunk if asked; others refuse what they don't know
CONNECT_S = 10.0
SILENCE_S = 300.0  # a server that says nothing for so long has given up

Api = Literal["chat", "completions"]


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


class Endpoint(msgspec.Struct, frozen=True):
    """`url` is the base that paths are put behind. `context_tokens` 0: the server does not say."""

    url: str
    model: str
    api: Api = "chat"
    owner: str = ""
    context_tokens: int = 0

    def stream(self, client: httpx2.AsyncClient, asked: Request, *, ignore_eos: bool) -> AsyncIterator[Heard]:
        return _answer(client, self.url + PATHS[self.api], self._body(asked, ignore_eos))

    @property
    def counts_as_it_goes(self) -> bool:
        return self.owner in COUNTING

    def _body(self, asked: Request, ignore_eos: bool) -> dict[str, Any]:
        words = {"messages": [{"role": "user", "content": asked.prompt}]} if self.api == "chat" else {}
        sampling = asked.sampling
        return {
            "model": self.model,
            **(words or {"prompt": asked.prompt}),
            "max_tokens": asked.max_output_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "stream": True,
            "stream_options": {"include_usage": True}
            | ({"continuous_usage_stats": True} if self.counts_as_it_goes else {}),
            **({"ignore_eos": True} if ignore_eos else {}),
        }


def open_client() -> httpx2.AsyncClient:
    """As many connections as requests are open: a client that queues would measure its own queue."""
    key = os.environ.get(KEY_VARIABLE)
    return httpx2.AsyncClient(
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=httpx2.Timeout(SILENCE_S, connect=CONNECT_S),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
    )


async def find(client: httpx2.AsyncClient, url: str, served_model: str, api: str) -> Endpoint:
    """Ask the server what it serves. `served_model` "": the only one. Raises BadInput."""
    one_of("api", api, APIS)
    base = _base(url)
    try:
        answer = await client.get(f"{base}/models")
    except httpx2.HTTPError as nobody:
        raise BadInput("endpoint", url, f"a server that answers ({_short(nobody)})") from nobody
    if answer.status_code in (401, 403):
        said = "of a key that this server takes" if os.environ.get(KEY_VARIABLE) else "set: this server wants a key"
        raise BadInput(KEY_VARIABLE, f"HTTP {answer.status_code}", said)
    try:
        models = msgspec.json.decode(answer.content, type=_Models).data if answer.status_code == 200 else []
    except msgspec.DecodeError:
        models = []
    if not models:
        allowed = f"the base of an OpenAI-compatible API that serves a model, as http://HOST:8000/v1 ({base}/models "
        raise BadInput("endpoint", url, f"{allowed}answered HTTP {answer.status_code} without any)")
    names = tuple(model.id for model in models)
    if not served_model and len(names) > 1:
        raise BadInput("served model", served_model, f"one of {', '.join(names)}")
    one_of("served model", served_model or names[0], names)
    model = models[names.index(served_model or names[0])]
    return Endpoint(base, model.id, api, model.owned_by, model.max_model_len or 0)  # type: ignore[arg-type]  # `one_of`


def _base(url: str) -> str:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = httpx2.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadInput("endpoint", url, "a URL, as http://HOST:8000/v1")
    return url.rstrip("/") if parsed.path.strip("/") else url.rstrip("/") + "/v1"


async def _answer(client: httpx2.AsyncClient, url: str, body: dict[str, Any]) -> AsyncIterator[Heard]:
    """The pieces of one answer, as they come. Raises NoAnswer."""
    asking: AbstractAsyncContextManager[Any] = client.sse(url, method="POST", json=body)
    ended = False
    try:
        async with asking as source:
            if source.response.status_code != 200:
                raise NoAnswer(await _refusal(source.response))
            async for event in source:
                if event.data == "[DONE]":
                    ended = True
                    break
                heard = _heard(event.data)
                ended = ended or bool(heard.end)
                yield heard
    except httpx2.TimeoutException as silent:
        raise NoAnswer(f"The server said nothing for {SILENCE_S:g} s.") from silent
    except httpx2.HTTPError as broken:
        raise NoAnswer(f"The connection broke off ({_short(broken)}).") from broken
    if not ended:
        raise NoAnswer("The stream stopped before the answer had ended.")


def _heard(data: str) -> Heard:
    try:
        chunk = msgspec.json.decode(data, type=_Chunk)
    except msgspec.DecodeError as wrong:
        raise NoAnswer(f"The server sent what is no chunk of an answer ({_short(wrong)}).") from wrong
    if chunk.error is not None:
        raise NoAnswer(f"The server gave up half way: {_message(chunk.error)}.")
    counts = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens) if chunk.usage else None
    if not chunk.choices:
        return Heard(counts=counts)
    choice = chunk.choices[0]
    said = choice.delta
    text = choice.text or said.content or said.reasoning_content or said.reasoning or ""
    return Heard(text, counts, counts[1] if counts else None, choice.finish_reason or "")


async def _refusal(response: Any) -> str:
    body = (await response.aread())[:10_000]
    try:
        said = _message(msgspec.json.decode(body))
    except msgspec.DecodeError:
        said = body.decode("utf-8", "replace").strip().splitlines()[0][:200] if body.strip() else ""
    return f"The server refused it: HTTP {response.status_code}{f', {said}' if said else ''}."


def _message(said: object) -> str:
    """Servers put it at different depths."""
    while isinstance(said, dict):
        said = said.get("error") or said.get("message") or said.get("detail")
    return str(said or "without saying why").rstrip(".")[:300]


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200] or type(error).__name__


# ---- what is read of the server's JSON


class _Model(msgspec.Struct):
    id: str
    owned_by: str = ""
    max_model_len: int | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(msgspec.Struct):
    text: str | None = None
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None

"""One answer from a prefill and a decode server: the client is the router, as vLLM's own proxies are.

The prefill server makes one token, which nobody uses, and says where its KV lies; the decode server pulls it.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import msgspec

from engine.client.answer import NoAnswer
from engine.request import Request

SILENCE_S = 600.0
KEEP_FOR_DECODE = {
    "do_remote_decode": True,
    "do_remote_prefill": False,
    "remote_engine_id": None,
    "remote_block_ids": None,
    "remote_host": None,
    "remote_port": None,
}


def open_client() -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx2.AsyncClient(timeout=SILENCE_S, limits=limits)


def healthy(url: str) -> bool:
    """Whether the server at `url` (scheme, host, port) says that it is."""
    try:
        return httpx2.get(f"{url}/health", timeout=5.0).status_code == 200
    except httpx2.HTTPError:
        return False


async def pieces(
    client: httpx2.AsyncClient, prefill: str, decode: str, model: str, asked: Request, prefilled: Callable[[], None]
) -> AsyncIterator[str]:
    """The answer's text as it streams in. `prefill` "": one server does both. Raises NoAnswer.

    `prefilled` is called when the prefill server has answered. The prompt goes as token ids, so both see the same.
    """
    body: dict[str, Any] = {
        "model": model,
        "prompt": list(asked.prompt_ids),
        "temperature": asked.sampling.temperature,
        "top_p": asked.sampling.top_p,
        "seed": asked.sampling.seed,
    }
    headers = {"X-Request-Id": asked.id}
    try:
        if prefill:
            first = body | {"max_tokens": 1, "kv_transfer_params": KEEP_FOR_DECODE}
            answer = await client.post(f"{prefill}/v1/completions", json=first, headers=headers)
            if answer.status_code != 200:
                raise NoAnswer(f"The prefill server refused it: HTTP {answer.status_code}, {answer.text[:200]}.")
            body["kv_transfer_params"] = answer.json().get("kv_transfer_params")
            prefilled()
        body |= {"max_tokens": asked.max_output_tokens, "ignore_eos": not asked.stop_ids, "stream": True}
        async with client.sse(f"{decode}/v1/completions", method="POST", json=body, headers=headers) as events:
            if events.response.status_code != 200:
                said = (await events.response.aread())[:200].decode("utf-8", "replace")
                raise NoAnswer(f"The server refused it: HTTP {events.response.status_code}, {said}.")
            async for event in events:
                if event.data == "[DONE]":
                    break
                yield _text(event.data)
    except httpx2.HTTPError as broken:
        raise NoAnswer(f"The connection broke off ({type(broken).__name__}: {broken}).") from broken


def _text(data: str) -> str:
    try:
        chunk = msgspec.json.decode(data, type=_Chunk)
    except msgspec.DecodeError as wrong:
        raise NoAnswer(f"The server sent what is not a chunk of an answer ({wrong}).") from wrong
    if chunk.error is not None:
        raise NoAnswer(f"The server gave up half way: {chunk.error}.")
    return chunk.choices[0].text if chunk.choices else ""


class _Choice(msgspec.Struct):
    text: str = ""


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    error: Any = None

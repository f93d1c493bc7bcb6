"""One answer from a prefill server and a decode server. The client routes, as vLLM's own proxies do.

The prefill server makes one token, which is discarded, and says where its KV is; the decode server pulls it.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx2

from engine.client.answer import SILENCE_S, NoAnswer, answer, message, short
from engine.request import Request

KEEP_FOR_DECODE = {
    "do_remote_decode": True,
    "do_remote_prefill": False,
    "remote_engine_id": None,
    "remote_block_ids": None,
    "remote_host": None,
    "remote_port": None,
}


def open_client(sockets: Mapping[str, str]) -> httpx2.AsyncClient:
    """A client for servers that we started on this host: http://NAME is the one that listens on the Unix socket
    `sockets[NAME]`. It sends no API key, and ignores proxy variables."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    ways = {f"all://{name}": httpx2.AsyncHTTPTransport(uds=path, limits=limits) for name, path in sockets.items()}
    return httpx2.AsyncClient(timeout=SILENCE_S, limits=limits, trust_env=False, mounts=ways)


def healthy(socket: str) -> bool:
    """Whether the server on this Unix socket reports that it is healthy. Waits at most 2 s."""
    try:
        with httpx2.Client(transport=httpx2.HTTPTransport(uds=socket), timeout=2.0, trust_env=False) as client:
            return client.get("http://server/health").status_code == 200
    except httpx2.HTTPError:
        return False


async def pieces(
    client: httpx2.AsyncClient, prefill: str, decode: str, model: str, asked: Request, prefilled: Callable[[], None]
) -> AsyncIterator[str]:
    """The answer's text as it streams in. `prefill` "": the decode server does both. Raises NoAnswer.

    `prefilled` is called when the prefill server has answered. The prompt is sent as token ids, so both see the same.
    """
    body: dict[str, Any] = {
        "model": model,
        "prompt": list(asked.prompt_ids),
        "temperature": asked.sampling.temperature,
        "top_p": asked.sampling.top_p,
        "seed": asked.sampling.seed,
    }
    headers = {"X-Request-Id": asked.id}
    if prefill:
        body["kv_transfer_params"] = await _kept_kv(client, prefill, body, headers)
        prefilled()
    body |= {"max_tokens": asked.max_output_tokens, "ignore_eos": not asked.stop_ids, "stream": True}
    async for heard in answer(client, httpx2.URL(f"{decode}/v1/completions"), body, headers):
        yield heard.text


async def _kept_kv(
    client: httpx2.AsyncClient, prefill: str, body: dict[str, Any], headers: dict[str, str]
) -> dict[str, Any]:
    """Where the prefill server keeps the prompt's KV. Without it the decode server would silently prefill again."""
    first = body | {"max_tokens": 1, "kv_transfer_params": KEEP_FOR_DECODE}
    try:
        got = await client.post(f"{prefill}/v1/completions", json=first, headers=headers)
        said = got.json()
    except (httpx2.HTTPError, ValueError) as broken:
        raise NoAnswer(f"The prefill server gave no answer ({short(broken)}).") from broken
    if got.status_code != 200:
        raise NoAnswer(f"The prefill server refused it: HTTP {got.status_code}, {message(said)}.")
    kept = said.get("kv_transfer_params") if isinstance(said, dict) else None
    if not isinstance(kept, dict):
        raise NoAnswer("The prefill server kept no KV for the decode server.")
    return kept

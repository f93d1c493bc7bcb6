"""One OpenAI-compatible server: where it is, what it serves, how to ask it. Raises BadInput before anything is sent.

The API key and the user info of a URL (before the @) are secrets: they go to the server, and never into a message or a
file.
"""

import os
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.request import proxy_bypass

import httpx2
import msgspec

from engine.client.answer import CONNECT_S, SILENCE_S, Heard, answer, short
from engine.client.apis import APIS, KEY_VARIABLE, Api
from engine.errors import BadInput
from engine.request import Request
from engine.scenario import one_of

PATHS = {"chat": "/chat/completions", "completions": "/completions"}
COUNTING = ("vllm", "sglang", "nvidia")  # these can count tokens in every chunk; others reject the unknown option
OURS = ("model", "messages", "prompt", "stream")  # of a request's body
AN_ADDRESS = "a URL, as http://HOST:8000/v1"
KEY = re.compile(r"[!-~]+")  # what a header carries: printable ASCII without spaces


class Endpoint(msgspec.Struct, frozen=True):
    """`url`: the base that paths are appended to; `query` follows the path. `context_tokens`: 0 if unknown.
    `extra_body`: more options for each request; None leaves out one that would otherwise be sent."""

    url: str
    model: str
    api: Api = "chat"
    owner: str = ""
    context_tokens: int = 0
    query: str = ""
    extra_body: dict[str, Any] = {}

    def stream(self, client: httpx2.AsyncClient, asked: Request, *, ignore_eos: bool) -> AsyncIterator[Heard]:
        """Send one request; its answer's chunks as they arrive. Raises NoAnswer."""
        url = httpx2.URL(self.url + PATHS[self.api] + self.query)
        return answer(client, url, self._body(asked, ignore_eos))

    @property
    def counts_as_it_goes(self) -> bool:
        return self.owner in COUNTING

    def _body(self, asked: Request, ignore_eos: bool) -> dict[str, Any]:
        """Options at their usual default are left out: servers reject options that they do not know."""
        words = {"messages": [{"role": "user", "content": asked.prompt}]} if self.api == "chat" else {}
        sampling = asked.sampling
        usual: dict[str, Any] = {
            "model": self.model,
            **(words or {"prompt": asked.prompt}),
            "max_tokens": asked.max_output_tokens,
            "temperature": sampling.temperature,
            **({"top_p": sampling.top_p} if sampling.top_p != 1 else {}),
            **({"seed": sampling.seed} if sampling.temperature else {}),
            "stream": True,
            "stream_options": {"include_usage": True}
            | ({"continuous_usage_stats": True} if self.counts_as_it_goes else {}),
            **({"ignore_eos": True} if ignore_eos else {}),
        }
        return {name: value for name, value in (usual | self.extra_body).items() if value is not None}


def extra_body(said: str) -> dict[str, Any]:
    """The options in a JSON object. Raises BadInput."""
    try:
        options = msgspec.json.decode(said or "{}")
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        options = None
    if not isinstance(options, dict):
        allowed = 'a JSON object, as {"max_tokens": null, "max_completion_tokens": 64}; null leaves an option out'
        raise BadInput("extra body", said, allowed)
    for name in OURS:
        if name in options:
            raise BadInput("extra body", name, "without what makes the request the same everywhere")
    return options


def open_client(url: str) -> httpx2.AsyncClient:
    """A client without a connection limit: one that queues would measure its own queue.

    Raises BadInput for a URL, API key, proxy or certificate file that cannot be used.
    """
    key, where = _key(), _parsed(url)
    login = None if key or not where.userinfo else httpx2.BasicAuth(where.username, where.password)
    try:
        return httpx2.AsyncClient(
            auth=login,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(SILENCE_S, connect=CONNECT_S),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
        )
    except (ImportError, OSError, ValueError, httpx2.InvalidURL) as unusable:
        names = [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("SSL_CERT_")]
        raise BadInput(
            "environment", ", ".join(names), f"set so that a client can connect ({hidden(short(unusable))})"
        ) from None


def _key() -> str:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if key and not KEY.fullmatch(key):
        raise BadInput(KEY_VARIABLE, "a text with other characters", "printable ASCII characters without spaces")
    return key


async def find(client: httpx2.AsyncClient, url: str, served_model: str, api: str, extra: str = "") -> Endpoint:
    """Ask the server which models it serves, and pick one. `served_model` "": the only one it lists. A named model is
    also accepted if the server lists none. `extra`: for `extra_body`. Raises BadInput."""
    one_of("api", api, APIS)
    options = extra_body(extra)
    where = _parsed(url)
    base, query = _base(where), f"?{where.query.decode()}" if where.query else ""
    try:
        got = await client.get(f"{base}/models{query}")
    except httpx2.HTTPError as nobody:
        said = hidden(short(nobody)) + _by_proxy(where)
        raise BadInput("endpoint", base, f"a server that answers ({said})") from nobody
    if got.status_code in (401, 403):
        said = "a key that this server accepts" if _key() else "set: this server needs a key"
        raise BadInput(KEY_VARIABLE, f"HTTP {got.status_code}", said)
    models = _models(got.content) if got.status_code == 200 else {}
    if not models and not served_model:
        allowed = f"the base of an OpenAI-compatible API that serves a model, as http://HOST:8000/v1 ({base}/models "
        without = "answered HTTP {} without any; if it serves one all the same, name it with --served-model)"
        raise BadInput("endpoint", base, allowed + without.format(got.status_code))
    if not served_model and len(models) > 1:
        raise BadInput("served model", served_model, f"one of {', '.join(models)}")
    name = served_model or next(iter(models))
    if models:
        one_of("served model", name, tuple(models))
    about = models.get(name, {})
    owner, most = about.get("owned_by"), about.get("max_model_len")
    return Endpoint(
        base,
        name,
        api,  # type: ignore[arg-type]  # `one_of`
        owner if isinstance(owner, str) else "",
        most if isinstance(most, int) and most > 0 else 0,
        query,
        options,
    )


def _models(content: bytes) -> dict[str, dict[str, Any]]:
    """Each model's entry by its id, from a list under "data" or a bare list; other entries are skipped."""
    try:
        said = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return {}
    entries = said.get("data") if isinstance(said, dict) else said
    good = [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    return {one["id"]: one for one in good if isinstance(one.get("id"), str)}


def _parsed(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
        port = parsed.port
    except (httpx2.InvalidURL, ValueError):
        raise BadInput("endpoint", hidden(url), AN_ADDRESS) from None
    if parsed.scheme not in ("http", "https") or not parsed.host or not 0 < (port or 1) < 65536:
        raise BadInput("endpoint", hidden(url), AN_ADDRESS)
    return parsed


def _base(where: httpx2.URL) -> str:
    """Without user info, query and fragment; with /v1 if there is no path."""
    bare = where.copy_with(username=None, password=None, query=None, fragment=None)
    return str(bare).rstrip("/") if where.path.strip("/") else str(bare).rstrip("/") + "/v1"


def _by_proxy(where: httpx2.URL) -> str:
    """The environment variable that sends requests to a proxy; "" if none does."""
    if proxy_bypass(where.host):
        return ""
    wanted = (f"{where.scheme}_proxy", "all_proxy")
    names = [name for name in os.environ if name.lower() in wanted and os.environ[name]]
    return f"; it was asked through the proxy in {' and '.join(names)}" if names else ""


def hidden(text: str) -> str:
    """The text without the user info (before the @) of any URL in it."""
    return re.sub(r"//[^/\s]*@", "//", text)

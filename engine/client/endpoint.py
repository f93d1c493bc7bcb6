"""One OpenAI-compatible server: where it is, what it serves, how it is asked. Raises BadInput before anything is sent.

The key and what stands before the @ of an address are secrets: they go to the server and into no sentence or file.
"""

import os
import re
from collections.abc import AsyncIterator
from typing import Any, Literal
from urllib.request import proxy_bypass

import httpx2
import msgspec

from engine.client.answer import CONNECT_S, SILENCE_S, Heard, answer, short
from engine.errors import BadInput
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
OURS = ("model", "messages", "prompt", "stream")  # of a request's body
AN_ADDRESS = "a URL, as http://HOST:8000/v1"
KEY = re.compile(r"[!-~]+")  # what a header carries: printable ASCII without spaces

Api = Literal["chat", "completions"]


class Endpoint(msgspec.Struct, frozen=True):
    """`url` is the base that paths are put behind, `query` what follows those. `context_tokens` 0: the server does not
    say. `extra_body`: options of its own for each request; None leaves one out that would be sent."""

    url: str
    model: str
    api: Api = "chat"
    owner: str = ""
    context_tokens: int = 0
    query: str = ""
    extra_body: dict[str, Any] = {}

    def stream(self, client: httpx2.AsyncClient, asked: Request, *, ignore_eos: bool) -> AsyncIterator[Heard]:
        url = httpx2.URL(self.url + PATHS[self.api] + self.query)
        return answer(client, url, self._body(asked, ignore_eos))

    @property
    def counts_as_it_goes(self) -> bool:
        return self.owner in COUNTING

    def _body(self, asked: Request, ignore_eos: bool) -> dict[str, Any]:
        """What is the default everywhere is left out: servers refuse options that they do not know."""
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
    """The options in this JSON object. Raises BadInput."""
    try:
        options = msgspec.json.decode(said or "{}")
    except (msgspec.DecodeError, RecursionError):
        options = None
    if not isinstance(options, dict):
        allowed = 'a JSON object, as {"max_tokens": null, "max_completion_tokens": 64}; null leaves an option out'
        raise BadInput("extra body", said, allowed)
    for name in OURS:
        if name in options:
            raise BadInput("extra body", name, "without what makes the request the same everywhere")
    return options


def open_client(url: str) -> httpx2.AsyncClient:
    """As many connections as requests are open: a client that queues would measure its own queue.

    Raises BadInput for an address, a key, a proxy or a file of certificates that cannot be used.
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
            "environment", ", ".join(names), f"one that a client can use ({hidden(short(unusable))})"
        ) from None


def _key() -> str:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if key and not KEY.fullmatch(key):
        raise BadInput(KEY_VARIABLE, "a text with other characters", "of printable ASCII characters without spaces")
    return key


async def find(client: httpx2.AsyncClient, url: str, served_model: str, api: str, extra: str = "") -> Endpoint:
    """Ask the server what it serves. `served_model` "": the only one; a server without a list of its models is asked
    for that one all the same. `extra`: as `extra_body` takes it. Raises BadInput."""
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
        said = "of a key that this server takes" if _key() else "set: this server wants a key"
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
    """What is said of each by its name, of a list under "data" or a bare one; entries of another kind are left out."""
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
    """Without what is secret or stands behind the path; with /v1 if there is no path."""
    bare = where.copy_with(username=None, password=None, query=None, fragment=None)
    return str(bare).rstrip("/") if where.path.strip("/") else str(bare).rstrip("/") + "/v1"


def _by_proxy(where: httpx2.URL) -> str:
    """Which variable sends what is asked to a proxy; "" if none does."""
    if proxy_bypass(where.host):
        return ""
    wanted = (f"{where.scheme}_proxy", "all_proxy")
    names = [name for name in os.environ if name.lower() in wanted and os.environ[name]]
    return f"; it was asked through the proxy in {' and '.join(names)}" if names else ""


def hidden(text: str) -> str:
    """Without what stands before the @ of an address in it."""
    return re.sub(r"//[^/\s]*@", "//", text)

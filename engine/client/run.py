"""Run a scenario's workload against somebody else's server: send requests on time, and log what comes back.

A client sees when it sent a request, when each chunk of the answer arrived, and how the answer ended. Queueing, prefill
and any handoff are all part of the time to first token; a client cannot tell them apart. If the server counts tokens in
every chunk, the log has its count (several tokens in a chunk have gaps of 0); otherwise each chunk counts as one token.
The server's final count is logged as well.
"""

import asyncio
import resource
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import httpx2
import msgspec

from engine.client.answer import NoAnswer
from engine.client.endpoint import Endpoint, find, open_client
from engine.errors import BadInput
from engine.events import SERVER, UNSEEN, Arrived, Connected, Counted, Event, Failed, Finished, TokenMade
from engine.live.model.catalog import prepare
from engine.live.model.text import Text
from engine.log import Log
from engine.request import Request
from engine.scenario import Scenario
from engine.workload import drafts

SPARE_FILES = 64  # beside connections: the log, the tokenizer, libraries
STOPPED = "It was stopped here before the answer had ended."


def run_outside(
    scenario: Scenario,
    url: str,
    *,
    served_model: str = "",
    api: str = "chat",
    prompts: Sequence[str] = (),
    extra_body: str = "",
) -> Log:
    """Send the scenario's workload to the server at `url`. The scenario's deployment and link have no effect.

    `scenario.model` is whose tokenizer makes the prompts; `extra_body` is a JSON object of options for each request.
    Raises BadInput before any request is sent. Interrupted, it returns what was heard until then: requests without
    their whole answer have failed, and those that were not sent are not in the log.
    """
    open_files(scenario)
    return asyncio.run(_run(scenario, url, served_model, api, prompts, extra_body))


def open_files(scenario: Scenario) -> None:
    """Allow this process as many connections as can be open at once. Raises BadInput if the machine does not."""
    load = scenario.checked().workload
    needed = (load.users or load.requests) + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    granted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    if granted < needed and (load.users or load.rate_per_s is None):  # else most have ended before the last are sent
        most = f"at most {max(0, granted - SPARE_FILES):,} at once: this process may have {granted:,} files open"
        raise BadInput("users" if load.users else "requests", load.users or load.requests, most)


async def _run(
    scenario: Scenario, url: str, served_model: str, api: str, prompts: Sequence[str], extra_body: str
) -> Log:
    async with open_client(url) as client:
        endpoint = await find(client, url, served_model, api, extra_body)
        asked = make_requests(scenario, endpoint, prompts)
        kept = _Notebook()
        kept.note(lambda t: Connected(t, endpoint.url, endpoint.model))
        try:
            await _send_all(client, endpoint, scenario, asked, kept)
        except asyncio.CancelledError:  # Ctrl-C: what was heard is worth keeping
            if not any(isinstance(event, Arrived) for event in kept.events):
                raise
    machine = f"a client of {endpoint.model} at {endpoint.url}"
    return Log(scenario, tuple(kept.events), machine, datetime.now(UTC).isoformat(timespec="seconds"))


def make_requests(scenario: Scenario, endpoint: Endpoint, prompts: Sequence[str] = ()) -> list[Request]:
    """The workload's requests, with text; the tokenizer of `scenario.model` counts their lengths.

    Raises BadInput if a request is longer than the server's context.
    """
    load = scenario.checked().workload
    text = Text(prepare(msgspec.structs.replace(scenario.model, dtype="fp32")), chat=endpoint.api == "chat")
    made = []
    for draft in drafts(load):
        if draft.number < len(prompts):
            words = prompts[draft.number]
            ids = text.encode_chat(words)
        else:
            ids, words = text.synthetic_prompt(load.seed, draft.number, draft.prompt_tokens)
        if endpoint.context_tokens and len(ids) + load.output_tokens > endpoint.context_tokens:
            most = f"at most {endpoint.context_tokens:,} together, the server's context"
            raise BadInput("prompt tokens", f"{len(ids)} + {load.output_tokens} output tokens", most)
        sampling = msgspec.structs.replace(load.sampling, seed=load.seed + draft.number)
        name = f"r{draft.number + 1}"
        made.append(Request(name, tuple(ids), load.output_tokens, draft.arrival_s, sampling, prompt=words))
    return made


class _Notebook:
    """Events in the order in which they were noted, in seconds since the notebook was made."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._zero_s = time.monotonic()

    def now(self) -> float:
        return time.monotonic() - self._zero_s

    def note(self, event: Callable[[float], Event]) -> None:
        self.events.append(event(self.now()))


async def _send_all(
    client: httpx2.AsyncClient, endpoint: Endpoint, scenario: Scenario, asked: Sequence[Request], kept: _Notebook
) -> None:
    """Send each request on time, whether or not earlier ones have finished; in a closed loop, one per user at once."""
    load = scenario.workload
    seats = asyncio.Semaphore(load.users or len(asked))

    async def send(request: Request) -> None:
        async with seats:
            await _send(client, endpoint, request, kept, ignore_eos=load.ignore_eos)

    async with asyncio.TaskGroup() as group:
        for request in asked:
            await asyncio.sleep(max(0.0, request.arrival_s - kept.now()))
            group.create_task(send(request))


async def _send(
    client: httpx2.AsyncClient, endpoint: Endpoint, asked: Request, kept: _Notebook, *, ignore_eos: bool
) -> None:
    name, made, counts, end = asked.id, 0, None, "stop"
    kept.note(lambda t: Arrived(t, name, len(asked.prompt_ids), asked.max_output_tokens, asked.prompt))
    try:
        async for heard in endpoint.stream(client, asked, ignore_eos=ignore_eos):
            now, fresh = kept.now(), 1 if heard.text else 0
            if endpoint.counts_as_it_goes and heard.output_tokens is not None:
                fresh = heard.output_tokens - made
            for n in range(fresh):  # the first token of a chunk carries its text
                kept.events.append(TokenMade(now, SERVER, name, made + n, UNSEEN, "" if n else heard.text))
            made += max(0, fresh)
            counts, end = heard.counts or counts, heard.end or end
    except NoAnswer as why:
        said = str(why)
        kept.note(lambda t: Failed(t, name, said))
        end = "failed"
    except asyncio.CancelledError:
        kept.note(lambda t: Failed(t, name, STOPPED))
        end = "failed"
        raise
    finally:
        if counts:
            prompt_tokens, output_tokens = counts
            kept.note(lambda t: Counted(t, name, prompt_tokens, output_tokens))
        kept.note(lambda t: Finished(t, name, end, made))

"""Run a scenario on the live engine: requests with prompts in, a log out."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import msgspec

from engine.errors import BadInput
from engine.events import Arrived, Event
from engine.live import gpus
from engine.live.model.catalog import Prepared, prepare
from engine.live.model.text import Text
from engine.live.process.front import Front
from engine.live.process.interrupt import Interrupt, interruptible
from engine.live.process.serving import Serving
from engine.live.this_machine import core_count, processor
from engine.log import Log, in_order
from engine.request import Request
from engine.scenario import Scenario, Workload
from engine.workload import drafts

OnEvents = Callable[[list[Event]], None]


def run_live(
    scenario: Scenario,
    prompts: Sequence[str] = (),
    watch: OnEvents = lambda events: None,
    listen: tuple[str, int] | None = None,
    own: Path | None = None,
) -> Log:
    """Start the engine, run the scenario to its end, stop the engine. Raises BadInput before anything starts.

    `prompts`: texts of the first requests; the others are synthetic. `watch` is called with events as they come.
    `listen` (host, port): workers of other hosts join there, and none is started here. `own`: the file of a deployment
    with a policy or a split of one's own. Raises PolicyRefused if it breaks a rule.
    """
    (log,) = run_each([scenario], prompts, watch, listen, own)
    return log


def run_each(
    scenarios: Sequence[Scenario],
    prompts: Sequence[str] = (),
    watch: OnEvents = lambda events: None,
    listen: tuple[str, int] | None = None,
    own: Path | None = None,
) -> list[Log]:
    """`run_live` for several scenarios of one model, in turn on the same workers. All are checked first.

    Interrupted, it returns the logs until then: of the one that was under way, the open requests are cancelled.
    """
    if listen and own:
        raise BadInput("policy", str(own), "left out with --listen: workers of other hosts do not have the file")
    asked = [make_requests(scenario, prompts) for scenario in scenarios]
    first = scenarios[0]
    transports = [scenario.deployment.transport for scenario in scenarios]
    with Front(first.deployment, first.link, first.model, transports=transports, listen=listen, own=own) as front:
        front.start()
        logs: list[Log] = []
        with interruptible() as interrupt:
            for scenario, requests in zip(scenarios, asked, strict=True):
                logs.append(run_on(front, scenario, requests, watch, interrupt))
                if interrupt.asked:
                    break
        if not any(isinstance(event, Arrived) for log in logs for event in log.events):
            raise KeyboardInterrupt
        return logs


def run_on(
    front: Serving,
    scenario: Scenario,
    requests: Sequence[Request],
    watch: OnEvents = lambda events: None,
    interrupt: Interrupt | None = None,
) -> Log:
    """Run requests on an engine that is up and idle, with the scenario's roles and link. The log's zero is now."""
    front.set_link(scenario.link)
    front.deploy(scenario.deployment)
    zero_s = front.now()
    front.poll(0.0)  # earlier events are not part of this run
    events = front.standing()
    coming = deque(requests)
    users = scenario.workload.users
    watch(events)
    while coming or not front.idle:
        if interrupt is not None and interrupt.asked:
            coming.clear()
            for request_id in front.open_requests():
                front.cancel(request_id)
        now_s = front.now() - zero_s
        while coming and coming[0].arrival_s <= now_s and _may_come(front, users):
            request = coming.popleft()
            front.submit(request, None if users else zero_s + request.arrival_s)
        wait_s = coming[0].arrival_s - now_s if coming and not users else math.inf
        fresh = rebased(front.poll(min(wait_s, 1.0)), zero_s)
        events += fresh
        watch(fresh)
    return Log(
        scenario,
        in_order(events),
        machine(scenario.model.device, front.remarks),
        datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _may_come(front: Serving, users: int) -> bool:
    """In a closed loop, each user has at most one open request."""
    return not users or len(front.open_requests()) < users


def make_requests(scenario: Scenario, prompts: Sequence[str] = ()) -> list[Request]:
    """The workload's requests with their prompts: `prompts` first, then synthetic ones of the wanted length.

    Raises BadInput if a request could never be served: prompt and output must fit the model's context and the KV pool.
    """
    gpus.places(scenario.checked().model.device)
    prepared = prepare(scenario.model, scenario.deployment.workers)
    text = _text(prepared)
    load = scenario.workload
    requests = []
    for draft in drafts(load):
        if draft.number < len(prompts):
            prompt = prompts[draft.number]
            ids = tuple(text.encode_chat(prompt))
        else:
            must_fit(draft.prompt_tokens, load.output_tokens, prepared, scenario)
            ids, prompt = text.synthetic_prompt(load.seed, draft.number, draft.prompt_tokens)
        must_fit(len(ids), load.output_tokens, prepared, scenario)
        requests.append(_request(draft.number, draft.arrival_s, ids, prompt, load, prepared))
    return requests


@lru_cache(maxsize=4)
def _text(prepared: Prepared) -> Text:
    """Cached: each new tokenizer and template would leave some 0.4 MB behind, and an engine makes requests all day."""
    return Text(prepared)


def _request(
    number: int, arrival_s: float, ids: tuple[int, ...], prompt: str, load: Workload, prepared: Prepared
) -> Request:
    return Request(
        id=f"r{number + 1}",
        prompt_ids=tuple(ids),
        max_output_tokens=load.output_tokens,
        arrival_s=arrival_s,
        sampling=msgspec.structs.replace(load.sampling, seed=load.seed + number),
        stop_ids=() if load.ignore_eos else prepared.stop_ids,
        prompt=prompt,
    )


def must_fit(prompt_tokens: int, output_tokens: int, prepared: Prepared, scenario: Scenario) -> None:
    """Raises BadInput if a request fits neither into the model's context nor into the KV pool."""
    pool_tokens = prepared.kv_blocks * prepared.kv_shape.block_tokens
    most = min(prepared.context_tokens, pool_tokens)
    if prompt_tokens + output_tokens > most:
        what = "the model's context" if most == prepared.context_tokens else "the KV pool"
        asked = f"{prompt_tokens} + {output_tokens} output tokens"
        raise BadInput("prompt tokens", asked, f"at most {most:,} together, {what}")


def rebased(events: Sequence[Event], zero_s: float) -> list[Event]:
    """The events since `zero_s`, on a clock that begins there."""
    return [msgspec.structs.replace(event, t=event.t - zero_s) for event in events if event.t >= zero_s]


def machine(device: str = "cpu", remarks: Sequence[str] = ()) -> str:
    """This machine in a few words: its CPU, how many cores this process may use, the GPUs that workers use, and what
    they do there in a slower way than they should."""
    cores, workers_on = core_count(), gpus.said_of(device)
    said = [f"{processor()}, {cores:g} core{'s' if cores != 1 else ''}"]
    return "; ".join([*said, *([f"workers on {workers_on}"] if workers_on else []), *remarks])

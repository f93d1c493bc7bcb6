"""Run a scenario on a real vLLM on this machine: start servers, watch them from inside, and end them."""

import time
from collections.abc import Callable, Sequence

import msgspec

from engine.events import Failed
from engine.live.process.interrupt import interruptible
from engine.live.process.run import make_requests, run_on
from engine.scenario import Scenario
from engine.vllm import road
from engine.vllm.front import VllmFront
from engine.vllm.possible import possible_link, possible_scenario
from engine.vllm.translate import Translation, dropped, misses

TELL_S = 10.0


def run_vllm(
    scenario: Scenario, prompts: Sequence[str] = (), *, python: str, progress: Callable[[str], None] = lambda says: None
) -> Translation:
    """Start vLLM as the scenario deploys it, send its workload, and end vLLM.

    `python`: the interpreter of an environment with vLLM. The handoff uses NIXL: at the link's pace where it has one
    and this system allows it, else in the machine's own way. Raises BadInput before anything starts, and WorkerFailed
    if the servers do not start.
    """
    paced = scenario.link.bandwidth_bytes_per_s is not None
    possible_link(scenario.link, road.refused() if paced else "")
    scenario = possible_scenario(scenario)
    asked = make_requests(scenario, prompts)
    with VllmFront(scenario.deployment, scenario.link, scenario.model, python=python, paced=paced) as front:
        front.start()
        told_s = time.monotonic()
        while not front.ready:
            front.poll(0.5)
            if time.monotonic() - told_s > TELL_S:
                told_s = time.monotonic()
                progress(front.starting)
        progress("All vLLM servers are up")
        with interruptible() as interrupt:
            log = run_on(front, scenario, asked, interrupt=interrupt)
        if any(isinstance(event, Failed) for event in log.events):
            for words in front.words():
                progress(words)
        machine = f"vLLM {front.version} on {log.machine}" if front.version else log.machine
        return Translation(
            msgspec.structs.replace(log, machine=machine), dropped=dropped(front.about), misses=misses(front.about)
        )

"""What a lab's engine is: how many workers, which model, where they run. A value: the client follows it."""

from collections.abc import Sequence

import msgspec

from engine.scenario import Deployment, ModelSpec, Scenario
from engine.vllm.possible import possible, possible_scenario


class EngineSettings(msgspec.Struct, frozen=True):
    """`listen`: HOST:PORT where workers join from other hosts; "" starts them here. `transports`: those that the
    workers share, the preferred one first. `vllm_python`: vLLM is the engine, under this interpreter; "": our own.
    `unpaced_because`: why its link cannot be paced; "" if it can."""

    workers: int = 2
    model: ModelSpec = ModelSpec("smollm2-135m")
    listen: str = ""
    transports: tuple[str, ...] = ("shm", "tcp")
    vllm_python: str = ""
    unpaced_because: str = ""

    def fitted(self, scenario: Scenario) -> Scenario:
        """The scenario as this lab's engine runs it, with its model. Raises BadInput for what can never run."""
        deployment = self.reachable(scenario.deployment)
        fitted = msgspec.structs.replace(scenario, deployment=deployment, model=self.model).checked()
        return possible_scenario(fitted, self.unpaced_because) if self.vllm_python else fitted

    def tells_apart(self, scenarios: Sequence[Scenario]) -> bool:
        """Whether scenarios that differ also differ as this engine runs them. Raises BadInput if one cannot run."""
        return not self.vllm_python or len(set(map(self.fitted, scenarios))) == len(set(scenarios))

    def reachable(self, deployment: Deployment) -> Deployment:
        """The deployment with a transport that its workers share: workers on other hosts share no memory."""
        if self.vllm_python:
            return possible(deployment)
        if not self.listen or deployment.transport in self.transports:
            return deployment
        return msgspec.structs.replace(deployment, transport=self.transports[0])

    def program(self) -> tuple[str, list[str]]:
        """The module that a process of it runs, and its arguments."""
        first = Scenario(self.reachable(Deployment(workers=self.workers)), model=self.model)
        arguments = [msgspec.json.encode(first).decode()]
        if self.vllm_python:
            return "engine.vllm.host", [*arguments, self.vllm_python]
        arguments.append(",".join(self.transports))
        return "engine.live.process.host", [*arguments, self.listen] if self.listen else arguments

"""What of a scenario a vLLM can run: what is as good as the same there is put in its place, the rest is refused."""

import msgspec

from engine.errors import BadInput
from engine.link import LinkSpec
from engine.scenario import Deployment, Scenario
from engine.vllm.fold import TRANSPORT
from engine.vllm.road import LEAST_BYTES_PER_S

NO_LATENCY = "0 s with vLLM: only the bandwidth of its link can be set"


def possible(deployment: Deployment) -> Deployment:
    """The deployment with the transport and the first token that vLLM has. Raises BadInput for what it cannot do."""
    if deployment.own_policy or deployment.own_split:
        raise BadInput("policy", "your own", "left out with vLLM, which has its own scheduler")
    if deployment.local_prefill_tokens:
        raise BadInput("local prefill tokens", deployment.local_prefill_tokens, "0 with vLLM: it ships every prompt")
    if deployment.ship != "whole":
        raise BadInput("ship", deployment.ship, "whole with vLLM: its decode server pulls the KV of whole prompts")
    return msgspec.structs.replace(deployment, transport=TRANSPORT, first_token="decode").checked()


def possible_link(link: LinkSpec, unpaced_because: str) -> LinkSpec:
    """The link itself. `unpaced_because`: why it cannot be paced here; "" if it can. Raises BadInput."""
    if link.latency_s:
        raise BadInput("latency", link.latency_s, NO_LATENCY)
    if link.bandwidth_bytes_per_s is not None:
        if unpaced_because:
            raise BadInput("link", link.bandwidth_bytes_per_s, f"none with vLLM here: {unpaced_because}")
        if link.bandwidth_bytes_per_s < LEAST_BYTES_PER_S:
            raise BadInput(
                "link", link.bandwidth_bytes_per_s, f"at least {LEAST_BYTES_PER_S:,} bytes/s with vLLM, or none"
            )
    return link


def possible_scenario(scenario: Scenario, unpaced_because: str = "") -> Scenario:
    """The scenario with a possible deployment. Raises BadInput."""
    possible_link(scenario.link, unpaced_because)
    return msgspec.structs.replace(scenario, deployment=possible(scenario.deployment))

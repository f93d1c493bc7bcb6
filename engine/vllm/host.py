"""vLLM as the lab's engine, in a child process like the lab's own: `python -m engine.vllm.host FD SCENARIO PYTHON`."""

import sys
from multiprocessing.connection import Connection

import msgspec

from engine.errors import BadInput, EngineError
from engine.live.process.host import Broken, EngineReady, Examine, Host
from engine.live.process.run import machine
from engine.scenario import Scenario
from engine.vllm import road
from engine.vllm.front import VllmFront


class VllmHost(Host):
    """A host that cannot measure the machine: what is measured there are the kernels of the lab's own engine."""

    def _examine(self, ask: Examine) -> None:
        raise BadInput("engine", "vLLM", "the lab's own for a question that needs this machine's measured limits")


def main() -> None:
    """Be the host, on the channel that the lab has opened for this process."""
    lab: Connection[bytes, bytes] = Connection(int(sys.argv[1]))
    scenario = msgspec.json.decode(sys.argv[2], type=Scenario)
    try:
        paced = not road.refused()
        with VllmFront(scenario.deployment, scenario.link, scenario.model, python=sys.argv[3], paced=paced) as front:
            front.start()
            while not front.ready:
                front.poll(0.5, also=[lab])
                if lab.poll(0):  # it says nothing yet, so it has quit
                    return
            host = VllmHost(lab, front)
            host.tell(EngineReady(f"vLLM {front.version} on {machine()}", ("nixl",), front.dtype))
            host.serve()
    except EOFError:
        pass  # the lab is gone; leaving the front's block has ended the servers
    except EngineError as broken:
        lab.send_bytes(msgspec.msgpack.encode(Broken(str(broken))))


if __name__ == "__main__":
    main()

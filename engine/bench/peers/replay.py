"""NVIDIA Dynamo's offline simulator in this process. Run by an interpreter that has ai-dynamo and ai-dynamo-runtime."""

import importlib.metadata
import time
from collections.abc import Callable

from engine.bench.peers.talk import answer


def acts() -> dict[str, Callable[..., float]]:
    """`run` takes a file of Mooncake's form and a number of workers, and returns seconds."""
    from dynamo.replay import run_trace_replay

    def run(trace: str, workers: int) -> float:
        begun_s = time.perf_counter()
        run_trace_replay([trace], num_workers=workers, trace_block_size=512)
        return time.perf_counter() - begun_s

    return {"run": run}


if __name__ == "__main__":
    answer(acts, lambda: importlib.metadata.version("ai-dynamo"))

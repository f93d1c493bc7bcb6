"""vLLM on the CPU, with its engine in this process. Runs under vLLM's own interpreter."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from engine.bench.peers.talk import answer, prompt

KV_GIB = "1"
LONGEST = 4096
ALONE = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": KV_GIB,
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}


class Vllm:
    """A vLLM engine; every act but `watch` returns seconds."""

    def __init__(self, folder: str, dtype: str, context: int, core: int) -> None:
        os.environ.update(ALONE | {"VLLM_CPU_OMP_THREADS_BIND": str(core)})
        from vllm import LLM

        longest = min(LONGEST, context)
        self._engine: Any = LLM(
            folder,
            dtype=dtype,
            enforce_eager=True,
            enable_prefix_caching=False,
            max_model_len=longest,
            max_num_batched_tokens=longest,  # a prompt in one step, as in this engine
            max_num_seqs=16,
            disable_log_stats=True,
        ).llm_engine
        self._named = 0
        self._hooks = _hooks()

    def _submit(self, tokens: int, output: int) -> None:
        from vllm import SamplingParams

        self._named += 1
        sampling = SamplingParams(temperature=0, max_tokens=output, ignore_eos=True)
        self._engine.add_request(str(self._named), {"prompt_token_ids": prompt(tokens, self._named)}, sampling)

    def _empty(self) -> None:
        self._engine.abort_request([str(number) for number in range(self._named + 1)], internal=False)
        while self._engine.has_unfinished_requests():
            self._engine.step()

    def acts(self) -> dict[str, Callable[..., float]]:
        """What the bench can ask for, by name."""
        return {"prefill": self.prefill, "gather": self.gather, "step": self.step, "cpu": self.cpu, "watch": self.watch}

    def prefill(self, tokens: int) -> float:
        """Seconds until the first token of a prompt."""
        self._empty()
        self._submit(tokens, 1)
        return self.step()

    def gather(self, batch: int, context: int) -> float:
        """Prefill `batch` requests of `context` tokens, so that the next steps decode all of them."""
        self._empty()
        for _ in range(batch):
            self._submit(context, LONGEST - context)
        for _ in range(batch + 2):
            self._engine.step()
        return 0.0

    def step(self) -> float:
        """Seconds of one step of its engine, scheduling included."""
        begun_s = time.perf_counter()
        self._engine.step()
        return time.perf_counter() - begun_s

    def cpu(self, steps: int) -> float:
        """Seconds of CPU time that one of so many steps takes, in all threads of this process."""
        begun_s = time.process_time()
        for _ in range(steps):
            self._engine.step()
        return (time.process_time() - begun_s) / steps

    def watch(self, on: bool) -> float:
        """Put the hooks of Split Kitchen's plugin into the scheduler, or take them out. Returns how many there are."""
        from vllm.v1.core.sched.scheduler import Scheduler

        for name, hook in self._hooks.items():
            setattr(Scheduler, name, hook if on else hook.__wrapped__)
        return float(len(self._hooks))


def _hooks() -> dict[str, Any]:
    """Those that vLLM's scheduler has; none if the plugin was not loaded."""
    from vllm.v1.core.sched.scheduler import Scheduler

    return {name: hook for name, hook in vars(Scheduler).items() if getattr(hook, "_watched", False)}


def version() -> str:
    """vLLM's version."""
    import vllm

    return str(vllm.__version__)


def main(folder: str, dtype: str, context: str, core: str) -> None:
    """Answer requests on stdin, on this core."""
    answer(lambda: Vllm(folder, dtype, int(context), int(core)).acts(), version)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""This machine's measured limits, for code that does not load torch."""

import subprocess
import sys

import msgspec

from engine.errors import WorkerFailed
from engine.scenario import ModelSpec


class Machine(msgspec.Struct, frozen=True):
    """One core's measured limits, and the sizes of the model that runs on it.

    `parameters` are all of the model's, `embedding_parameters` those of its (tied) embedding: prefill multiplies with
    them for the last token only. `bytes_per_parameter` is that of the dtype chosen here.
    """

    name: str
    dtype: str
    peak_flops_per_s: float
    read_bytes_per_s: float
    parameters: int
    embedding_parameters: int
    bytes_per_parameter: int
    kv_bytes_per_token: int

    @property
    def weights_bytes(self) -> int:
        """What a decode step reads of the weights: all of them, once."""
        return self.parameters * self.bytes_per_parameter

    @property
    def prefill_flops_per_token(self) -> float:
        """2 per multiply-add and parameter; attention, small at these lengths, and the vocabulary head left out."""
        return 2.0 * (self.parameters - self.embedding_parameters)


def measure(model: ModelSpec) -> Machine:
    """Measure now, for some seconds, in a process of its own. Nothing else should run. Raises WorkerFailed."""
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "engine.live.machine.doctor", msgspec.json.encode(model).decode()],
        capture_output=True,
        check=False,
    )
    if ran.returncode:
        raise WorkerFailed(f"This machine could not be measured: {ran.stderr.decode()[-500:]}")
    return msgspec.json.decode(ran.stdout, type=Machine)

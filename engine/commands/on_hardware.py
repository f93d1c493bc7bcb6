"""The hardware to simulate, as a command line names it: GPU, engine and formats."""

import msgspec

from engine.fleet.catalog.engines import serving_engine
from engine.fleet.catalog.hardware import GpuSpec, fabric
from engine.fleet.catalog.hf_config import model
from engine.fleet.catalog.models import ModelShape
from engine.fleet.estimate.roofline import smallest_tp
from engine.fleet.estimate.step_cost import calibrated, error_of
from engine.fleet.estimate.workers import link_of, worker_on
from engine.link import LinkSpec
from engine.sim.station import WorkerSpec


class OnHardware(msgspec.Struct, frozen=True):
    """The GPU, engine and formats. `tp` 0: the fewest GPUs that hold the model. Methods raise BadInput."""

    gpu: GpuSpec
    tp: int
    precision: str
    kv_dtype: str
    engine: str

    @property
    def chunk_tokens(self) -> int:
        """The engine's default token budget of a step on this GPU."""
        return serving_engine(self.engine).chunk_on(self.gpu)

    def shape(self, name: str) -> ModelShape:
        """The model called `name`, in these formats."""
        return model(name).served(self.precision, self.kv_dtype)

    def worker(self, name: str, context: int) -> WorkerSpec:
        """A simulated worker for requests of `context` tokens, prompt plus output."""
        return worker_on(self.shape(name), self.gpu, context=context, tp=self.tp, engine=self.engine)

    def link(self, name: str, tp: int) -> LinkSpec:
        """The link between two workers: each GPU's link to its neighbour."""
        return link_of(self.shape(name), fabric(self.gpu.peer), tp)

    def said(self, name: str) -> dict[str, object]:
        """What was simulated, and how far off its times may be, for the JSON output."""
        shape = self.shape(name)
        checked = calibrated(self.gpu, self.engine).checked(shape)
        return {
            "gpu": self.gpu.name,
            "tp": self.tp or smallest_tp(shape, self.gpu),
            "model": shape.name,
            "formats": shape.formats,
            "engine": self.engine,
            "tpot_error": checked and checked.tpot,
            "ttft_error": checked and checked.ttft,
            "error": error_of(self.gpu, self.engine, shape),
        }

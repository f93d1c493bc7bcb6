"""How long the steps of a round take, and who says so: a run that was measured, or a GPU's data sheet."""

from collections.abc import Sequence
from functools import cache, cached_property

import msgspec

from engine.errors import BadInput
from engine.events import Arrived, Event, HandoffOffered
from engine.fleet.catalog.hardware import gpu
from engine.fleet.catalog.hf_config import model
from engine.fleet.estimate.step_cost import step_cost
from engine.log import Log
from engine.scenario import BLOCK_TOKENS, KINDS
from engine.sim.cost import LinearCost, StepCost
from engine.sim.fit import fit
from lab.scene.recordings import recorded

BEAT, LARGE, PORTION = 8, 64, 24  # blocks: of a usual prompt, of a large one, of a portion
CROSSES = 0.6  # a large tray crosses the pass in this share of its prep, or a little more or less
LINKS = tuple(digit * 10.0**power for power in range(5, 13) for digit in (1, 2, 5))  # bytes/s
RECORDED, GPUS = "recorded", {"h100": ("h100-sxm", "llama-3.1-8b", 16)}  # card, model, how much longer prompts are


class Pace(msgspec.Struct, frozen=True, dict=True):
    """`says`: whose step times these are; `title` in few words. Prompts are `scale` times as long: a GPU reads the
    small ones at once."""

    name: str
    title: str
    says: str
    cost: StepCost
    kv_bytes_per_token: int
    scale: int = 1

    @property
    def tells(self) -> bool:
        """Whether a prompt takes longer than a token, as it does wherever both were measured."""
        return self._prep_s(BEAT) > self.cost.step_s((), 1, BEAT * BLOCK_TOKENS * self.scale)

    @property
    def portion(self) -> int:
        """Tokens of a portion."""
        return PORTION * BLOCK_TOKENS * self.scale

    @property
    def beat_s(self) -> float:
        """How long a usual prompt takes."""
        return self._prep_s(BEAT)

    @cached_property
    def link_bytes_per_s(self) -> float:
        """A pass on which a large tray is in the way of others."""
        wanted = LARGE * BLOCK_TOKENS * self.scale * self.kv_bytes_per_token / (CROSSES * self._prep_s(LARGE))
        return min(LINKS, key=lambda rate: max(rate / wanted, wanted / rate))

    def as_text(self) -> str:
        """To be kept in a file: the name says it all where every lab has the pace."""
        return self.name if self.name in (RECORDED, *GPUS) else msgspec.json.encode(self).decode()

    def _prep_s(self, blocks: int) -> float:
        return self.cost.step_s([(0, blocks * BLOCK_TOKENS * self.scale)], 0, 0)


def from_text(text: str) -> Pace:
    """What `as_text` has written."""
    if not text.startswith("{"):
        return shipped(text)
    fields = msgspec.json.decode(text)
    return Pace(**fields | {"cost": msgspec.convert(fields["cost"], LinearCost)})


@cache
def shipped(name: str) -> Pace:
    """A pace that every lab has. Raises BadInput."""
    if name == RECORDED:
        logs = [recorded(kind) for kind in KINDS]
        where = f"in runs recorded {logs[0].recorded_at[:10]} on {logs[0].machine}"
        return measured(name, "the recorded machine", logs, where)
    if name not in GPUS:
        raise BadInput("pace", name, "one of " + ", ".join((RECORDED, *GPUS)))
    card, served, scale = GPUS[name]
    shape = model(served)
    says = f"Step times are computed for {shape.label} on one {gpu(card).label}; its prompts are {scale} times as long."
    title = f"one {gpu(card).label}"
    return Pace(name, title, says, step_cost(shape, gpu(card)), shape.kv_bytes_per_token, scale)


def measured(name: str, title: str, logs: Sequence[Log], where: str) -> Pace:
    """The pace of an engine's runs, one of them disaggregated. Raises BadInput if they are too short to tell."""
    events = [log.events for log in logs]
    served = logs[0].scenario.model.path
    says = f"Step times are those of {served}, measured {where}."
    return Pace(name, title, says, fit(events), _kv_bytes_per_token([event for log in events for event in log]))


def _kv_bytes_per_token(events: Sequence[Event]) -> int:
    tokens = {event.request: event.prompt_tokens for event in events if isinstance(event, Arrived)}
    for event in events:
        if isinstance(event, HandoffOffered):
            return event.nbytes // (-(-tokens[event.request] // BLOCK_TOKENS) * BLOCK_TOKENS)
    raise BadInput("pace", "of runs without a handoff", "measured with one")

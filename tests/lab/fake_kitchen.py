"""Logs without processes: the real Router and Workers in virtual time, with made-up answers.

Costs are those of a small model on a slow core, so that the lab's effects are visible: a long prompt takes a second, a
decode step 45 ms, and its tray is some 20 MB.
"""

from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from engine.events import Event, HandoffMoved, HandoffStarted, TokenMade
from engine.link import LinkSpec
from engine.messages import Command, SetLink, Ship
from engine.plan import Plan
from engine.request import Request
from engine.scenario import Deployment, Kind
from tests.engine.virtual_cluster import Station, VirtualCluster

UNPACED_BYTES_PER_S = 1.2e9
ANSWERS = (
    "A kitchen that splits the work can keep plating while somebody else chops, as long as the pass is wide enough.",
    "Sure! Prefill reads the whole prompt at once; decode then adds one token after the other, and never rushes.",
    "The tray holds keys and values for every token, so its weight grows with the length of the order.",
    "If the belt is narrow, the plates wait. If one cook does both, they wait as well, only for another reason.",
)
SHORT_PROMPTS = ("What is a KV cache?", "Why did my answer stop?", "Name three herbs.", "Say it in one line.")
LONG_PROMPT = "Summarise this 40-page report on kitchen logistics, and quote every figure in it: "


def requests(count: int, *, every_s: float = 0.45, long_every: int = 4, long_tokens: int = 900) -> list[Request]:
    """Short prompts with a long one among them now and then."""
    return [
        Request(
            id=f"r{n}",
            prompt_ids=(1,) * (long_tokens if n % long_every == 2 else 40 + 17 * n % 60),
            max_output_tokens=30 + 7 * n % 25,
            arrival_s=0.2 + every_s * n,
            prompt=LONG_PROMPT if n % long_every == 2 else SHORT_PROMPTS[n % len(SHORT_PROMPTS)],
        )
        for n in range(count)
    ]


def deployment(kind: Kind, workers: int = 2, prefill_workers: int = 1) -> Deployment:
    return Deployment(kind=kind, workers=workers, prefill_workers=prefill_workers, chunk=128)


def cook(
    kind: Kind,
    orders: Iterable[Request] | None = None,
    *,
    workers: int = 2,
    prefill_workers: int = 1,
    link: LinkSpec | None = None,
    happenings: Callable[["Kitchen"], None] | None = None,
) -> list[Event]:
    """The log of one run, in the order in which it was heard; `happenings` may plan faults and changes."""
    kitchen = Kitchen(deployment(kind, workers, prefill_workers), link or LinkSpec(20e6, 0.002), blocks=320)
    for request in requests(12) if orders is None else orders:
        kitchen.submit(request)
    if happenings:
        happenings(kitchen)
    kitchen.run()
    return kitchen.log


class Cook(Station):
    """One worker, whose steps and handoffs take made-up times."""

    kv_bytes_per_token = 23_040
    context_tokens = 8192

    def __init__(self, kitchen: "Kitchen", name: str) -> None:
        super().__init__(kitchen, name)
        self.link = LinkSpec()
        self.link_free_s = 0.0

    def step_s(self, plan: Plan) -> float:
        prefill = sum(piece.tokens for piece in plan if piece.tokens > 1)
        return 0.035 + 0.00105 * prefill + 0.0015 * sum(piece.tokens == 1 for piece in plan)

    def noted(self, event: Event) -> Event:
        """Tokens get words, as the live worker's detokenizer would give them."""
        if not isinstance(event, TokenMade):
            return event
        words = ANSWERS[int(event.request[1:]) % len(ANSWERS)].split(" ")
        word = words[event.index % len(words)]
        return msgspec.structs.replace(event, text=word if event.index == 0 else " " + word)

    def obey(self, command: Command) -> None:
        if isinstance(command, SetLink):
            self.link = command.link
        else:
            super().obey(command)

    def ship(self, ship: Ship) -> None:
        """One tray after the other, in ten pieces each."""
        nbytes, configured = self.nbytes(ship), self.link.bandwidth_bytes_per_s
        begin_s = max(self.cluster.t, self.link_free_s)
        seconds = self.link.seconds(nbytes) if configured else nbytes / UNPACED_BYTES_PER_S
        self.link_free_s = begin_s + seconds
        self.shipping[ship.request] = ship

        def happen(t: float, event: Event) -> None:
            self.cluster.after(t - self.cluster.t, lambda: self.report([event]) if self.sends(ship) else None)

        happen(begin_s, HandoffStarted(begin_s, ship.request, self.name, ship.target, nbytes, "shm", configured))
        for tenth in range(1, 11):
            t = begin_s + seconds * tenth / 10
            happen(t, HandoffMoved(t, ship.request, self.name, ship.target, nbytes * tenth // 10))
        self.cluster.after(self.link_free_s - self.cluster.t, partial(self.land, ship, begin_s, configured))


class Kitchen(VirtualCluster):
    """A virtual cluster of cooks, whose messages all take equally long."""

    restart_s = 1.5

    def __init__(self, deployment: Deployment, link: LinkSpec, blocks: int) -> None:
        super().__init__(deployment, link, blocks)
        self.log.append(self.router.deployed(0.0))
        self.apply(self.router.set_link(link, 0.0))

    def station(self, name: str) -> Cook:
        return Cook(self, name)

    def hop_s(self) -> float:
        return 0.0005

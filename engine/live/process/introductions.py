"""Workers on GPUs open their ways to each other before the first tray, and say if they can't.

Not every two can: MIG's parts, containers apart and GPUs in exclusive use share no memory. That is to be known when the
engine starts, in one sentence, and not from trays that fail. Nor does a first tray then pay for what is set up once.
"""

from collections.abc import Iterator, Sequence

from engine.errors import WorkerFailed
from engine.live.process.seat import Seat
from engine.messages import Meet, Met
from engine.scenario import Deployment

Pair = tuple[str, str]  # names of sender and receiver


class Introductions:
    """Which workers have been asked to meet, and which have answered."""

    def __init__(self) -> None:
        self._asked: set[tuple[Pair, str]] = set()  # by pair and transport
        self._open: set[tuple[Pair, bytes]] = set()  # asked, and not answered; with the receiver's endpoint

    def due(self, seats: Sequence[Seat], deployment: Deployment) -> Iterator[tuple[Seat, Meet]]:
        """Those that this deployment needs and nobody has asked for, with the seat to ask."""
        roles = list(zip(seats, deployment.policies, strict=True))
        senders = [seat for seat, policy in roles if policy == "prefill_only" and seat.place != "cpu"]
        receivers = [seat for seat, policy in roles if policy != "prefill_only"]
        for sender in senders:
            for receiver in receivers:
                pair = (sender.name, receiver.name)
                if sender.ready and receiver.ready and (pair, deployment.transport) not in self._asked:
                    endpoint = receiver.ready.endpoints[deployment.transport]
                    self._asked.add((pair, deployment.transport))
                    self._open.add((pair, endpoint))
                    yield sender, Meet(receiver.name, deployment.transport, endpoint)

    def answered(self, sender: Seat, met: Met, target: Seat) -> None:
        """Raises WorkerFailed if the two can't meet, but not for a target that has died meanwhile: its successor will
        be met."""
        asked = ((sender.name, met.target), met.endpoint)
        if met.why and asked in self._open and target.alive:
            raise WorkerFailed(f"{sender.name} on {sender.place} can't hand KV over to {met.target}. {met.why}")
        self._open.discard(asked)

    def made(self, sender: Seat) -> bool:
        """Whether the worker has met all that it was to meet."""
        return all(name != sender.name for (name, _), _ in self._open)

    def forget(self, seat: Seat) -> None:
        """Its worker is gone; the next one meets everybody itself."""
        self._asked = {(pair, transport) for pair, transport in self._asked if seat.name not in pair}
        self._open = {(pair, endpoint) for pair, endpoint in self._open if seat.name not in pair}

"""Which workers exist, which are up, and each one's role: those that a router may give an order to."""

from collections.abc import Sequence

from engine.messages import Ready
from engine.scenario import Deployment

UNLIMITED = 2**63 - 1


class Roster:
    """`workers` are names, in the order in which a deployment assigns roles.

    `roles`: the policy of every worker, up or not. `up`: the `Ready` of each that is up. Both are read-only outside.
    """

    def __init__(self, workers: Sequence[str], deployment: Deployment) -> None:
        self.most_tokens = UNLIMITED  # the longest request that every worker that is up can hold
        self.roles: dict[str, str] = dict(zip(workers, deployment.policies, strict=True))
        self.up: dict[str, Ready] = {}
        self._retired: set[str] = set()
        self._choosable: dict[str, list[str]] = {}

    def choosable(self, policy: str) -> Sequence[str]:
        """The workers of that role that are up and not retired."""
        return self._choosable.get(policy, ())

    def came(self, worker: str, ready: Ready) -> None:
        """The worker is up."""
        self.up[worker] = ready
        self._take_stock()

    def went(self, worker: str) -> None:
        """The worker is gone; its role stays, for its successor."""
        self.up.pop(worker, None)
        self._take_stock()

    def expect(self, worker: str, policy: str) -> None:
        """A new worker, whose role is known before it is up."""
        self.roles[worker] = policy

    def retire(self, worker: str) -> None:
        """Give the worker no more orders until it is assigned a role again."""
        self._retired.add(worker)
        self._take_stock()

    def assign(self, worker: str, policy: str) -> None:
        """Give a worker another role, also one that was to retire."""
        self._retired.discard(worker)
        self.roles[worker] = policy
        self._take_stock()

    def deal(self, deployment: Deployment) -> None:
        """Assign all roles again, by the deployment."""
        self.roles = dict(zip(self.roles, deployment.policies, strict=True))
        self._take_stock()

    def _take_stock(self) -> None:
        """Recompute what every order asks for: a rack has too many workers to search each time."""
        self._choosable = {}
        for name, policy in self.roles.items():
            if name in self.up and name not in self._retired:
                self._choosable.setdefault(policy, []).append(name)
        holds = (min(ready.blocks * ready.block_tokens, ready.context_tokens) for ready in self.up.values())
        self.most_tokens = min(holds, default=UNLIMITED)

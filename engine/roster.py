"""Which workers there are, which of them are up, and what each is for: whom a router may give an order to."""

from collections.abc import Sequence

from engine.messages import Ready
from engine.scenario import Deployment

UNLIMITED = 2**63 - 1


class Roster:
    """`workers` are names, in the order in which a deployment deals out its roles.

    `roles`: the policy of every worker, up or not. `up`: what those that are up have said of themselves. Both are for
    others to read.
    """

    def __init__(self, workers: Sequence[str], deployment: Deployment) -> None:
        self.most_tokens = UNLIMITED  # that each worker that is up can hold of one request
        self.roles: dict[str, str] = dict(zip(workers, deployment.policies, strict=True))
        self.up: dict[str, Ready] = {}
        self._retired: set[str] = set()
        self._choosable: dict[str, list[str]] = {}

    def choosable(self, policy: str) -> Sequence[str]:
        """The workers of that role that are up and given orders."""
        return self._choosable.get(policy, ())

    def came(self, worker: str, ready: Ready) -> None:
        self.up[worker] = ready
        self._take_stock()

    def went(self, worker: str) -> None:
        self.up.pop(worker, None)
        self._take_stock()

    def expect(self, worker: str, policy: str) -> None:
        """A new worker, whose role is known before it is up."""
        self.roles[worker] = policy

    def retire(self, worker: str) -> None:
        """It keeps its role and is given no more orders, until it is assigned one anew."""
        self._retired.add(worker)
        self._take_stock()

    def assign(self, worker: str, policy: str) -> None:
        self._retired.discard(worker)
        self.roles[worker] = policy
        self._take_stock()

    def deal(self, deployment: Deployment) -> None:
        """All roles anew."""
        self.roles = dict(zip(self.roles, deployment.policies, strict=True))
        self._take_stock()

    def _take_stock(self) -> None:
        """Kept up to date rather than looked up: it is asked of every order, and a rack has many workers."""
        self._choosable = {}
        for name, policy in self.roles.items():
            if name in self.up and name not in self._retired:
                self._choosable.setdefault(policy, []).append(name)
        holds = (min(ready.blocks * ready.block_tokens, ready.context_tokens) for ready in self.up.values())
        self.most_tokens = min(holds, default=UNLIMITED)

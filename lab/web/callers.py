"""How many sockets one client has open: a browser by its cookie, and all that come from one address.

A class may come from one address, and anybody can make up cookies: hence both, the second far larger.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import Scope

from lab.ui.learner import name_in_cookie


class MostSockets(NamedTuple):
    """How many sockets may be open at once."""

    browser: int = 32  # a tab has three or four
    address: int = 2000  # a class of 300 has 1,000


class Callers:
    """Who has how many sockets open, by browser and by address."""

    def __init__(self, most: MostSockets | None = None) -> None:
        self._most = most or MostSockets()
        self._open: Counter[tuple[str, str]] = Counter()

    def too_many(self, scope: Scope) -> bool:
        """Whether this client may open no further socket now."""
        return any(self._open[who] >= most for who, most in self._limits(scope))

    @contextmanager
    def one_more(self, scope: Scope) -> Iterator[None]:
        """Counted as long as it is open."""
        names = [who for who, _ in self._limits(scope)]
        self._open.update(names)
        try:
            yield
        finally:
            self._open.subtract(names)
            for who in names:
                if not self._open[who]:
                    del self._open[who]

    def _limits(self, scope: Scope) -> Iterator[tuple[tuple[str, str], int]]:
        address = (scope.get("client") or ("",))[0]
        yield ("address", address), self._most.address
        if name := name_in_cookie(Headers(scope=scope)):
            yield ("browser", name), self._most.browser

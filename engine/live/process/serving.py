"""What a host and a run ask of a front, whichever engine is behind it."""

from collections.abc import Sequence
from typing import Any, Protocol

from engine.events import Event
from engine.link import LinkSpec
from engine.request import Request
from engine.scenario import Deployment


class Serving(Protocol):
    """`engine.live.process.front.Front` is one, and says what each of these means."""

    def now(self) -> float: ...

    @property
    def ready(self) -> bool:
        """Whether requests can be submitted now. After `deploy` that may take a while: `starting` says why."""

    @property
    def starting(self) -> str: ...

    @property
    def remarks(self) -> tuple[str, ...]:
        """What it does in a slower way than it should, as clauses: they stand beside the machine's name."""

    @property
    def idle(self) -> bool: ...

    def open_requests(self) -> list[str]: ...

    def standing(self) -> list[Event]: ...

    def submit(self, request: Request, t: float | None = None) -> None: ...

    def cancel(self, request: str) -> None: ...

    def set_link(self, link: LinkSpec) -> None: ...

    def deploy(self, deployment: Deployment) -> None: ...

    def kill(self, worker: str) -> None: ...

    def poll(self, timeout_s: float, also: Sequence[Any] = ()) -> list[Event]: ...

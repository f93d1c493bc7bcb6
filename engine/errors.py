"""What can go wrong, by where the fault lies.

    EngineError
    ├── BadInput        the caller: a field, its value, and what is allowed instead
    ├── WorkerFailed    the machine: a worker process would not start or would not stay up
    └── TransportFailed the network: bytes could not be moved to another worker

A broken invariant is our own bug: an `assert`, never one of these.
"""


class EngineError(Exception):
    """The root of everything the engine raises on purpose."""


class BadInput(EngineError):
    """One clear sentence: which field, which value, what is allowed. Raised before anything starts."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field} is {value!r}, but must be {allowed}.")
        self.field = field


class WorkerFailed(EngineError):
    """A worker process did not start, or died again and again before it was ready."""


class TransportFailed(EngineError):
    """The bytes of a tray could not be moved: the peer is gone or refused."""

"""What can go wrong, by where the fault lies.

    EngineError
    ├── BadInput        the caller: a field, its value, and what is allowed instead
    ├── PolicyRefused   the caller: a policy of their own broke a rule
    ├── WorkerFailed    the machine: a worker process would not start or would not stay up
    └── TransportFailed the network: bytes could not be moved to another worker

A broken invariant is our own bug: an `assert`, never one of these.
"""

MOST_SHOWN = 200  # letters of a wrong value
MOST_ALLOWED = 1000  # letters of what is allowed, which may quote a file


class EngineError(Exception):
    """The root of everything the engine raises on purpose."""


class BadInput(EngineError):
    """One clear sentence: which field, which value, what is allowed. Raised before anything starts."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field} is {_shown(value)}, but must be {_cut(' '.join(allowed.split()), MOST_ALLOWED)}.")
        self.field = field


def _shown(value: object) -> str:
    """On one line, and no longer than a line: a value may be a megabyte of anything."""
    said = repr(value[: 2 * MOST_SHOWN] if isinstance(value, str | bytes) else value)
    return _cut(said, MOST_SHOWN)


def _cut(said: str, most: int) -> str:
    return said if len(said) <= most else f"{said[:most]} ..."


class PolicyRefused(EngineError):
    """One clear sentence: which rule a policy of the caller's own has broken, at which step, with which request."""

    def __init__(self, says: str, rule: str = "") -> None:
        super().__init__(says, rule)  # both: SimPy makes an exception again from its arguments
        self.rule = rule

    def __str__(self) -> str:
        return str(self.args[0])


class WorkerFailed(EngineError):
    """A worker process did not start, or died again and again before it was ready."""


class TransportFailed(EngineError):
    """The bytes of a tray could not be moved: the peer is gone or refused."""

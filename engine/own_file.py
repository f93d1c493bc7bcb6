"""A file in which somebody has written how to serve: `policy`, `ships`, or both.

    def policy(waiting, running, chunk):    what a worker runs next, as the four in engine/policy.py
    def ships(tokens, prefill, decode):     whether a prompt is prefilled by a prefill worker, and its KV shipped

It runs only where its author has asked for it: in the process of a command or a notebook, and in the worker processes
that this starts with the file's path on their command lines. No message and no recording carries code.
"""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from engine.errors import BadInput, PolicyRefused
from engine.files import contents, reason
from engine.loads import Load
from engine.order import Order
from engine.own_limits import MOST_S, TookTooLong, limited
from engine.own_policy import QUICK, RAISES, STUCK, OwnPolicy, Written, raised
from engine.routing import Cached, LeastLoaded, Route, nothing_cached
from engine.scenario import Deployment, Kind, Scenario
from engine.stall import listed

MOST_BYTES = 1_000_000
ASKED_WITH = {"policy": ("waiting", "running", "chunk"), "ships": ("tokens", "prefill", "decode")}
ANSWERS = "`ships` returns True, to ship, or False, to prefill where it decodes"


class LoadSeen(NamedTuple):
    """What a split sees of a worker: tokens it has still to prefill, tokens it has still to make at most, tokens whose
    KV it holds or will hold, and its requests."""

    prefill_tokens: int
    output_tokens: int
    kv_tokens: int
    requests: int

    @classmethod
    def of(cls, load: Load) -> "LoadSeen":
        """As it is now."""
        return cls(load.prefill_tokens, load.output_tokens, load.kv_tokens, load.orders)


class OwnFile:
    """The file's source, compiled. Each worker gets functions of its own, as each worker process does.

    Raises BadInput if it is no Python, raises something when it is loaded, or defines nothing that can be asked.
    """

    def __init__(self, source: str | bytes, name: str) -> None:
        self.name = name
        try:
            self._code = compile(source, name, "exec")
        except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as wrong:
            at = f"line {wrong.lineno}, " if isinstance(wrong, SyntaxError) and wrong.lineno else ""
            why = wrong.msg if isinstance(wrong, SyntaxError) else str(wrong) or "its expressions are nested too deeply"
            raise BadInput("policy", name, f"a Python file: {at}{why}") from wrong
        defines = self._functions()
        self.has_policy, self.has_split = "policy" in defines, "ships" in defines
        if not defines:
            raise BadInput("policy", name, "a file that defines " + " or ".join(map(_call, ASKED_WITH)))

    @classmethod
    def read(cls, path: Path) -> "OwnFile":
        """The file at `path`. Raises BadInput if it cannot be read."""
        try:
            return cls(contents(path, MOST_BYTES), path.name)
        except OSError as wrong:
            raise BadInput("policy", str(path), f"a Python file: {reason(wrong)}") from wrong

    @property
    def kind(self) -> Kind:
        """The deployment that it is for: disaggregated if it splits, else co-located."""
        return "disaggregated" if self.has_split else "colocated"

    def deployed(self, scenario: Scenario) -> Scenario:
        """The scenario with what the file defines. Raises BadInput if they do not fit."""
        deployment = msgspec.structs.replace(
            scenario.deployment, kind=self.kind, own_policy=self.has_policy, own_split=self.has_split
        )
        return msgspec.structs.replace(scenario, deployment=deployment.checked(deployment.workers))

    def policy(self, worker: str) -> OwnPolicy:
        """Its policy, for one worker."""
        return OwnPolicy(self._functions()["policy"], worker, self.name)

    def route(self, cached: Cached = nothing_cached) -> "OwnSplit":
        """A route that asks its split."""
        return OwnSplit(self._functions()["ships"], self.name, cached)

    def _functions(self) -> dict[str, Written]:
        """Run the file, and take what it defines."""
        module: dict[str, Any] = {"__name__": "own_policy", "__file__": self.name}
        try:
            with limited():
                exec(self._code, module)
        except TookTooLong as wrong:
            raise BadInput("policy", self.name, f"a file that can be loaded within {MOST_S:g} seconds") from wrong
        except KeyboardInterrupt:
            raise
        except BaseException as wrong:
            why = f"a file that can be loaded: it raises {raised(wrong, self.name)}"
            raise BadInput("policy", self.name, why) from wrong
        found = {name: module[name] for name in ASKED_WITH if callable(module.get(name))}
        for name, function in found.items():
            try:
                inspect.signature(function).bind(*ASKED_WITH[name])
            except (TypeError, ValueError) as wrong:
                raise BadInput("policy", self.name, f"a file that defines {_call(name)}: {wrong}") from wrong
        return found


class OwnSplit(LeastLoaded):
    """The least loaded worker of a role, as always; a written function says which role a prompt is for."""

    def __init__(self, written: Written, file: str, cached: Cached = nothing_cached) -> None:
        super().__init__(cached)
        self._written = written
        self._file = file
        self._asked = 0

    def stays(self, order: Order, here: str, others: Sequence[str], loads: Mapping[str, Load], most: int) -> bool:
        if not others:
            return False  # it waits for a prefill worker, or the split would depend on which worker came up first
        self._asked += 1
        there = self.choose(order, others, loads)
        tokens = order.tokens - self.cached(order, here)
        try:
            with limited():
                ships = self._written(tokens, LoadSeen.of(loads[there]), LoadSeen.of(loads[here]))
        except TookTooLong as wrong:
            raise self._refused(order, f"it {STUCK}", QUICK) from wrong
        except KeyboardInterrupt:
            raise
        except BaseException as wrong:
            raise self._refused(order, f"it raises {raised(wrong, self._file)}", RAISES) from wrong
        if not isinstance(ships, bool):
            raise self._refused(order, f"it returns a value of type {type(ships).__name__}", ANSWERS)
        return not ships

    def _refused(self, order: Order, fault: str, rule: str) -> PolicyRefused:
        asked = f"asked {self._asked} times, now about {listed('request', [order.request.id])}"
        return PolicyRefused(f"{self._file}, `ships`: {asked}, {fault}; the rule: {rule}.", rule)


def _call(name: str) -> str:
    return f"`{name}({', '.join(ASKED_WITH[name])})`"


def needed(deployment: Deployment, own: OwnFile | None) -> OwnFile | None:
    """The file, if the deployment needs one. Raises BadInput if that has not come with the run."""
    if not (deployment.own_policy or deployment.own_split):
        return None
    if own is None:
        raise BadInput("policy", "its own", "given as a file: a recording or a scenario does not contain it")
    if (deployment.own_policy and not own.has_policy) or (deployment.own_split and not own.has_split):
        lacks = "policy" if deployment.own_policy and not own.has_policy else "ships"
        raise BadInput("policy", own.name, f"a file that defines {_call(lacks)}")
    return own


def route_for(deployment: Deployment, path: Path | None) -> Route:
    """What chooses a live deployment's workers; its file, if it needs one, is read now. Raises BadInput."""
    own = deployment.own_policy or deployment.own_split
    file = needed(deployment, OwnFile.read(path) if own and path else None)
    return file.route() if file and deployment.own_split else LeastLoaded()

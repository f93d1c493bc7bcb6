"""What kitchens are called, in the kitchen's words and in the field's, and how charts tell them apart."""

from collections.abc import Sequence

from engine.events import Watched
from engine.log import Log, seen_from_outside

HEADING = "Split Kitchen: prefill and decode at one station, or at two?"
TITLES: dict[str, str] = {
    "colocated": "Each cook does both",
    "chunked": "Prep cut into portions",
    "disaggregated": "Two stations and a pass",
    "own policy": "A policy of your own",
    "own split": "A split of your own",
    "endpoint": "A server, from outside",
}
SERVING: dict[str, str] = {
    "colocated": "co-located, prefill first",
    "chunked": "chunked prefill",
    "disaggregated": "disaggregated",
    "own policy": "co-located, own policy",
    "own split": "disaggregated, own split",
    "endpoint": "seen by its client",
}
# Colour and symbol. Contrast is at least 3:1 on a white and on a near-black page; the symbol works without colour.
LOOKS = {
    "colocated": ("#d95f02", "circle"),
    "chunked": ("#9467bd", "diamond"),
    "disaggregated": ("#1b9e77", "square"),
    "own policy": ("#d55e9b", "star"),
    "own split": ("#d55e9b", "star"),
    "endpoint": ("#0072b2", "x"),
}


def kind_of(log: Log) -> str:
    """The log's deployment, or "endpoint" for a client's log, which does not show the deployment."""
    return "endpoint" if seen_from_outside(log) else log.scenario.deployment.title


def titles(logs: Sequence[Log]) -> list[str]:
    """One unique title for each log."""
    made: list[str] = []
    for log in logs:
        title = TITLES[kind_of(log)]
        made.append(title if title not in made else f"{title}, {len(made) + 1}")
    return made


def intro(log: Log) -> str:
    """What this is and what its words mean, and whose work one sees."""
    return introduced(log.scenario.model.path, log.machine) + from_inside(log)


def from_inside(log: Log) -> str:
    """Whose engine it is, and what its moments mean, where it is not ours; else ""."""
    first = log.events[0] if log.events else None
    if not isinstance(first, Watched):
        return ""
    return f" What you see comes from inside {first.engine} {first.version}. {first.moments}"


def introduced(model: str, machine: str) -> str:
    """The opening paragraph of the Kitchen: what its orders, trays and cooks are."""
    return (
        f"Every order is a prompt, and a real language model ({model}) serves it on {machine}. Prep reads a whole "
        "prompt at once (prefill) and fills a tray with its KV cache; plating adds one token to every answer, step by "
        "step (decode). One cook can do both, or two cooks one each: then every tray must cross the pass between them."
    )

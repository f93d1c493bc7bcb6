"""What a failure is, and what comes of it: one rule for every command, page and export.

A request failed if its log says so: no handoff of it succeeded, or a server gave no answer. Its times and tokens enter
no statistic (`engine.metrics`), it meets no objective (`engine.goodput`), and a command says so before all else and
ends with exit code 1. So does a run none of whose handoffs succeeded: its answers were made by prefilling again, so it
measured another deployment than the one that was asked for.
"""

from collections.abc import Sequence

from engine.events import Arrived, Event, Failed, Finished, HandoffEnded, HandoffOffered, Recalled

FAILED = "failed"  # as `Finished` says it


def failed_requests(events: Sequence[Event]) -> dict[str, str]:
    """Why, by request, in order of failing."""
    why: dict[str, str] = {}
    failed: dict[str, str] = {}
    for event in events:
        if isinstance(event, Recalled | Failed):
            why[event.request] = event.why
        elif isinstance(event, Finished) and event.reason == FAILED:
            failed[event.request] = why.get(event.request, "nobody said why")
    return failed


def said_first(events: Sequence[Event]) -> list[str]:
    """A sentence for each kind of failure; none if there was none."""
    failed = failed_requests(events)
    asked = sum(isinstance(event, Arrived) for event in events)
    sentences = []
    if failed:
        first = _sentence(next(iter(failed.values())))
        few = f"{len(failed)} of {asked} requests failed, the first because of this: {first}"
        sentences.append(few if len(failed) < asked else f"No request was answered. {first}")
    offered = {event.request for event in events if isinstance(event, HandoffOffered)}
    landed = any(isinstance(event, HandoffEnded) and event.verified is not False for event in events)
    lost = [event for event in events if isinstance(event, Recalled) and event.request in offered]
    lost = [event for event in lost if event.why != "cancelled"]
    if lost and not landed:
        again = "No handoff succeeded, so what was answered was prefilled again for each token"
        sentences.append(f"{again}; the last one failed because of this: {_sentence(lost[-1].why)}")
    return sentences


def _sentence(why: str) -> str:
    return f"{why[:1].upper()}{why[1:].rstrip('.')}."

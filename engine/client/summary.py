"""What a client's log can and cannot say, in sentences. Imports no HTTP client, so pages can use it for recordings."""

from engine.events import Arrived, Counted, Failed, Finished
from engine.failures import FAILED
from engine.log import Log, seen_from_outside


def sentences(log: Log) -> list[str]:
    """What a client's log shows, and whether both sides counted the same tokens. Needs a log seen from outside."""
    outside = seen_from_outside(log)
    assert outside is not None
    asked = [event for event in log.events if isinstance(event, Arrived)]
    lost = [event for event in log.events if isinstance(event, Failed)]
    lines = [
        f"Seen by a client of {outside.model} at {outside.endpoint}: the time to first token includes queueing, "
        "prefill and any handoff, and what the workers did cannot be seen from here."
    ]
    if lost:
        lines.append(f"{len(lost)} of {len(asked)} requests failed.")
    return [*lines, *_ended_early(log, asked), *_counted(log, asked)]


def _ended_early(log: Log, asked: list[Arrived]) -> list[str]:
    """Whether the server ignored --ignore-eos, which is not part of the standard."""
    if not log.scenario.workload.ignore_eos:
        return []
    wanted = {event.request: event.max_output_tokens for event in asked}
    made = {e.request: e.output_tokens for e in log.events if isinstance(e, Finished) and e.reason != FAILED}
    made |= {e.request: e.output_tokens for e in log.events if isinstance(e, Counted) and e.request in made}
    short = sum(tokens < wanted[request] for request, tokens in made.items())
    if not short:
        return []
    return [f"The server does not keep to --ignore-eos: {short} of {len(made)} answers are shorter than was asked for."]


def _counted(log: Log, asked: list[Arrived]) -> list[str]:
    counts = {event.request: event for event in log.events if isinstance(event, Counted)}
    made = {event.request: event.output_tokens for event in log.events if isinstance(event, Finished)}
    both = [(event.prompt_tokens, counts[event.request]) for event in asked if event.request in counts]
    if not both:
        return ["The server did not say how many tokens it counted; each chunk of an answer counts as one token."]
    ours, theirs = sum(own for own, _ in both), sum(count.prompt_tokens for _, count in both)
    lines = [f"Prompt tokens: {ours:,} by the tokenizer here, {theirs:,} as the server counts."]
    pieces, tokens = sum(made[c.request] for _, c in both), sum(c.output_tokens for _, c in both)
    if pieces != tokens:
        lines.append(
            f"Answers came in {pieces:,} chunks, and the server counts {tokens:,} tokens: gaps are between chunks."
        )
    return lines

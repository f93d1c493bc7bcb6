"""One table joins the three ways to speak of the same thing. The engine uses the second column only.

The kitchen is for seeing, serving for reading vLLM's or Dynamo's documentation, cluster for those who run the machines.
"""

from typing import NamedTuple


class Word(NamedTuple):
    """One thing in three languages, and one sentence that says what it does."""

    kitchen: str
    serving: str
    cluster: str
    says: str


WORDS: dict[str, Word] = {
    "order": Word("order", "request", "job", "Somebody asks for an answer: a prompt goes in, tokens come out."),
    "door": Word("door", "waiting queue", "job queue", "Accepted orders hang here until a station takes them."),
    "prep": Word(
        "prep station",
        "prefill, compute-bound",
        "compute-optimised pool, bursty jobs",
        "Reads the whole prompt in one burst and fills a tray with its KV cache.",
    ),
    "plating": Word(
        "plating line",
        "decode, memory-bandwidth-bound",
        "memory-optimised pool, long-lived services",
        "Adds one token to every plate per step, again and again.",
    ),
    "cook": Word(
        "all-round cook",
        "prefill and decode, co-located",
        "one pool",
        "The same worker preps and plates, and can do only one step at a time.",
    ),
    "portions": Word(
        "portioning cook",
        "chunked prefill and decode",
        "time slicing",
        "A long prompt is cut into pieces, so that plating goes on between them.",
    ),
    "hatch": Word(
        "hatch",
        "a server, seen by its client",
        "somebody else's service",
        "Orders go in, tokens come out. Who preps and who plates behind it cannot be seen from here.",
    ),
    "tray": Word(
        "tray",
        "KV cache of one request",
        "the data that is shipped",
        "All that decode must know about the prompt; its size grows with the prompt.",
    ),
    "shelf": Word("shelf", "KV blocks", "accelerator memory", "Room for trays. When it is full, orders wait."),
    "pass": Word(
        "the pass",
        "KV handoff over the interconnect",
        "pod-to-pod traffic",
        "Trays cross from prep to plating; a wider belt carries more bytes per second.",
    ),
    "broken_pass": Word(
        "the pass is broken",
        "NVLink down, falls back to PCIe or TCP",
        "degraded network",
        "Trays crawl or stand still, whatever the stations could do.",
    ),
    "expediter": Word(
        "expediter",
        "router and planner",
        "scheduler and autoscaler",
        "Decides which station gets an order and how many stations of each kind there are.",
    ),
    "served": Word("served", "finished", "completed", "The last token is out."),
}


def table() -> str:
    """The three languages side by side, in Markdown."""
    rows = [f"| {word.kitchen} | {word.serving} | {word.cluster} |" for word in WORDS.values()]
    return "\n".join(["| kitchen | serving | cluster |", "|---|---|---|", *rows])

"""The glossary: three ways to speak of the same thing, and the terms of serving. The engine uses the second column.


The kitchen is for picturing things, serving for reading vLLM's or Dynamo's documentation, cluster for running the
machines.
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
        "prefill",
        "pool of bursty jobs",
        "Reads the whole prompt in one burst and fills a tray with its KV cache.",
    ),
    "plating": Word(
        "plating line",
        "decode",
        "pool of long-lived services",
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
        "The road that trays take from prep to plating; a wider one carries more bytes per second.",
    ),
    "broken_pass": Word(
        "the pass is broken",
        "NVLink down, falls back to PCIe or TCP",
        "degraded network",
        "The usual road is gone, and trays must take another.",
    ),
    "expediter": Word(
        "expediter",
        "router and planner",
        "scheduler and autoscaler",
        "Decides which station gets an order and how many stations of each kind there are.",
    ),
    "served": Word("served", "finished", "completed", "The last token is out."),
}


TERMS: dict[str, str] = {
    "token": "A word or a piece of one: what a model reads and writes.",
    "layer": "One of the stages that every token passes through, one after the other.",
    "attention": "How a model looks back at earlier tokens, by their keys and values.",
    "KV head": "One of several sets of keys and values in a layer.",
    "to sample": "To choose the next token.",
    "TTFT": "Time to first token: from a request's arrival to its first token.",
    "ITL": "Inter-token latency: the gap between two tokens of an answer. Its tail is what readers notice.",
    "TPOT": "Time per output token: an answer's mean gap after its first token.",
    "tail": "The slowest few in a hundred: P99 is what only one in a hundred exceeds.",
    "batch": "The requests that one step works on together.",
    "chunk": "A piece of a prompt: what a step's budget (--max-num-batched-tokens in vLLM) leaves beside the answers.",
    "block": "A fixed number of tokens' KV cache, the unit in which memory is dealt out and shipped.",
    "bandwidth": "Bytes a second, of memory or of a link. Latency is the time until the first byte arrives.",
    "NVLink": "The direct link between GPUs; what it joins is an NVLink domain.",
    "RDMA": "A network card reads or writes another machine's memory without its processor.",
    "roofline": "The two limits of a machine, arithmetic and memory bandwidth; the knee is where they meet.",
    "P:D": "How many prefill workers there are for how many decode workers.",
    "SLO": "Service level objective: what has been promised, such as token 1 within a second.",
    "goodput": "Requests a second that met every promise.",
    "tensor parallelism (TP)": "One model cut across several GPUs that work on each step together.",
    "RAG": "Retrieval-augmented generation: documents are looked up and put before the question, so prompts are long.",
    "prefix cache": "KV kept from earlier prompts, for later ones that begin alike.",
}


def table() -> str:
    """The three languages side by side, with what each thing does; then the terms. In Markdown."""
    rows = [f"| {word.kitchen} | {word.serving} | {word.cluster} | {word.says} |" for word in WORDS.values()]
    terms = [f"| {term} | {says} |" for term, says in TERMS.items()]
    return "\n".join(
        [
            "| kitchen | serving | cluster | what it does |",
            "|---|---|---|---|",
            *rows,
            "",
            "| term | what it means |",
            "|---|---|",
            *terms,
        ]
    )

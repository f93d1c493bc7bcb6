"""How many KV blocks a worker's share of a GPU holds, beside the weights and what a step needs. No torch."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.live import gpus
from engine.live.model.folder import shapes, weight_files
from engine.live.model.shape import BYTES_PER_ELEMENT, KvShape
from engine.units import in_words
from engine.worker import MAX_RUNNING

ON_HOST = 2048  # blocks; the host gives memory only for those that are used
TAKEN_BYTES = gpus.CONTEXT_BYTES + 700_000_000  # the rest by CUDA's libraries, recorded steps and trays on their way
LONGEST_STEP = 32_768  # tokens that there is room to prefill at once
QUERIES = 512  # of each head, whose scores a step may keep at once


def kv_blocks(
    device: str, workers: int, model: str, weights_bytes: int, config: Mapping[str, Any], shape: KvShape
) -> int:
    """As many as the GPU with the least room for each of its workers has, and no more than `MAX_RUNNING` requests of
    the model's whole context need. Raises BadInput where not even one such request, or `LONGEST_STEP`, would fit."""
    places = gpus.places(device)
    taken = [places[number % len(places)] for number in range(workers)]
    shares = gpus.shares(taken)
    place = min(shares, key=shares.__getitem__)
    needed = weights_bytes + TAKEN_BYTES + _step_bytes(config, shape.dtype)
    whole: int = -(-config["max_position_embeddings"] // shape.block_tokens)
    least = min(whole, LONGEST_STEP // shape.block_tokens)
    blocks = (shares[place] - needed) // shape.tray_bytes(1)
    if blocks < least:
        each = in_words(needed + least * shape.tray_bytes(1), "B")
        there = next(gpu for gpu in gpus.found().gpus if f"cuda:{gpu.index}" == place)
        has = f"{there.name} has {in_words(there.free_bytes, 'B')} free for {taken.count(place)} workers"
        raise BadInput("model", model, f"small enough for {place}, or given --kv-blocks: {has}, and each needs {each}")
    return min(blocks, MAX_RUNNING * whole)


def weights_bytes(folder: Path, variant: str, dtype: str) -> int:
    """What a model's weights take in this dtype. Raises Damaged."""
    elements = sum(math.prod(shape) for shape in shapes(weight_files(folder, variant)).values())
    return elements * BYTES_PER_ELEMENT[dtype]


def _step_bytes(config: Mapping[str, Any], dtype: str) -> int:
    """What the longest step keeps at once: activations, and a few copies of some queries' scores."""
    tokens = min(LONGEST_STEP, config["max_position_embeddings"])
    activations = tokens * (8 * config["hidden_size"] + 3 * config["intermediate_size"])
    scores = 3 * tokens * QUERIES * config["num_attention_heads"]
    return int((activations + scores) * BYTES_PER_ELEMENT[dtype])

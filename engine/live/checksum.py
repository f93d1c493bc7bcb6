"""The checksum of a tray: xxh3-64 over its bytes in the order (layer, k or v, block), the same on both sides."""

from collections.abc import Sequence

import numpy as np
import xxhash

from engine.live.kv import KvPool
from engine.live.transport import pool_rows, tray_rows


def digest(pool: KvPool, blocks: Sequence[int]) -> str:
    """Of the tray that lies in `blocks`. Reads it once, a layer at a time, into one buffer that stays in the cache."""
    memory = pool_rows(pool)
    layers = tray_rows(pool.shape, pool.blocks, blocks).reshape(pool.shape.layers, -1)
    buffer = np.empty((layers.shape[1], memory.shape[1]), np.uint8)
    checksum = xxhash.xxh3_64()
    for layer in layers:
        np.take(memory, layer, axis=0, out=buffer, mode="clip")
        checksum.update(buffer.data)
    return checksum.hexdigest()

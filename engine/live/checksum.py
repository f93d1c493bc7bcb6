"""The checksum of a tray: xxh3-64 over its bytes in the order (layer, k or v, block), the same on both sides."""

from collections.abc import Sequence

import numpy as np
import xxhash

from engine.live.kv import KvPool
from engine.live.transport import PIECE_BYTES, pieces, pool_planes


def digest(pool: KvPool, blocks: Sequence[int]) -> str:
    """Of the tray that lies in `blocks`, read from where it lies, or through a buffer that stays in the cache."""
    memory = pool_planes(pool)
    planes, _, row_bytes = memory.shape
    buffer = np.empty((max(1, PIECE_BYTES // row_bytes), row_bytes), np.uint8)
    mine = np.asarray(blocks, np.int64)
    checksum = xxhash.xxh3_64()
    for piece in pieces("", memory, mine, mine, range(planes * len(mine)), buffer):
        for plane in piece.payload:
            checksum.update(plane)
    return checksum.hexdigest()

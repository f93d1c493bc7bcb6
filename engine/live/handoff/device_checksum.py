"""The checksum of a tray in a device's memory, made of operations that every device has, and so the same on all.

    sum over rows r of  key[r] x sum over words j of  weight[j] x word[r, j]      modulo 2**64

`r` counts the tray's rows. Keys and weights are odd, so a change of one word always shows; they are random, so rows
that changed places or words that moved show almost surely. To copy the tray to the host for xxh3 would take far longer
than the tray's own way.
"""

import numpy as np
import torch

from engine.live.compute.kv import Rows
from engine.live.compute.place import Place

PIECE_BYTES = 1 << 26  # what a piece takes is taken twice more while it is summed
OF_WEIGHTS, OF_KEYS, OF_LENGTHS = 1 << 40, 1 << 41, 1 << 42  # places in one random sequence, far from each other


class DeviceChecksum:
    """Of rows of a device's memory, int64 [row, word], in the order in which they are added, all by one thread."""

    def __init__(self, place: Place, row_bytes: int) -> None:
        self._place = place
        self._words = row_bytes // 8
        self._most = max(1, PIECE_BYTES // row_bytes)
        self._rows = 0
        self._weights: torch.Tensor | None = None  # made by the thread that adds: a device's work belongs to threads
        self._sum: torch.Tensor | None = None

    def add(self, memory: torch.Tensor, rows: Rows) -> None:
        """Add `rows`, int [n]."""
        for first in range(0, len(rows), self._most):
            some = rows[first : first + self._most]
            read, keys = self._place.put(np.stack((some, self._keys(len(some)))))
            self._add(memory.index_select(0, read), keys)

    def add_and_copy(self, memory: torch.Tensor, rows: Rows, into: torch.Tensor, places: Rows) -> None:
        """Add `rows`, int [n], and copy them to the rows `places`, int [n], of `into`, one for one, on any device."""
        for first in range(0, len(rows), self._most):
            some = slice(first, first + self._most)
            # all numbers at once: each copy from the host takes longer than a piece's own operations
            read, written, keys = self._place.put(np.stack((rows[some], places[some], self._keys(len(rows[some])))))
            gathered = memory.index_select(0, read)
            self._add(gathered, keys)
            into.index_copy_(0, written.to(into.device), gathered.to(into.device))

    def hexdigest(self) -> str:
        """Of everything added so far: 16 hexadecimal digits. Waits for the device."""
        total = 0 if self._sum is None else int(self._sum)
        return f"{(total + int(_odd(OF_LENGTHS + self._rows, 1)[0])) % 2**64:016x}"

    def _keys(self, count: int) -> Rows:
        """Of the next rows."""
        return _odd(OF_KEYS + self._rows, count)

    def _add(self, gathered: torch.Tensor, keys: torch.Tensor) -> None:
        if self._weights is None:
            self._weights = self._place.put(_odd(OF_WEIGHTS, self._words))
        made = ((gathered * self._weights).sum(1) * keys).sum()
        self._sum = made if self._sum is None else self._sum + made
        self._rows += len(gathered)


def _odd(first: int, count: int) -> Rows:
    """Odd random numbers, int64 [count]: SplitMix64's for the counter's values from `first` on."""
    mixed = np.arange(first, first + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31)) | np.uint64(1)).view(np.int64)

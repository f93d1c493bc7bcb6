"""The limits of one core of this machine, measured in turn with the engines."""

import sys
from functools import partial

import torch

from engine.bench.peers.talk import answer
from engine.live.machine.doctor import peak_flops_per_s, read_bytes_per_s


def main(dtype: str) -> None:
    """Answer requests on stdin: FLOP/s of square matrix products, and bytes/s of memory reads."""
    square = partial(peak_flops_per_s, getattr(torch, dtype))
    answer(lambda: {"flops_per_s": square, "read_bytes_per_s": read_bytes_per_s})


if __name__ == "__main__":
    main(*sys.argv[1:])

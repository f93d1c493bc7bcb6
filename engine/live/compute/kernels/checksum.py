"""xxh3-64 over rows of memory, compiled, so that one reading serves both the sum and the copy.

xxh3 takes a kibibyte in one go, and rows here are some of them: 16 stripes of 64 bytes, each added to eight lanes of 64
bits under another part of a secret, then a scramble of the lanes. xxhash's own library makes the same of them.
"""

import struct
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.live.compute.kernels.compiler import exactly
from engine.live.compute.kernels.vectors import INT, LONG, fetch

KIBIBYTE, STRIPE, LANES = 1024, 64, 8
AHEAD = 2048  # bytes to fetch ahead: the hardware alone stops at the end of every page
SHIFT, UINT64, UINT32 = 47, (1 << 64) - 1, (1 << 32) - 1

PRIME32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
PRIME64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
BEGIN = (PRIME32[2], *PRIME64[:4], PRIME32[1], PRIME64[4], PRIME32[0])
AVALANCHE = 0x165667919E3779F9
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)

SCRAMBLE_AT = 128  # in the secret
LANES_TYPE = ir.VectorType(LONG, LANES)


def secret(at: int) -> tuple[int, ...]:
    """Eight lanes of it, from this byte on."""
    return struct.unpack_from("<8Q", SECRET, at)


def _unscrambled(lane: int, key: int) -> int:
    turned = lane * pow(PRIME32[0], -1, 1 << 64) & UINT64 ^ key
    return turned ^ (turned >> SHIFT)


MERGE = secret(11)
LAST = (
    (-1, secret(SCRAMBLE_AT - LANES)),
    (1, secret(SCRAMBLE_AT - LANES + 1)),
)  # for the last stripe one byte further on

# The kernel scrambles before each kibibyte, not after, since the very last must not be. So it begins unscrambled.
BEFORE = np.array([_unscrambled(*pair) for pair in zip(BEGIN, secret(SCRAMBLE_AT), strict=True)], np.uint64)


class CompiledChecksum:
    """Of rows that are whole kibibytes, of [row, byte] memory."""

    def __init__(self) -> None:
        self._nbytes = 0
        self._lanes = BEFORE.copy()
        self._last_stripe = b""

    def add(self, memory: Any, rows: Any) -> None:
        add_rows(memory, rows, self._lanes)
        self._count(memory, rows)

    def add_and_copy(self, memory: Any, rows: Any, into: Any, places: Any) -> None:
        copy_rows(memory, rows, into, places, self._lanes)
        self._count(memory, rows)

    def hexdigest(self) -> str:
        """Of what was added so far, which is not nothing."""
        lanes, last = self._lanes.tolist(), struct.unpack("<8Q", self._last_stripe)
        for sign, keys in LAST:
            for lane, key in enumerate(keys):
                keyed = last[lane] ^ key
                lanes[lane] += sign * (last[lane ^ 1] + (keyed & UINT32) * (keyed >> 32))
        total = self._nbytes * PRIME64[0]
        for lane in range(0, LANES, 2):
            product = (lanes[lane] & UINT64 ^ MERGE[lane]) * (lanes[lane + 1] & UINT64 ^ MERGE[lane + 1])
            total += product & UINT64 ^ product >> 64
        total &= UINT64
        total = (total ^ total >> 37) * AVALANCHE & UINT64
        return f"{total ^ total >> 32:016x}"

    def _count(self, memory: Any, rows: Any) -> None:
        self._nbytes += len(rows) * memory.shape[1]
        self._last_stripe = memory[rows[-1], -STRIPE:].tobytes()


@exactly
def add_rows(memory: Any, rows: Any, lanes: Any) -> None:
    for row in rows:
        if not 0 <= row < len(memory):
            raise IndexError("no such row")
        _read(memory[row].ctypes.data, 0, memory.shape[1], lanes.ctypes.data)


@exactly
def copy_rows(memory: Any, rows: Any, into: Any, places: Any, lanes: Any) -> None:
    if len(places) != len(rows) or into.shape[1] != memory.shape[1]:
        raise IndexError("rows and places differ")
    for at in range(len(rows)):
        if not (0 <= rows[at] < len(memory) and 0 <= places[at] < len(into)):
            raise IndexError("no such row")
        _copy(memory[rows[at]].ctypes.data, into[places[at]].ctypes.data, memory.shape[1], lanes.ctypes.data)


def _stretch(copies: bool) -> Any:
    """A function `(source, target, nbytes, lanes)` for compiled code; all but `nbytes` are addresses."""

    @intrinsic
    def take(_typing: Any, source: Any, target: Any, nbytes: Any, lanes: Any) -> Any:
        def generate(context: Any, build: Any, _signature: Any, given: Any) -> Any:
            begin, to, length = given[:3]
            state = build.inttoptr(given[3], LANES_TYPE.as_pointer())
            running = cgutils.alloca_once_value(build, _load(build, state))
            with cgutils.for_range(build, build.udiv(length, LONG(KIBIBYTE))) as loop:
                offset = build.mul(loop.index, LONG(KIBIBYTE))
                ends = build.add(begin, offset), build.add(to, offset) if copies else None
                build.store(_kibibyte(build, build.load(running), *ends), running)
            build.store(build.load(running), state).align = LANES
            return context.get_dummy_value()

        return types.void(source, target, nbytes, lanes), generate

    return take


def _kibibyte(build: Any, lanes: Any, source: Any, target: Any) -> Any:
    """The lanes after one more."""
    lanes = build.xor(lanes, build.lshr(lanes, _every(SHIFT)))
    lanes = build.mul(build.xor(lanes, _secret(SCRAMBLE_AT)), _every(PRIME32[0]))
    neighbours = ir.Constant(ir.VectorType(INT, LANES), [lane ^ 1 for lane in range(LANES)])
    for stripe in range(KIBIBYTE // STRIPE):
        offset = LONG(stripe * STRIPE)
        here = build.add(source, offset)
        fetch(build, build.add(here, LONG(AHEAD)))
        data = _load(build, build.inttoptr(here, LANES_TYPE.as_pointer()))
        if target is not None:
            build.store(data, build.inttoptr(build.add(target, offset), LANES_TYPE.as_pointer())).align = LANES
        keyed = build.xor(data, _secret(stripe * LANES))
        product = build.mul(build.and_(keyed, _every(UINT32)), build.lshr(keyed, _every(32)))
        lanes = build.add(lanes, build.add(product, build.shuffle_vector(data, data, neighbours)))
    return lanes


def _every(number: int) -> Any:
    return ir.Constant(LANES_TYPE, [number] * LANES)


def _secret(at: int) -> Any:
    return ir.Constant(LANES_TYPE, secret(at))


def _load(build: Any, pointer: Any) -> Any:
    loaded = build.load(pointer)
    loaded.align = LANES
    return loaded


_read, _copy = _stretch(copies=False), _stretch(copies=True)

"""What numba cannot express: bf16, and sums that stay in vector registers. Written in LLVM's terms.

Weights and KV are handled as *words* of 32 bits: one number in fp32, or two in bf16, an even and an odd one of a row.
Taking the two apart costs one operation each. So whatever is multiplied with words of bf16 has first all its even
numbers and then all odd ones: see `in_halves` in numbers.py.

Only this file leans on numba's and llvmlite's internals: `numba.core.cgutils`, the code generation context's
`make_array` and `get_dummy_value`, and llvmlite's IR builder. numba, which chooses its llvmlite, is held to one minor
version in pyproject.toml; where compiling fails, `engine.live.compute.kernels.if_compiled` falls back to torch.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

FLOAT, INT, LONG, BYTE = ir.FloatType(), ir.IntType(32), ir.IntType(64), ir.IntType(8)
UPPER = 0xFFFF0000
INTO_L1 = (0, 3, 1)  # a prefetch for reading, into the nearest cache, of data
WIDE = bool(binding.get_host_cpu_features().get("avx512f"))  # vectors of 16 fp32 numbers instead of 8


@intrinsic
def as_float(_typing: Any, bits: Any) -> Any:
    """The fp32 number with these 32 bits."""
    return types.float32(types.uint32), lambda _context, build, _signature, given: build.bitcast(given[0], FLOAT)


@intrinsic
def as_bits(_typing: Any, number: Any) -> Any:
    """The 32 bits of an fp32 number."""
    return types.uint32(types.float32), lambda _context, build, _signature, given: build.bitcast(given[0], INT)


def dots(rows: int, outs: int, lanes: int) -> Any:
    """A function `(x, row, words, out, y, column)` for compiled code, unrolled over `rows`, `outs` and `lanes`.

    y[row + i, column + j] = x[row + i] @ words[out + j], for i below `rows` and j below `outs`. Each word is read once
    for all rows, and the next words are prefetched: the hardware alone is late at every new row of words. The length
    of a row of words is a multiple of `lanes`; `outs` is a power of 2.
    """

    @intrinsic
    def tile(_typing: Any, x: Any, row: Any, words: Any, out: Any, y: Any, column: Any) -> Any:
        def generate(context: Any, build: Any, _signature: Any, given: Sequence[Any]) -> Any:
            emit = _Emit(context, build, lanes, words.dtype == types.uint32)
            length = build.mul(emit.shape(words, given[2], 1), LONG(4))
            xs, weights = emit.rows(x, given[0], given[1], rows), emit.rows(words, given[2], given[3], outs)
            ahead = build.mul(emit.stride(words, given[2]), LONG(outs))

            def step(at: Any, sums: list[Any]) -> list[Any]:
                addresses = [build.add(weight, at) for weight in weights]
                for address in addresses:
                    prefetch(build, build.add(address, ahead))
                apart = [emit.numbers(address) for address in addresses]
                for half in range(len(apart[0])):
                    values = [emit.load(build.add(build.add(each, at), build.mul(length, LONG(half)))) for each in xs]
                    pairs = [(value, numbers[half]) for value in values for numbers in apart]
                    sums = [emit.multiply_add(*pair, to) for pair, to in zip(pairs, sums, strict=True)]
                return sums

            sums = emit.loop(length, 4 * lanes, [emit.zero] * (rows * outs), step)
            for i, begin in enumerate(emit.rows(y, given[4], given[1], rows)):
                emit.store(emit.totals(sums[i * outs : (i + 1) * outs]), build.add(begin, build.mul(given[5], LONG(4))))
            return context.get_dummy_value()

        return types.void(x, row, words, out, y, column), generate

    return tile


def mixes(rows: int, lanes: int) -> Any:
    """A function `(weights, row, at, words, first, count, y, column)`, unrolled over `rows` and `lanes`.

    y[row + i, column: column + lanes] += the sum over p below `count` of weights[row + i, at + p] * words[first + p,
    column: column + lanes], for i below `rows`. For words in bf16 this is the sum of the even numbers; that of the odd
    ones lies as many columns further on as a row has words.
    """

    @intrinsic
    def tile(
        _typing: Any, weights: Any, row: Any, at: Any, words: Any, first: Any, count: Any, y: Any, column: Any
    ) -> Any:
        def generate(context: Any, build: Any, _signature: Any, given: Sequence[Any]) -> Any:
            emit = _Emit(context, build, lanes, words.dtype == types.uint32)
            along = build.mul(given[7], LONG(4))
            shares = [
                build.add(each, build.mul(given[2], LONG(4))) for each in emit.rows(weights, given[0], given[1], rows)
            ]
            (begin,) = emit.rows(words, given[3], given[4], 1)
            stride, width = emit.stride(words, given[3]), build.mul(emit.shape(words, given[3], 1), LONG(4))
            halves = [build.mul(width, LONG(half)) for half in range(emit.halves)]
            ys = emit.rows(y, given[6], given[1], rows)
            places = [build.add(build.add(each, along), half) for each in ys for half in halves]

            def step(at: Any, sums: list[Any]) -> list[Any]:
                numbers = emit.numbers(build.add(build.add(begin, along), build.mul(at, stride)))
                broad = [emit.broadcast(build.add(share, build.mul(at, LONG(4)))) for share in shares]
                pairs = [(share, number) for share in broad for number in numbers]
                return [emit.multiply_add(*pair, to) for pair, to in zip(pairs, sums, strict=True)]

            for total, place in zip(
                emit.loop(given[5], 1, [emit.load(each) for each in places], step), places, strict=True
            ):
                emit.store(total, place)
            return context.get_dummy_value()

        return types.void(weights, row, at, words, first, count, y, column), generate

    return tile


def prefetch(build: Any, address: Any) -> None:
    """Load what lies at `address` into the nearest cache."""
    kind = ir.FunctionType(ir.VoidType(), [BYTE.as_pointer(), INT, INT, INT])
    instruction = cgutils.get_or_insert_function(build.module, kind, "llvm.prefetch.p0")
    build.call(instruction, [build.inttoptr(address, BYTE.as_pointer()), *map(INT, INTO_L1)])


class _Emit:
    """Writes vector instructions. Addresses are integers."""

    def __init__(self, context: Any, build: Any, lanes: int, in_bf16: bool) -> None:
        self._context, self._build, self._lanes = context, build, lanes
        self.halves = 2 if in_bf16 else 1
        self._floats, self._ints = ir.VectorType(FLOAT, lanes), ir.VectorType(INT, lanes)
        self.zero = ir.Constant(self._floats, [0.0] * lanes)

    def _array(self, kind: Any, given: Any) -> Any:
        return self._context.make_array(kind)(self._context, self._build, given)

    def shape(self, kind: Any, given: Any, dimension: int) -> Any:
        return self._build.extract_value(self._array(kind, given).shape, dimension)

    def stride(self, kind: Any, given: Any) -> Any:
        return self._build.extract_value(self._array(kind, given).strides, 0)

    def rows(self, kind: Any, given: Any, first: Any, count: int) -> list[Any]:
        """The addresses of `count` rows of an array, from row `first` on."""
        base, stride = self._build.ptrtoint(self._array(kind, given).data, LONG), self.stride(kind, given)
        return [
            self._build.add(base, self._build.mul(stride, self._build.add(first, LONG(row)))) for row in range(count)
        ]

    def loop(
        self, end: Any, by: int, values: Sequence[Any], step: Callable[[Any, list[Any]], list[Any]]
    ) -> Sequence[Any]:
        """From 0 to `end`, which is above 0. `step` maps the last values to new ones; returns the final ones."""
        build, before, inside, after = self._build, self._build.block, *(self._build.append_basic_block() for _ in "ab")
        build.branch(inside)
        build.position_at_end(inside)
        at = build.phi(LONG)
        current = [build.phi(value.type) for value in values]
        fresh = step(at, list(current))
        following = build.add(at, LONG(by))
        for phi, first, later in zip([at, *current], [LONG(0), *values], [following, *fresh], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, inside)
        build.cbranch(build.icmp_signed("<", following, end), inside, after)
        build.position_at_end(after)
        return fresh

    def load(self, address: Any, kind: Any = None) -> Any:
        loaded = self._build.load(self._build.inttoptr(address, (kind or self._floats).as_pointer()))
        loaded.align = 4
        return loaded

    def store(self, vector: Any, address: Any) -> None:
        self._build.store(vector, self._build.inttoptr(address, vector.type.as_pointer())).align = 4

    def broadcast(self, address: Any) -> Any:
        one = self._build.insert_element(self.zero, self.load(address, FLOAT), INT(0))
        return self._build.shuffle_vector(one, one, ir.Constant(self._ints, [0] * self._lanes))

    def numbers(self, address: Any) -> list[Any]:
        """The numbers in the words there: one vector of fp32, or for bf16 one of even and one of odd numbers."""
        if self.halves == 1:
            return [self.load(address)]
        words = self.load(address, self._ints)
        even = self._build.shl(words, ir.Constant(self._ints, [16] * self._lanes))
        odd = self._build.and_(words, ir.Constant(self._ints, [UPPER] * self._lanes))
        return [self._build.bitcast(half, self._floats) for half in (even, odd)]

    def multiply_add(self, a: Any, b: Any, to: Any) -> Any:
        fused = ("contract",)
        return self._build.fadd(self._build.fmul(a, b, flags=fused), to, flags=fused)

    def totals(self, vectors: Sequence[Any]) -> Any:
        """One vector with the sum of each vector: neighbouring lanes are added repeatedly, two vectors at a time."""
        wanted = len(vectors)
        while len(vectors) > 1:
            vectors = [self._neighbours(*pair) for pair in zip(vectors[::2], vectors[1::2], strict=True)]
        total = vectors[0]
        while total.type.count > wanted:
            total = self._neighbours(total, total, total.type.count // 2)
        return total

    def _neighbours(self, one: Any, other: Any, count: int = 0) -> Any:
        lanes = [*range(0, 2 * (count or one.type.count), 2)]
        kind = ir.VectorType(INT, len(lanes))
        even, odd = (ir.Constant(kind, [lane + odd for lane in lanes]) for odd in (0, 1))
        shuffled = [self._build.shuffle_vector(one, other, mask) for mask in (even, odd)]
        return self._build.fadd(*shuffled)

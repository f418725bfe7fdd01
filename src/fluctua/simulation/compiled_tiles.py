"""The gradient of a batch of whole rows, compiled: a few samples and a few outputs at once, their sums in registers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.cgutils import unpack_tuple
from numba.extending import overload

from .._arrays import Floating, Ints, Real
from .compiled_cache import OPTIONS, compiled
from .compiled_errors import AHEAD, answer, answer_ahead
from .compiled_vectors import Value, Vectors, instruction, register_bytes

__all__ = ["of_rows"]

TILE = AHEAD  # samples handled at once
_WIDE = 32  # bytes of a register: processors that have wider ones have 32 of them
_PLACE = ir.IntType(64)
_KEPT = np.arange(2 * TILE) % TILE  # where the samples of a tile are that is kept, and what would be read ahead


class _Tile:
    """Rows of a few samples against rows of the weights, a few outputs at once: (weights, x, places, errors)."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self.vectors = Vectors(context, builder, signature.args[0].dtype)
        self.builder = builder
        self.weights, self.x, self.places, self.errors = self.vectors.arrays(signature, arguments)
        self.outputs, self.features = unpack_tuple(builder, self.weights.shape)
        self.at_once = 5 if register_bytes(context) > _WIDE else 3  # outputs: 20 sums in 32 registers, or 12 in 16

    def samples(self, begin: int, many: int) -> list[Value]:
        """Return the rows of samples, as the places say."""
        spots = [self.vectors.at(self.places.data, ir.Constant(_PLACE, s)) for s in range(begin, begin + many)]
        return [self.vectors.row(self.x, self.builder.load(spot)) for spot in spots]

    def reading_ahead(self, begin: int, many: int) -> Callable[[Value], None]:
        """Return what asks for the memory of the numbers from one place on, of samples, as the places say."""
        rows = self.samples(begin, many)

        def ahead(j: Value) -> None:
            for row in rows:
                self.vectors.read_ahead(self.vectors.at(row, j))

        return ahead

    def rows(self, k: Value, many: int) -> list[Value]:
        """Return rows of the weights from row k on."""
        return [self.vectors.row(self.weights, self._next(k, q)) for q in range(many)]

    def error(self, k: Value, q: int, s: int) -> Value:
        """Return the place of the error of output k + q of a sample."""
        return self.vectors.at(self.vectors.row(self.errors, self._next(k, q)), ir.Constant(_PLACE, s))

    def over_outputs(self, body: Any) -> None:
        """Call `body` with each run of outputs: its first, and how many they are."""
        self.vectors.in_runs(ir.Constant(_PLACE, 0), self.outputs, self.at_once, body)

    def _next(self, k: Value, q: int) -> Value:
        return self.builder.add(k, ir.Constant(_PLACE, q))


def _dots_of(many: int) -> Any:
    """Return e_ks = v_k . x_s for so many samples, whose rows are places[:many]; half of the next are read ahead."""

    def dots(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        tile = _Tile(context, builder, signature, arguments)
        vectors, samples = tile.vectors, tile.samples(0, many)
        ahead = tile.reading_ahead(many, many - many // 2)

        def block(k: Value, outputs: int) -> None:
            rows, sums = tile.rows(k, outputs), [vectors.sums(outputs) for _ in range(many)]

            def add(j: Value, mask: Value) -> None:
                ahead(j)
                weights = [vectors.load(vectors.at(row, j), mask) for row in rows]
                for sample, mine in zip(samples, sums, strict=True):
                    x = vectors.load(vectors.at(sample, j), mask)
                    for place, v in zip(mine, weights, strict=True):
                        builder.store(vectors.multiply_add(v, x, builder.load(place)), place)

            vectors.over(tile.features, add)
            for s, mine in enumerate(sums):
                for q, place in enumerate(mine):
                    builder.store(vectors.total(builder.load(place)), tile.error(k, q, s))

        tile.over_outputs(block)
        return context.get_dummy_value()

    return instruction("weights x places errors", dots)


def _products_of(many: int) -> Any:
    """Return g_k += sum_s e_ks x_s for so many samples, whose rows are places[:many]; the other half is read ahead."""

    def products(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        tile = _Tile(context, builder, signature, arguments)
        vectors, samples = tile.vectors, tile.samples(0, many)
        ahead = tile.reading_ahead(2 * many - many // 2, many // 2)

        def block(k: Value, outputs: int) -> None:
            rows = tile.rows(k, outputs)
            read = [[builder.load(tile.error(k, q, s)) for q in range(outputs)] for s in range(many)]
            errors = [[vectors.spread(each) for each in of_sample] for of_sample in read]

            def add(j: Value, mask: Value) -> None:
                ahead(j)
                places = [vectors.at(row, j) for row in rows]
                sums = [vectors.load(place, mask) for place in places]
                for sample, mine in zip(samples, errors, strict=True):
                    x = vectors.load(vectors.at(sample, j), mask)
                    sums = [vectors.multiply_add(e, x, sum_) for e, sum_ in zip(mine, sums, strict=True)]
                for place, sum_ in zip(places, sums, strict=True):
                    vectors.store(sum_, place, mask)

            vectors.over(tile.features, add)

        tile.over_outputs(block)
        return context.get_dummy_value()

    return instruction("weights x places errors", products)


_dots, _products = _dots_of(TILE), _products_of(TILE)
_dots_of_one, _products_of_one = _dots_of(1), _products_of(1)


def _read(x: Any, places: Ints, kept: Real) -> tuple[Real, Ints]:
    """Return an array, and which of its rows are those samples; chosen by the type of x where it is compiled."""
    raise NotImplementedError


@overload(_read, strict=False, jit_options=OPTIONS)  # type: ignore[arg-type]
def _reader(x: Any, places: Any, kept: Any) -> Any:
    del places, kept
    return _widened if isinstance(x, types.BaseTuple) else _as_they_lie


def _as_they_lie(x: Real, places: Ints, kept: Real) -> tuple[Real, Ints]:  # noqa: ARG001
    return x, places


def _widened(x: Any, places: Ints, kept: Real) -> tuple[Real, Ints]:
    """Numbers of 16 bits are widened in the order of the tile: (bits, what each means, factors of the rows)."""
    bits, table, factors = x
    for s in range(len(kept)):
        row, factor = bits[places[s]], factors[places[s]]
        for j in range(kept.shape[1]):
            kept[s, j] = table[row[j]] * factor
    return kept, _KEPT


@compiled
def of_rows(v: Real, x: Any, answers: Any, order: Ints, size: int, scale: Floating, g: Real) -> None:
    """Add to g scale times the sum over order[:size] of e_i x_i^T, e_i the error of sample i, such as V x_i + r_i.

    `order` goes on after the batch with what is read next, for twice `AHEAD` samples at least.
    """
    e, kept = np.empty((len(v), TILE), v.dtype), np.empty((TILE, v.shape[1]), v.dtype)
    whole = size - size % TILE
    for begin in range(0, whole, TILE):
        rows, places = _read(x, order[begin:], kept)
        _dots(v, rows, places, e)
        for s in range(TILE):
            answer_ahead(order[begin + TILE + s], answers)
            answer(e, s, order[begin + s], answers, scale)
        _products(g, rows, places, e)
    for begin in range(whole, size):
        rows, places = _read(x, order[begin:], kept[:1])
        _dots_of_one(v, rows, places, e)
        answer_ahead(order[begin + TILE], answers)
        answer(e, 0, order[begin], answers, scale)
        _products_of_one(g, rows, places, e)

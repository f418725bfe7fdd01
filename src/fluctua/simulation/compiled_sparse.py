"""The gradient of a batch of rows that are mostly zeros, compiled: a number of a row times all outputs at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core.cgutils import unpack_tuple

from .._arrays import Floating, Ints, Real
from .compiled_cache import compiled
from .compiled_errors import AHEAD, answer, answer_ahead
from .compiled_vectors import Value, Vectors, instruction, read_ahead
from .memory_lines import LINE
from .sparse import WIDTHS

__all__ = ["of_sparse_rows"]

_UNROLLED = 4  # numbers of a row at once: so many sums, so that none waits for the one before
_PLACE = ir.IntType(64)


class _Row:
    """A row's numbers, and one vector of the outputs of each feature: (matrix, words, begin, count, ahead, errors).

    Its words begin at `begin`, and those of a row to come at `ahead`.
    """

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any, lanes: int) -> None:
        self.vectors, self.builder = Vectors(context, builder, signature.args[0].dtype, lanes), builder
        matrix, words, begin, self.count, ahead, errors = self.vectors.arrays(signature, arguments)
        at, bits = self.vectors.at, [each.dtype.bitwidth for each in signature.args[:2]]
        self.matrix, self.all_errors, ratio = matrix.data, errors.data, bits[0] // bits[1]
        numbers = at(words.data, begin)
        self.columns = at(numbers, builder.mul(self.count, ir.Constant(_PLACE, ratio)))
        self.values, self.align = builder.bitcast(numbers, self.matrix.type), bits[1] // 8
        self.later, self.words = at(words.data, ahead), ir.Constant(_PLACE, 1 + ratio)
        self.width = unpack_tuple(builder, errors.shape)[0]

    def beginning(self, first: Value) -> None:
        """Take the outputs from the first of the vector on."""
        self.first, self.errors = first, self.vectors.at(self.all_errors, first)

    def number(self, p: Value) -> tuple[Value, Value]:
        """Return number p of the row in every lane, and the place of its feature's outputs."""
        builder, at = self.builder, self.vectors.at
        column = builder.zext(builder.load(at(self.columns, p)), _PLACE)
        value = self.vectors.spread(builder.load(at(self.values, p), align=self.align))
        return value, at(self.matrix, builder.add(builder.mul(column, self.width), self.first))

    def ask_ahead(self, p: Value) -> None:
        """Ask for the memory of number p of the row to come: not all at once, as the memory answers few at a time."""
        self.vectors.read_ahead(self.vectors.at(self.later, self.builder.mul(p, self.words)))

    def over(self, body: Callable[[Value, Value, int], None], begin: Callable[[Value], None] | None = None) -> None:
        """Call `body` with each number of the row, its feature's outputs, and which of the `_UNROLLED` it is.

        `begin` is called before with the place of the first of these.
        """

        def run(p: Value, many: int) -> None:
            if begin is not None:
                begin(p)
            for u in range(many):
                body(*self.number(self.builder.add(p, ir.Constant(_PLACE, u))), u)

        self.vectors.in_runs(ir.Constant(_PLACE, 0), self.count, _UNROLLED, run)


def _of_each_width(write: Callable[[_Row], None]) -> Any:
    """Return a function of compiled code that does with all outputs what is written for one vector of them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
        for lanes in WIDTHS:
            row = _Row(context, builder, signature, arguments, lanes)

            def part(first: Value, row: _Row = row) -> None:
                row.beginning(first)
                write(row)

            is_it = ">=" if lanes == WIDTHS[-1] else "=="
            with builder.if_then(builder.icmp_signed(is_it, row.width, ir.Constant(_PLACE, lanes))):
                row.vectors.through(ir.Constant(_PLACE, 0), row.width, lanes, part)
        return context.get_dummy_value()

    return instruction("matrix words begin count ahead errors", generate)


def _write_dot(row: _Row) -> None:
    """Write e = sum_p x_p v[column_p], and read ahead."""
    vectors, builder = row.vectors, row.builder
    sums = vectors.sums(_UNROLLED)

    def add(value: Value, place: Value, u: int) -> None:
        builder.store(vectors.multiply_add(vectors.load(place), value, builder.load(sums[u])), sums[u])

    row.over(add, row.ask_ahead)
    total, *others = (builder.load(each) for each in sums)
    for other in others:
        total = vectors.add(total, other)
    vectors.store(total, row.errors)


def _write_product(row: _Row) -> None:
    """Write g[column_p] += x_p e for each number of the row."""
    vectors, errors = row.vectors, row.vectors.load(row.errors)

    def add(value: Value, place: Value, u: int) -> None:
        del u
        vectors.store(vectors.multiply_add(errors, value, vectors.load(place)), place)

    row.over(add)


_dot, _product = _of_each_width(_write_dot), _of_each_width(_write_product)


@compiled
def of_sparse_rows(v: Real, x: Any, answers: Any, order: Ints, size: int, scale: Floating, g: Real) -> None:
    """Add to g scale times the sum over order[:size] of e_i x_i^T, features first, as `SparseRows.laid` has it."""
    begins, words, outputs, width = x
    e = np.zeros((width, 1), v.dtype)
    known = e[:outputs]
    of_number = 1 + v.itemsize // words.itemsize
    for s in range(size):
        i, later = order[s], order[s + AHEAD]
        read_ahead(begins, order[s + 2 * AHEAD])
        answer_ahead(later, answers)
        begin, ahead, end = begins[i] * of_number, begins[later] * of_number, begins[later + 1] * of_number
        count = begins[i + 1] - begins[i]
        _dot(v, words, begin, count, ahead, e)
        for p in range(ahead + count * of_number, end, LINE // words.itemsize):
            read_ahead(words, p)
        answer(known, 0, i, answers, scale)
        _product(g, words, begin, count, ahead, e)

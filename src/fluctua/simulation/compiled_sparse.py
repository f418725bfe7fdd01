"""The gradient of a batch of rows that are mostly zeros, compiled: a number of a row times all outputs at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core.cgutils import unpack_tuple

from .._arrays import Floating, Ints, Real
from .compiled_cache import compiled
from .compiled_errors import answer
from .compiled_vectors import Value, Vectors, instruction
from .sparse import WIDTHS

__all__ = ["of_sparse_rows"]

_UNROLLED = 4  # numbers of a row at once: so many sums, so that none waits for the one before
_AHEAD = 2  # samples
_LINE = 64  # bytes
_PLACE = ir.IntType(64)


class _Row:
    """A row's numbers, and one vector of the outputs of each feature: (matrix, columns, values, begin, end, errors)."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any, lanes: int) -> None:
        self.vectors, self.builder = Vectors(context, builder, signature.args[0].dtype, lanes), builder
        matrix, columns, values, self.begin, self.end, errors = self.vectors.arrays(signature, arguments)
        self.matrix, self.columns, self.values, self.all_errors = (
            each.data for each in (matrix, columns, values, errors)
        )
        self.width = unpack_tuple(builder, errors.shape)[0]

    def beginning(self, first: Value) -> None:
        """Take the outputs from the first of the vector on."""
        self.first, self.errors = first, self.vectors.at(self.all_errors, first)

    def number(self, p: Value) -> tuple[Value, Value]:
        """Return number p of the row in every lane, and the place of its feature's outputs."""
        builder, at = self.builder, self.vectors.at
        column = builder.zext(builder.load(at(self.columns, p)), _PLACE)
        value = self.vectors.spread(builder.load(at(self.values, p)))
        return value, at(self.matrix, builder.add(builder.mul(column, self.width), self.first))

    def over(self, body: Callable[[Value, Value, int], None]) -> None:
        """Call `body` with each number of the row, its feature's outputs, and which of the `_UNROLLED` it is."""

        def run(p: Value, many: int) -> None:
            for u in range(many):
                body(*self.number(self.builder.add(p, ir.Constant(_PLACE, u))), u)

        self.vectors.in_runs(self.begin, self.end, _UNROLLED, run)


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

    return instruction("matrix columns values begin end errors", generate)


def _write_dot(row: _Row) -> None:
    """Write e = sum_p x_p v[column_p]."""
    vectors, builder = row.vectors, row.builder
    sums = vectors.sums(_UNROLLED)

    def add(value: Value, place: Value, u: int) -> None:
        builder.store(vectors.multiply_add(vectors.load(place), value, builder.load(sums[u])), sums[u])

    row.over(add)
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


def _write_reading_ahead(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
    """Ask for the line of memory of one number of an array."""
    vectors = Vectors(context, builder, signature.args[0].dtype, 1)
    array, place = vectors.arrays(signature, arguments)
    vectors.read_ahead(vectors.at(array.data, place))
    return context.get_dummy_value()


_dot, _product = _of_each_width(_write_dot), _of_each_width(_write_product)
_read_ahead = instruction("array place", _write_reading_ahead)


@compiled
def of_sparse_rows(v: Real, x: Any, answers: Any, order: Ints, size: int, scale: Floating, g: Real) -> None:
    """Add to g scale times the sum over order[:size] of e_i x_i^T, features first, as `SparseRows.laid` has it."""
    begins, columns, values, outputs, width = x
    e = np.zeros((width, 1), v.dtype)
    known = e[:outputs]
    for s in range(size):
        i, later = order[s], order[s + _AHEAD]
        for p in range(begins[later], begins[later + 1], _LINE // values.itemsize):
            _read_ahead(values, p)
        for p in range(begins[later], begins[later + 1], _LINE // columns.itemsize):
            _read_ahead(columns, p)
        _dot(v, columns, values, begins[i], begins[i + 1], e)
        answer(known, 0, i, answers, scale)
        _product(g, columns, values, begins[i], begins[i + 1], e)

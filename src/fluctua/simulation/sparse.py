"""Rows that are mostly zeros, without the zeros: the compiled steps read these where it is less."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._arrays import AnyArray, DType, Ints
from .._half import HalfArray, Rows
from .._validate.sizes import available_bytes
from .compiling import compiled_module
from .memory_lines import in_lines

__all__ = ["WIDTHS", "SparseRows", "without_zeros"]

WIDTHS = (4, 8, 16)
"""Numbers of one vector of outputs."""

_LOOKED_AT = 256  # rows, before all of them are counted
_NARROW = 2**16  # features whose numbers fit into 16 bits


class SparseRows(NamedTuple):
    """The numbers of rows that are not zero, row after row.

    Attributes
    ----------
    begins : ndarray of int64, (N + 1,)
        Where each row's numbers begin.
    words : ndarray of uint16 or uint32
        Of each row its numbers, as they are, and then their columns: one run of memory.
    outputs : int
        Of the weights, c.
    width : int
        Numbers of a feature's outputs in `laid`: c and zeros.
    """

    begins: Ints
    words: AnyArray
    outputs: int
    width: int

    def laid(self, arrays: AnyArray) -> AnyArray:
        """Return weights, (..., c, d), as a copy with each feature's outputs together, (..., 1, d width)."""
        *others, _, features = arrays.shape
        shape = (*others, features, self.width)
        laid = in_lines(shape, arrays.dtype)
        laid[..., : self.outputs] = arrays.swapaxes(-1, -2)
        laid[..., self.outputs :] = 0
        return laid.reshape(*others, 1, -1)

    def unlaid(self, laid: AnyArray) -> AnyArray:
        """Return weights, (..., c, d), as a view of what `laid` made of them."""
        rows = laid.reshape(*laid.shape[:-2], -1, self.width)
        return rows[..., : self.outputs].swapaxes(-1, -2)


def without_zeros(rows: Rows, outputs: int) -> Rows | SparseRows:
    """Return rows without their zeros if steps on weights of so many outputs are quicker with them; else the rows.

    The copy takes 6 to 12 bytes for each number that is not zero.
    """
    if isinstance(rows, HalfArray):
        return rows
    width = _width(outputs)
    most = _even(outputs, width, rows.itemsize)
    if _share(rows[:: max(1, len(rows) // _LOOKED_AT)]) > most:
        return rows
    begins = compiled_module("compiled_rows").begins_of(rows)
    column: DType = np.dtype(np.uint16 if rows.shape[1] <= _NARROW else np.uint32)
    needed = float(begins[-1]) * (column.itemsize + rows.itemsize)
    if begins[-1] > most * rows.size or needed > 0.5 * available_bytes():
        return rows
    return _sparse(rows, begins, column, outputs, width)


def _sparse(rows: AnyArray, begins: Ints, column: DType, outputs: int, width: int) -> SparseRows:
    words = np.empty((begins[-1] + 1) * (1 + rows.itemsize // column.itemsize), column)
    compiled_module("compiled_rows").fill(rows, begins, words)
    for each in (begins, words):
        each.flags.writeable = False
    return SparseRows(begins, words, outputs, width)


def _even(outputs: int, width: int, itemsize: int) -> float:
    """The share of numbers that are not zero at which steps on either kind of rows take as long.

    In this unit a number of a whole row takes 5 + c, and one without zeros 7 + width, and more where the outputs of a
    few features fill the nearest cache. Fitted to steps with AVX-512 and AVX2 of b = 32, c = 1, 3, 10, 47, 100,
    d = 784, 3,072: there the kind that is taken at this share is up to a tenth slower than the other, and up to 27 %
    where c = 1 or 3. Where d is 64 whole rows are still taken at shares at which they are up to 60 % slower.
    """
    read = 0.56 if itemsize > 4 else 0.47  # whole rows take twice the memory in float64, the others 1.7 times
    return read * (5 + outputs) / (7 + width) / (1 + width / 200)


def _share(rows: AnyArray) -> float:
    """Numbers that are not zero."""
    return np.count_nonzero(rows) / max(rows.size, 1)


def _width(outputs: int) -> int:
    """Outputs and the zeros that fill the last vector of them."""
    lanes = next((each for each in WIDTHS if each >= outputs), WIDTHS[-1])
    return -(-outputs // lanes) * lanes

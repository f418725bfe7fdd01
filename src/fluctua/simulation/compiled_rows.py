"""Rows without their zeros, made by compiled code."""

from __future__ import annotations

import numpy as np

from .._arrays import Ints, Real
from .compiled_cache import compiled

__all__ = ["begins_of", "fill"]


@compiled
def begins_of(rows: Real) -> Ints:
    """Return where the numbers of each row begin that are not zero, and after the last row where they end."""
    begins = np.zeros(len(rows) + 1, np.int64)
    for i in range(len(rows)):
        count = 0
        for j in range(rows.shape[1]):
            count += rows[i, j] != 0
        begins[i + 1] = begins[i] + count
    return begins


@compiled
def fill(rows: Real, begins: Ints, words: Ints) -> None:
    """Write of each row the numbers that are not zero, then their columns; a number after what is a row's is lost."""
    ratio, columns = rows.itemsize // words.itemsize, np.empty(rows.shape[1] + 1, words.dtype)
    for i in range(len(rows)):
        begin, count = begins[i] * (1 + ratio), begins[i + 1] - begins[i]
        values = words[begin : begin + (count + 1) * ratio].view(rows.dtype)
        p = 0
        for j in range(rows.shape[1]):
            columns[p], values[p] = j, rows[i, j]
            p += rows[i, j] != 0
        begin += count * ratio
        words[begin : begin + count] = columns[:count]

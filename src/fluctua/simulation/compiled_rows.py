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
def fill(rows: Real, begins: Ints, columns: Ints, values: Real) -> None:
    """Write the numbers that are not zero, and their columns; one place more than there are is written over."""
    for i in range(len(rows)):
        p = begins[i]
        for j in range(rows.shape[1]):
            columns[p], values[p] = j, rows[i, j]
            p += rows[i, j] != 0

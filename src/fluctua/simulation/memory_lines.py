"""Lines of memory: what a processor reads at once, so that a vector which lies in two of them is read twice."""

from __future__ import annotations

import math

import numpy as np

from .._arrays import AnyArray, DType

__all__ = ["LINE", "in_lines", "lies_in_lines"]

LINE = 64
"""Bytes."""


def in_lines(shape: tuple[int, ...], dtype: DType) -> AnyArray:
    """Return an array, its numbers not set, that begins with a line."""
    size = math.prod(shape) * dtype.itemsize
    held = np.empty(size + LINE, np.uint8)
    begin = -held.ctypes.data % LINE
    return held[begin : begin + size].view(dtype).reshape(shape)


def lies_in_lines(array: AnyArray) -> bool:
    """Whether its last axis begins with a line everywhere, or cannot, as it does not end with one."""
    return array.shape[-1] * array.itemsize % LINE != 0 or array.ctypes.data % LINE == 0

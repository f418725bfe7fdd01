"""Arrays: their types, the even and the odd part of a matrix, and the standard error of a mean, each written once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["AnyArray", "Array", "Arrays", "Bools", "DType", "Floating", "Ints", "Real", "even", "odd", "standard_error"]

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floating = np.floating[Any]
Real = NDArray[Floating]
"""float32 or float64, as the data have it."""
AnyArray = NDArray[Any]
"""Of any type: labels, what a file holds, what the door has not read yet, products of float32 and float64."""
Arrays = Mapping[str, AnyArray]
"""What a result has beside its header, by name."""
DType = np.dtype[Any]


def even(matrix: Array) -> Array:
    """Return the symmetric part of a matrix or of each in a stack."""
    return np.asarray(0.5 * (matrix + matrix.swapaxes(-1, -2)))


def odd(matrix: Array) -> Array:
    """Return the antisymmetric part of a matrix or of each in a stack."""
    return np.asarray(0.5 * (matrix - matrix.swapaxes(-1, -2)))


def standard_error(values: Array) -> Array:
    """Return the standard error of the mean over the first axis, from the spread between its entries; NaN of one."""
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return np.asarray(np.std(values, axis=0, ddof=1) / np.sqrt(len(values)))

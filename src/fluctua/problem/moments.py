"""Sums over the samples, block by block, in the precision of the data."""

from __future__ import annotations

from collections.abc import Iterator
from math import log2

import numpy as np

from .._arrays import AnyArray, Array, DType

__all__ = [
    "BLOCK_ELEMENTS",
    "add_weighted_square",
    "bands",
    "blocks",
    "difference",
    "is_symmetric",
    "mirror",
    "mirrored",
    "quadratic_form",
    "squared_mean",
    "symmetric_form",
]

BLOCK_ELEMENTS = 2**23
"""Of one block of samples: 32 MB in float32, enough for GEMM to run at full speed."""
_BANDS = 4  # of rows of a symmetric matrix
_ROUNDED = 16.0  # epsilons of the precision, up to which a difference is rounding
_CACHED = 2**19  # elements that stay in a cache between two passes


def blocks(samples: int, width: int, elements: int = 0) -> Iterator[slice]:
    """Yield slices of samples whose rows of `width` elements fit a block of so many, or else of `BLOCK_ELEMENTS`."""
    rows = max((elements or BLOCK_ELEMENTS) // width, 256)
    for start in range(0, samples, rows):
        yield slice(start, start + rows)


def bands(r: int, count: int = _BANDS) -> Iterator[tuple[slice, slice]]:
    """Yield some rows of a symmetric matrix, and its columns from their diagonal on, at most `count` times."""
    height = -(-r // count)
    yield from ((slice(top, min(top + height, r)), slice(top, None)) for top in range(0, r, height))


def is_symmetric(matrix: Array) -> bool:
    """Whether a matrix equals its transpose, told without a copy."""
    return all(bool((matrix[rows, columns] == matrix[columns, rows].T).all()) for rows, columns in bands(len(matrix)))


def mirrored(matrix: AnyArray) -> Array:
    """The symmetric matrix, in float64, of which only `bands` are given."""
    return mirror(np.array(matrix, np.float64))


def mirror(matrix: Array, count: int = _BANDS) -> Array:
    """Fill in what `bands` leave out of a symmetric matrix, and return it."""
    for rows, columns in bands(len(matrix), count):
        matrix[columns, rows] = matrix[rows, columns].T
    return matrix


def quadratic_form(z: AnyArray, matrix: Array) -> Array:
    """z_i^T matrix z_i for each row; the products in the precision of z."""
    unit = _unit(matrix)
    return np.asarray(np.einsum("ij,ij->i", z @ (matrix / unit).astype(z.dtype), z), dtype=np.float64) * unit


def squared_mean(curvatures: Array, decay: Array, covariance: Array, mean: Array | None) -> Array:
    """E[p^T p] of the mean gradient p = V A - decay, (r, r), for E[V^T V] and E V in the modes."""
    out = curvatures[:, None] * covariance * curvatures + decay.T @ decay
    if mean is not None:
        cross = decay.T @ (mean * curvatures)
        out -= cross + cross.T
    return np.asarray(out)


def symmetric_form(z: AnyArray, matrix: AnyArray) -> Array:
    """The same of a symmetric matrix, of which only `bands` are read: less than two thirds of the products.

    They are NumPy's. SciPy's product with a triangle would be half of them, but its BLAS has threads of its own, and
    where both wait for work on the same cores, each takes time from the other.
    """
    unit, parts = _unit(matrix), []
    for rows, columns in bands(len(matrix)):
        band = (matrix[rows, columns] / unit).astype(z.dtype, copy=False).T
        band[rows.stop - rows.start :] *= 2
        parts.append((rows, columns, band))
    out = np.zeros(len(z))
    for some in blocks(len(z), len(matrix), _CACHED):
        for rows, columns, band in parts:
            out[some] += np.einsum("ij,ij->i", z[some, columns] @ band, z[some, rows])
    return out * unit


def add_weighted_square(out: Array, z: AnyArray, q: Array) -> None:
    """Add sum_i q_i z_i z_i^T of one block to `out`, a number to each: BLAS computes a triangle for either sign."""
    unit, squares = _unit(q), []
    for sign in (1, -1):
        rows = np.flatnonzero(sign * q > 0)
        if rows.size:
            root = z[rows]
            root *= np.sqrt(np.abs(q[rows]) / unit).astype(z.dtype)[:, None]
            squares.append((sign * unit, root.T @ root))
    for some in blocks(len(out), len(out), _CACHED):
        out[some] += sum(factor * square[some].astype(np.float64, copy=False) for factor, square in squares)


def difference(scattered: Array, taken: Array, dtype: DType) -> Array:
    """Two parts of C that cancel where all gradients are equal: what rounding leaves of them there is zero."""
    if not taken.any():
        return scattered
    sizes = np.sqrt(np.abs(np.diag(scattered)))
    rounding = _ROUNDED * np.finfo(dtype).eps * np.multiply.outer(sizes, sizes)
    out = scattered - taken
    return np.asarray(np.where((np.abs(out) <= rounding) & (taken != 0), 0.0, out))


def _unit(values: Array) -> float:
    """A power of four near the largest: in its units, which round nothing, small numbers stay in float32's range."""
    largest = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    return 4.0 ** int(np.clip(round(0.5 * log2(largest)), -511, 511)) if 0 < largest < np.inf else 1.0

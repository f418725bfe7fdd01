"""Sums over the samples, block by block, in the precision of the data."""

from __future__ import annotations

from collections.abc import Iterator
from math import log2

import numpy as np

from .._arrays import AnyArray, Array

__all__ = ["BLOCK_ELEMENTS", "blocks", "quadratic_form", "symmetric_form", "weighted_square"]

BLOCK_ELEMENTS = 2**23
"""Of one block of samples: 32 MB in float32, enough for GEMM to run at full speed."""
_BANDS = 4  # of rows of a symmetric matrix


def blocks(samples: int, width: int) -> Iterator[slice]:
    """Yield slices of samples whose rows of `width` elements fit a block."""
    rows = max(BLOCK_ELEMENTS // width, 256)
    for start in range(0, samples, rows):
        yield slice(start, start + rows)


def quadratic_form(z: AnyArray, matrix: Array) -> Array:
    """z_i^T matrix z_i for each row; the products in the precision of z."""
    unit = _unit(matrix)
    return np.asarray(np.einsum("ij,ij->i", z @ (matrix / unit).astype(z.dtype), z), dtype=np.float64) * unit


def symmetric_form(z: AnyArray, matrix: Array) -> Array:
    """The same of a symmetric matrix, less than two thirds of the products: those below the diagonal are left out."""
    unit, r, out = _unit(matrix), len(matrix), np.zeros(len(z))
    for top in range(0, r, height := -(-r // _BANDS)):
        end = min(top + height, r)
        band = matrix[top:end, top:] / unit
        band[:, end - top :] *= 2
        out += np.einsum("ij,ij->i", z[:, top:end] @ band.astype(z.dtype), z[:, top:])
    return out * unit


def weighted_square(z: AnyArray, q: Array) -> Array:
    """sum_i q_i z_i z_i^T of one block; the symmetric BLAS route needs q >= 0."""
    unit = _unit(q)
    q = q / unit
    if q.min() >= 0:
        root = z * np.sqrt(q).astype(z.dtype)[:, None]
        return np.asarray(root.T @ root, dtype=np.float64) * unit
    product = (z * q.astype(z.dtype)[:, None]).T @ z
    return np.asarray(0.5 * (product + product.T), dtype=np.float64) * unit


def _unit(values: Array) -> float:
    """A power of four near the largest: in its units, which round nothing, small numbers stay in float32's range."""
    largest = float(np.abs(values).max(initial=0.0))
    return 4.0 ** int(np.clip(round(0.5 * log2(largest)), -511, 511)) if 0 < largest < np.inf else 1.0

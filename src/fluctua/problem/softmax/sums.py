r"""Sums over the samples of a head, block by block, in the coordinates that data can move.

A matrix of weights is theta, (k, r): k free logits (`logits`), r modes of <x x^T>; z is a sample's input in these
modes. Per-sample k x k matrices q_i then make <q_i (x) z_i z_i^T> without ever forming (k r) x (k r) more than once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..._arrays import AnyArray, Array
from ..moments import BLOCK_ELEMENTS

__all__ = ["blocks_of", "forms", "gathered", "logits_of", "scattered"]


def blocks_of(z: AnyArray, outputs: int) -> Iterator[slice]:
    """Yield slices of samples, of which `outputs` products as wide as a row fit a block."""
    height = max(BLOCK_ELEMENTS // (z.shape[1] * outputs), 256)
    for start in range(0, len(z), height):
        yield slice(start, start + height)


def logits_of(z: AnyArray, theta: Array) -> Array:
    """Return theta z_i, (N, k), in float64; the products in the precision of z."""
    return np.asarray(z @ theta.T.astype(z.dtype), np.float64)


def gathered(z: AnyArray, values: Array) -> Array:
    """Return <values_i z_i^T>, (k, r)."""
    total = np.zeros((values.shape[1], z.shape[1]))
    for rows in blocks_of(z, 1):
        total += values[rows].T.astype(z.dtype) @ z[rows]
    return total / len(z)


def forms(z: AnyArray, s: Array, outputs: int, *, symmetric: bool = True) -> Array:
    """Return B_i = the covariance of logits, z^T S_ab z, (N, k, k), of S, (k r, k r), by default a symmetric one."""
    width = z.shape[1]
    out = np.empty((len(z), outputs, outputs))
    unit = float(np.abs(s).max(initial=0.0)) or 1.0
    for a in range(outputs):
        first = a if symmetric else 0
        right = (s[a * width : (a + 1) * width, first * width :] / unit).astype(z.dtype)
        for rows in blocks_of(z, outputs - first):
            product = (z[rows] @ right).reshape(-1, outputs - first, width)
            out[rows, a, first:] = unit * np.einsum("nbr,nr->nb", product, z[rows], dtype=np.float64)
        if symmetric:
            out[:, a:, a] = out[:, a, a:]
    return out


def scattered(z: AnyArray, q: Array, *, symmetric: bool = True) -> Array:
    """Return <q_i (x) z_i z_i^T>, (k r, k r), of q, (N, k, k), by default symmetric ones."""
    outputs, width = q.shape[1], z.shape[1]
    total = np.zeros((outputs, width, outputs, width))
    unit = float(np.abs(q).max(initial=0.0)) or 1.0
    for a in range(outputs):
        first = a if symmetric else 0
        for rows in blocks_of(z, outputs - first):
            weights = (q[rows, a, first:] / unit).astype(z.dtype)
            product = z[rows].T @ (weights[:, :, None] * z[rows, None, :]).reshape(len(weights), -1)
            total[a, :, first:, :] += product.reshape(width, outputs - first, width)
        for b in range(a + 1, outputs if symmetric else 0):
            total[b, :, a, :] = total[a, :, b, :].T
    return np.asarray(total.reshape(outputs * width, -1) * (unit / len(z)))

"""Epochs that cannot grow, told from the samples alone: a bound on the curvature of any batch."""

from __future__ import annotations

import numpy as np

from ..._arrays import Array
from ...problem.least_squares import LeastSquares
from ...recipe.sgd import Recipe

__all__ = ["batch_curvature", "steps_contract"]

_LOOKED_AT = 5000  # samples whose pairs are looked at; with more, one sample's own |x|^2 bounds a batch


def steps_contract(problem: LeastSquares, sgd: Recipe) -> bool:
    """Whether every step of plain SGD shrinks V, whatever the order of the samples.

    I - eta (A_B + gamma) has no eigenvalue beyond 1 in size where eta (h + gamma) <= 2, h the largest curvature that a
    batch can have. Sufficient, not necessary; with momentum nothing is known so cheaply.
    """
    if sgd.step.slots > 1:
        return False
    steepest = max(batch_curvature(problem, int(size)) for size in np.unique(sgd.batch_sizes(problem.samples)))
    return bool(sgd.lr * (steepest + sgd.weight_decay) < 2)


def batch_curvature(problem: LeastSquares, size: int) -> float:
    """Return a bound of the largest curvature of any batch of `size` samples.

    A_B has the eigenvalues of its Gram matrix x_i . x_j/b, which Gershgorin's circles hold: |x_i|^2 and the b - 1
    largest products of x_i with others. Cost: N^2 r flops, for up to 5,000 samples.
    """
    x = problem.projections.astype(np.float64, copy=False)
    squares = np.einsum("ij,ij->i", x, x)
    if size == 1 or len(x) > _LOOKED_AT:
        return float(squares.max())
    return float(max((squares[rows] + _others(x, rows, size - 1)).max() for rows in problem.blocks(len(x)))) / size


def _others(x: Array, rows: slice, count: int) -> Array:
    """The sum of the `count` largest |x_i . x_j| over j other than i, for some rows i."""
    products = np.abs(x[rows] @ x.T)
    here = np.arange(len(x))[rows]
    products[np.arange(len(here)), here] = 0
    return np.asarray(np.partition(products, -count, axis=1)[:, -count:].sum(axis=1))

"""Where few samples have most of the say in an epoch, so that its expansion may be off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..._arrays import AnyArray, Array
from ...problem.least_squares import LeastSquares

__all__ = ["crowding", "overshoots"]


def crowding(problem: LeastSquares, curvatures: Array) -> float:
    """Return the mean leverage (1/N) x^T H^-1 x of samples, each as often as its own, between r/N and 1.

    Leverages add up to r. Where few loud samples have most of it, the expansion behaves as with so few samples.
    """
    x = problem.projections
    leverages = np.einsum("ij,ij,j->i", x, x, 1 / curvatures, dtype=np.float64) / problem.samples
    return float(leverages @ leverages / leverages.sum())


def overshoots(problem: LeastSquares, sizes: Sequence[int] | AnyArray, effective_lr: float) -> bool:
    """Return whether a last batch of at most half the size could overshoot W*: eta max |x|^2/(1 - beta) > l."""
    x = problem.projections
    longest = float(np.einsum("ij,ij->i", x, x).max())
    return bool(2 * sizes[-1] <= sizes[0] and effective_lr * longest > sizes[-1])

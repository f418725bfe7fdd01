r"""Deviations of many elements at once, without being told where to look.

A contrast whose weights come from the tested theory sees of a deviation only its overlap with that theory. Here the
replicas say where to look: the mean deviation of one half of the groups, each element divided by its variance within
that half, is the direction along which the other half is tested,

    w = mean_A(D)/var_A(D),    E <w, D_j> = <w, E D> for every group j of B,

and zero under the truth whatever w is, because the halves are independent; Student's t over the groups of B then asks
for nothing new. Under any other truth the expected contrast is positive, so that the test is one-sided. Each half has
its turn as A.
"""

from __future__ import annotations

import numpy as np

from .._arrays import Array
from .significance import p_values, shift_caught

__all__ = ["crossed_p_values", "crossed_score"]

_FEWEST = 4  # groups: two in a half, so that it has a spread


def crossed_p_values(deviations: Array, floor: Array) -> Array:
    """Return the p-values of both halves' tests that all elements of `deviations`, (g, n), have mean zero.

    `floor`, (n,), is the standard error of rounding of each element. Empty below four groups, and without elements.
    """
    groups = len(deviations)
    if groups < _FEWEST or not deviations.shape[1]:
        return np.empty(0)
    first, second = deviations[: groups // 2], deviations[groups // 2 :]
    return np.array([_along(*halves, floor) for halves in ((first, second), (second, first))])


def _along(seen: Array, tested: Array, floor: Array) -> float:
    """One-sided p-value of `tested` along the mean of `seen`."""
    with np.errstate(all="ignore"):
        weights = seen.mean(axis=0) / np.maximum(seen.var(axis=0, ddof=1), len(seen) * floor**2)
        norm = np.sum(np.abs(weights) * floor)
        column = (tested @ weights)[:, None]
        both = float(p_values(column, np.array([norm]))[0])
    if not np.isfinite(column).all():
        return 0.0  # a replica diverged
    return 0.5 * both if column.mean() > 0 else 1.0 - 0.5 * both


def crossed_score(deviations: Array, shift: Array, level: float) -> float:
    r"""Return how far `crossed_p_values` would see a mean `shift`, (n,), over how far is seen with `POWER` at `level`.

    From the spread of `deviations`, (g, n), alone, so that what they found has no say: in units of each element's
    spread the expected contrast is |s|^2, and its variance s^T R s/b + tr R^2/(a b) for halves of a and b groups whose
    elements are correlated by R. Weights from a spread with a - 1 degrees of freedom cost (a - 5)/(a - 3) of the
    efficiency; below six groups in a half nothing can be said, and the score is 0.
    """
    groups = len(deviations)
    a, b = groups // 2, groups - groups // 2
    spread = deviations.std(axis=0, ddof=1)
    if a < 6 or not shift.any() or not (spread > 0).all():
        return 0.0
    unit, signal = (deviations - deviations.mean(axis=0)) / spread, shift / spread
    overlaps = unit @ unit.T
    pairs = np.sum(overlaps**2) - np.sum(np.diag(overlaps) ** 2)
    error = np.var(unit @ signal, ddof=1) / b + pairs / (groups * (groups - 1)) / (a * b)
    expected = float(signal @ signal) / np.sqrt(error)
    return float(expected * np.sqrt((a - 5) / (a - 3)) / shift_caught(level, b - 1)[1])

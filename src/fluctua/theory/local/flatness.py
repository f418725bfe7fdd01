r"""Variance against flatness along principal directions: the exponent psi of variance ~ flatness^-psi (F88).

The flatness of a direction is the width of the region in which the loss is below e times that at the minimum, after
Feng and Tu, PNAS 118, e2015617118 (2021). Of a quadratic loss it is 2 sqrt(2 (e - 1) L / k), with k the curvature along
the direction, so that psi is twice the slope of log variance on log curvature.
"""

from __future__ import annotations

from math import e

import numpy as np

from ..._arrays import Array, even

__all__ = ["SHARE", "exponent", "principal_directions", "principal_flatness", "quadratic_flatness"]

_ALIKE = 1e-9  # logarithms of flatness within this do not differ: rounding has no slope
SHARE = 1e-4  # of the largest variance, below which a principal direction is not counted


def quadratic_flatness(loss: float, curvatures: Array) -> Array:
    """Return 2 sqrt(2 (e - 1) L / k), the width of a parabola between the points at e times its minimum L > 0 (F88)."""
    return np.asarray(2 * np.sqrt(2 * (e - 1) * loss / curvatures))


def principal_directions(covariance: Array) -> Array:
    """Return the principal directions of S, (k, q), largest first, down to 1e-4 of the largest variance."""
    variances, directions = np.linalg.eigh(even(covariance))
    return np.asarray(directions[:, variances > SHARE * variances[-1]][:, ::-1])


def principal_flatness(covariance: Array, curvatures: Array, loss: float) -> tuple[Array, Array]:
    """Return variances of the principal directions of S, largest first, and the flatness along each, (q,) both.

    Parameters
    ----------
    covariance : ndarray, (k, k)
        S in the modes of the curvature.
    curvatures : ndarray, (k,)
        h_p.
    loss : float
        L at the minimum.
    """
    directions = principal_directions(covariance)
    variances = np.einsum("kq,kl,lq->q", directions, covariance, directions)
    return np.asarray(variances), quadratic_flatness(loss, curvatures @ directions**2)


def exponent(variances: Array, flatness: Array) -> float:
    """Return psi of variance ~ flatness^-psi, by least squares of the logarithms.

    NaN of fewer than two directions, and where all are as flat.

    psi > 0 is the inverse relation, and psi = -2 that of equilibrium, S = T H^-1 (F88).
    """
    x, y = np.log(flatness), np.log(variances)
    if len(x) < 2 or np.ptp(x) < _ALIKE:
        return float("nan")
    spread = x - x.mean()
    return -float(spread @ y / (spread @ spread))

r"""Response matrices from the fluctuation before learning: what each theory takes for chi = H^-1.

With S = E[x x^T] and C_1 = E[x(t+1) x(t)^T] of the spontaneous activity, M S = C_1 whatever the coupling. Where the
coupling is symmetric S = 2 D (H (2 - dt H))^-1, and the rest follows.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from ..._arrays import Array

__all__ = ["ESTIMATORS", "Estimator", "balance", "response_by", "speeds_by"]

Estimator = Literal["regression", "equilibrium", "response", "variances"]
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)


def response_by(estimator: Estimator, covariance: Array, lagged: Array, noise: float, dt: float) -> Array:
    r"""Return chi, (n, n), as an estimator has it.

    ===========  ====================================================================================
    regression   dt (I - C_1 S^-1)^-1: exact for a linear network, any coupling, any time step (F116)
    equilibrium  (S + C_1)/(2 D): exact where the coupling is symmetric (F116)
    response     S/D for the target alone; the input's factor is the true response
    variances    S/D: symmetric coupling and a time step that is short (F116)
    ===========  ====================================================================================
    """
    if estimator == "regression":
        return np.asarray(dt * np.linalg.inv(np.eye(len(covariance)) - np.linalg.solve(covariance.T, lagged.T).T))
    if estimator == "equilibrium":
        return np.asarray((covariance + lagged) / (2 * noise))
    return np.asarray(covariance / noise)


def speeds_by(
    estimator: Estimator, rate: float, along: tuple[Array, Array, Array], true: tuple[Array, Array, Array]
) -> Array:
    """Return g^2 gamma (xi^T chi G xi)(u^T chi G u), (t,); `rate` is g^2 gamma (F115)."""
    return np.asarray(rate * along[0] * (true if estimator == "response" else along)[1])


def balance(response: Array, covariance: Array, noise: float, dt: float) -> tuple[Array, Array]:
    """Return both sides of chi S + S chi^T - dt S = 2 D chi chi^T (F117): fluctuation, and what learning is made of."""
    half = response @ covariance
    return half + half.T - dt * covariance, 2 * noise * response @ response.T

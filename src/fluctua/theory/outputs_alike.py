"""About how far the loss of one run is from the expected one, from the sum over outputs alone."""

from __future__ import annotations

import numpy as np

from .._arrays import Array
from .answers import Prediction
from .output_noise import without_mean

__all__ = ["rough_spread"]


def rough_spread(prediction: Prediction) -> float:
    r"""Return about the standard deviation of the loss between runs, which `loss_spread` has with more work.

    F60 with the covariances of pairs of outputs taken as S_kl = R_kl S: S is that of the sum over outputs, which is
    known, and R_kl = <e_k e_l>/<|e|^2> the correlation of the residuals at W*, of whose products noise is made. That is
    exact for one output, and for outputs that are multiples of one. Beside `loss_spread` it was off by -4 to +9 % on
    digits and wine where the excess loss was below L(W*), by +18 % there in shuffled epochs, and up to twice as much
    where a run has only begun.

    Parameters
    ----------
    prediction : Prediction
        After one number of steps.

    Returns
    -------
    float
        In units of the squared targets.
    """
    h, mean, spread = prediction.curvatures, prediction.mean @ prediction.modes, without_mean(prediction)
    shares, moved = _correlation(prediction), mean * h
    with np.errstate(over="ignore", invalid="ignore"):  # beyond the limit
        variance = 0.5 * float(h @ spread**2 @ h) * float(np.sum(shares**2))
        variance += float(np.sum(shares * (moved @ spread @ moved.T)))
    return float(np.sqrt(max(variance, 0.0)))


def _correlation(prediction: Prediction) -> Array:
    """R, (c, c), of trace 1; that of the targets' fit where there are no residuals."""
    minimum = prediction.law.minimum
    errors = minimum.residuals.astype(np.float64)
    products = errors.T @ errors / len(errors)
    fitted = (minimum.mode_weights * prediction.curvatures) @ minimum.mode_weights.T
    if np.trace(products) <= np.finfo(float).eps * np.trace(fitted):
        products = fitted
    return np.asarray(products / np.trace(products))

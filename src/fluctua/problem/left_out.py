"""Directions that were left out of the modes as zero to within rounding: what of the residuals they would explain."""

from __future__ import annotations

import numpy as np

from .._arrays import AnyArray, Array
from .samples import Samples

__all__ = ["VISIBLE", "shares_left_out"]

VISIBLE = 1e-3
"""Share of the loss that is worth a warning."""
_CHANCE = 1e-6  # probability that chance finds as much


def shares_left_out(samples: Samples, residuals: AnyArray, weight_decay: float) -> Array:
    """Return the shares of squared `residuals`, (N, c), that directions left out explain, beyond chance and visibly."""
    from scipy.special import betainc

    dropped = samples.spectrum.dropped
    free = samples.samples - samples.rank - 1
    if free < 1 or not dropped.size:
        return np.empty(0)
    crossed, square = np.zeros((residuals.shape[1], dropped.shape[1])), np.zeros(dropped.shape[1])
    for rows in samples.blocks(samples.features):
        z = samples.inputs[rows].astype(np.float64) @ dropped
        crossed, square = crossed + residuals[rows].astype(np.float64).T @ z, square + np.sum(z**2, axis=0)
    explained = _ratio(crossed**2, square)
    whole = np.sum(residuals.astype(np.float64) ** 2, axis=0)
    left = 1 - _ratio(explained, whole[:, None])
    beyond = betainc(0.5 * free, 0.5, left.clip(0, 1)) < _CHANCE / left.size  # Student's t of one direction
    felt = _ratio(square, square + samples.samples * weight_decay)
    shares = felt * explained.sum(axis=0) / whole.sum()
    return np.asarray(shares[beyond.any(axis=0) & (shares > VISIBLE)])


def _ratio(above: Array, below: Array) -> Array:
    """Quotient, zero where `below` is."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)

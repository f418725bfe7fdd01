"""A fit that is known beforehand."""

from __future__ import annotations

from typing import NamedTuple

from .._arrays import AnyArray, Array

__all__ = ["Fit"]


class Fit(NamedTuple):
    """W* and what it leaves of every sample: the moments that a `Minimum` is made of where they are known beforehand.

    Attributes
    ----------
    weights, mode_weights, residuals, squared_residuals, loss, interpolates
        As in `Minimum`.
    noise : ndarray, (r, r), optional
        C, where it is not the average over these residuals.
    """

    weights: Array
    mode_weights: Array
    residuals: AnyArray
    squared_residuals: Array
    loss: float
    interpolates: bool
    noise: Array | None = None

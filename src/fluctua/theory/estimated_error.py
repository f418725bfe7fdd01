"""The estimated numerical error of a finite time."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["EstimatedError"]


class EstimatedError(NamedTuple):
    """What a prediction at a finite time reached, as estimated, and what it took.

    The estimates are calibrated against iteration step by step, not proved.

    Attributes
    ----------
    modes : float
        Relative error of the variance of the worst mode.
    loss : float
        Relative error of the excess loss.
    passes : int
        Passes over all samples.
    """

    modes: float
    loss: float
    passes: int

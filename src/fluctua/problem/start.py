"""Where a run begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from .._validate.starts import start_weights
from .least_squares import Minimum

__all__ = ["Start"]


@dataclass(frozen=True)
class Start:
    """Where a run starts, as V(0) = W(0) - W*, without spread.

    Attributes
    ----------
    modes : ndarray, (c, r)
        In the modes.
    null : ndarray, (c, d)
        The rest, which only weight decay moves.
    """

    modes: Array
    null: Array

    @classmethod
    def at(cls, minimum: Minimum, start: ArrayLike | str) -> Start | None:
        """Read a start: "optimum" (None, no displacement), "zero", or weights (c, d)."""
        weights = start_weights(start, minimum.weights.shape)
        if weights is None:
            return None
        if isinstance(start, str):  # zero, which needs no product with the modes
            return cls(-minimum.mode_weights, weights)
        displacement = weights - minimum.weights
        modes, basis = displacement @ minimum.problem.modes, minimum.problem.modes
        full = basis.shape[0] == basis.shape[1]  # then what rounding leaves outside must not pass for a part
        return cls(modes, np.zeros_like(displacement) if full else displacement - modes @ basis.T)

    def displacement(self, basis: Array) -> Array:
        """V(0) in the coordinates of the inputs, (c, d), given the modes' `basis`, (d, r)."""
        return self.modes @ basis.T + self.null

"""Where a run begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from .._validate.values import choice, real_array
from ..errors import InvalidInput
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
        if isinstance(start, str):
            if choice("start", start, ("optimum", "zero")) == "optimum":
                return None
            return cls(-minimum.mode_weights, np.zeros_like(minimum.weights))
        weights = real_array("start", start, ndim=2, shape="(outputs, features)")
        if weights.shape != minimum.weights.shape:
            raise InvalidInput(f"start must have the weights' shape {minimum.weights.shape}, got {weights.shape}.")
        displacement = weights - minimum.weights
        modes, basis = displacement @ minimum.problem.modes, minimum.problem.modes
        full = basis.shape[0] == basis.shape[1]  # then what rounding leaves outside must not pass for a part
        return cls(modes, np.zeros_like(displacement) if full else displacement - modes @ basis.T)

    def displacement(self, basis: Array) -> Array:
        """V(0) in the coordinates of the inputs, (c, d), given the modes' `basis`, (d, r)."""
        return self.modes @ basis.T + self.null

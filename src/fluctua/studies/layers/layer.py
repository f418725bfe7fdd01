"""One layer's fluctuations: variances of the principal directions, the curvature along each, and the slope (F110)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import Array
from ..._results import ByValue, Tables, Tabular, clipped
from ...errors import InvalidInput
from ...theory.local.flatness import exponent, principal_directions, quadratic_flatness
from .frame import Frame

__all__ = ["Layer", "layer_of"]


@dataclass(frozen=True, eq=False, repr=False)
class Layer(ByValue, Tabular):
    """The covariance of one layer's weights, the other layer traced over, with the curvature of its own block of H.

    Parameters
    ----------
    number : int
        1 or 2.
    covariance : ndarray, (k, k)
        Of the layer's weights row by row, on the range of H; of layer 1 in the modes of the inputs.
    hessian : ndarray, (k, k)
        The layer's block of H.
    optimum_loss : float
        L*.
    shape : tuple of int
        Of the layer's matrix, (h, r) or (c, h).

    Examples
    --------
    >>> import numpy as np
    >>> from fluctua.studies import layers
    >>> layer = layers.Layer(2, np.diag([4.0, 2.0, 1.0]), np.diag([1.0, 2.0, 4.0]), 1.0, (1, 3))
    >>> print(f"{layer.slope:.3f}, psi {layer.exponent:.3f}")
    -1.000, psi -2.000
    """

    number: int
    covariance: Array
    hessian: Array
    optimum_loss: float
    shape: tuple[int, int]

    @cached_property
    def directions(self) -> Array:
        """Principal directions of the covariance, (k, m), largest variance first, down to 1e-4 of it."""
        return principal_directions(self.covariance)

    @cached_property
    def variances(self) -> Array:
        """Variances along the principal directions, (m,)."""
        return np.asarray(np.einsum("km,kl,lm->m", self.directions, self.covariance, self.directions))

    @cached_property
    def curvatures(self) -> Array:
        """Curvature of the loss along them, (m,)."""
        return np.asarray(np.einsum("km,kl,lm->m", self.directions, self.hessian, self.directions))

    @property
    def flatness(self) -> Array:
        """Width of the parabola between the points at e times L*, (m,) (F88)."""
        return quadratic_flatness(self.optimum_loss, self.curvatures)

    @property
    def slope(self) -> float:
        """Slope of log variance on log curvature: -1 in equilibrium, positive where flat directions fluctuate less.

        NaN of fewer than two directions, and where all are curved alike, as those of layer 2 with one hidden unit.
        """
        return 0.5 * self.exponent

    @property
    def exponent(self) -> float:
        """Psi of variance ~ flatness^-psi, twice the slope (F88)."""
        return exponent(self.variances, self.flatness)

    @property
    def trace(self) -> float:
        """Sum of the variances of all directions."""
        return float(np.trace(self.covariance))

    @property
    def weight_variances(self) -> Array:
        """Variance of each weight, in the shape of the layer's matrix."""
        return np.diag(self.covariance).reshape(self.shape)

    def _tables(self) -> Tables:
        return {
            "directions": lambda: {
                "direction": range(1, len(self.variances) + 1),
                "variance": self.variances,
                "curvature": self.curvatures,
                "flatness": self.flatness,
            }
        }

    @property
    def _attributes(self) -> Mapping[str, Any]:
        return {"layer": self.number, "trace": self.trace, "slope": self.slope}

    def __repr__(self) -> str:
        return clipped(f"Layer({self.number}: trace={self.trace:.6g}, slope={self.slope:+.4f})")


def layer_of(number: int, frame: Frame, covariance: Array, optimum_loss: float) -> Layer:
    """Return one layer's part of S, (q, q) in the modes of H at a frame."""
    if number not in (1, 2):
        raise InvalidInput(f"a net of two layers has layers 1 and 2, got {number!r}.")
    part = slice(0, frame.split) if number == 1 else slice(frame.split, frame.size)
    modes = frame.modes[part]
    shape = frame.first.shape if number == 1 else frame.second.shape
    rows, columns = shape
    return Layer(number, modes @ covariance @ modes.T, frame.hessian[part, part], optimum_loss, (rows, columns))

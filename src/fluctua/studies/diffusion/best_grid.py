r"""The grid that loses least: steps as dense in log lambda as sqrt(g), by Euler and Lagrange (F133).

A step of DDIM loses the square of the angle by which it turns a mode. To leading order the squared Wasserstein
distance of n steps is a sum over modes of s delta^2/4, whose derivative weights the modes by w = s delta. The loss of a
step of length h in log lambda is then g h^2, g = sum_p w_p cos^(2 eta^2)(theta) lambda s/(4 (s + lambda)^2).
"""

from __future__ import annotations

from typing import cast

import numpy as np

from ..._arrays import Array
from ...errors import NotConverged
from .gaussian import GaussianData

__all__ = ["BestGrid"]

_NODES = 1501
_TAIL = 1e-4  # of the smallest variance that matters: lambda below it is integrated in closed form
_MATTERS = 1e-9  # of the largest variance
_TOLERANCE = 1e-8  # of the change of a loss in the last round
_ROUNDS = 100


class BestGrid:
    """The best grids of a data set between two levels, for any number of steps.

    Parameters
    ----------
    data : GaussianData
    largest, smallest : float
        lambda at the start and at the end, which may be 0.
    eta : float
        Noise of the steps.
    """

    def __init__(self, data: GaussianData, largest: float, smallest: float, eta: float) -> None:
        self.variances = data.variances[data.variances > 0]
        self.largest, self.smallest, self.eta = largest, smallest, eta
        low = smallest or min(_TAIL * max(self.variances[-1], _MATTERS * self.variances[0]), largest / 2)
        self.logs = np.linspace(np.log(low), np.log(largest), _NODES)
        ratio = np.exp(self.logs)[:, None] / self.variances
        self.losses = 0.25 * self.variances * ratio / (1 + ratio) ** (2 + eta**2)

    @classmethod
    def of(cls, data: GaussianData, largest: float, smallest: float, eta: float) -> BestGrid:
        """Return the same, made once for each data set."""
        key = (largest, smallest, eta)
        if key not in data.grids:
            data.grids.clear()
            data.grids[key] = cls(data, largest, smallest, eta)
        return cast("BestGrid", data.grids[key])

    def noise_to_signal(self, steps: int) -> Array:
        """Return lambda of the n + 1 levels, largest first.

        Raises
        ------
        NotConverged
            Where the weights of the modes did not settle.
        """
        lost, change = np.ones(len(self.variances)), np.inf
        for _ in range(_ROUNDS):
            levels = self._levels(lost, steps)
            before, lost = lost, self._lost(levels)
            change = float(np.abs(lost - before).max())
            if change <= _TOLERANCE:
                return levels
        raise NotConverged(f"the predicted grid of {steps} steps", _ROUNDS, change, _TOLERANCE)

    def _levels(self, weights: Array, steps: int) -> Array:
        """Levels between which the integral of sqrt(g) is the same."""
        density = np.sqrt(self.losses @ weights)
        parts = 0.5 * (density[1:] + density[:-1]) * np.diff(self.logs)
        tail = 0.0 if self.smallest else 2 * density[0]  # sqrt(g) falls as sqrt(lambda)
        walked = tail + np.concatenate([[0.0], np.cumsum(parts)])
        wanted = np.linspace(walked[-1], 0.0 if tail else walked[0], steps + 1)
        levels = np.exp(np.interp(wanted, walked, self.logs))
        if tail:
            below = wanted < tail
            levels[below] *= (wanted[below] / tail) ** 2
        levels[0], levels[-1] = self.largest, self.smallest
        return np.asarray(levels)

    def _lost(self, levels: Array) -> Array:
        """What the steps lose of each mode without noise; with noise the law to leading order has the same weights."""
        angles = np.arctan(np.sqrt(np.divide.outer(levels, self.variances)))
        turned = np.diff(angles, axis=0)
        if not self.eta:
            with np.errstate(divide="ignore"):
                return np.asarray(-np.expm1(2 * np.log(np.cos(turned)).sum(axis=0)))
        return np.asarray(np.minimum((np.cos(angles[1:]) ** (2 * self.eta**2) * turned**2).sum(axis=0), 1.0))

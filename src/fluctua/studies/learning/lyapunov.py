"""The balance of fluctuation and dissipation for a relaxation that is not symmetric.

H S + S H^T - dt H S H^T = Q says S = M S M^T + dt Q, M = I - dt H: S is the sum of dt M^k Q M^kT over all k. Its first
2^(j + 1) terms are the first 2^j terms and these again 2^j steps later, so that some ten doublings are enough.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..._arrays import Array, even
from ...errors import NotConverged

__all__ = ["Balanced"]

_LEFT, _MOST, _DOUBLINGS = 1e-18, 1e60, 40  # of |M^(2^j)|: squared, what no longer counts; what never will; how often


class Balanced:
    """H S + S H^T - dt H S H^T = Q for one H and many Q (F114).

    Attributes
    ----------
    relaxation : ndarray, (n, n)
        H; its eigenvalues have positive real parts.
    dt : float

    Notes
    -----
    Cost: 2 n^3 flops for each of the log2(18/(dt h)) powers, h the slowest rate, and twice that for each Q; where H is
    symmetric one eigendecomposition instead, and 8 n^3 flops for a Q.
    """

    def __init__(self, relaxation: Array, dt: float) -> None:
        self.relaxation, self.dt = relaxation, dt

    @property
    def step(self) -> Array:
        """M = I - dt H, (n, n): what one step does to the mean."""
        return np.asarray(np.eye(len(self.relaxation)) - self.dt * self.relaxation)

    @cached_property
    def _powers(self) -> list[Array]:
        """M, M^2, M^4, ... down to what no longer counts."""
        powers = [self.step]
        while (size := np.linalg.norm(powers[-1])) ** 2 > _LEFT:
            if not size < _MOST or len(powers) > _DOUBLINGS:
                raise NotConverged(
                    "the covariance of the activity",
                    len(powers),
                    float(size),
                    _LEFT,
                    "Use a smaller gain or a larger dt.",
                )
            powers.append(powers[-1] @ powers[-1])
        return powers

    @cached_property
    def _symmetric(self) -> tuple[Array, Array] | None:
        """Eigenvalues and eigenvectors of a symmetric H."""
        if not np.array_equal(self.relaxation, self.relaxation.T):
            return None
        values, vectors = np.linalg.eigh(self.relaxation)
        return values, vectors

    def solved(self, source: Array) -> Array:
        """Return S for a symmetric Q, (n, n)."""
        if self._symmetric is not None:
            h, modes = self._symmetric
            kernel = 1.0 / (np.add.outer(h, h) - self.dt * np.multiply.outer(h, h))
            return np.asarray(modes @ (kernel * (modes.T @ source @ modes)) @ modes.T)
        found = self.dt * np.asarray(source)
        for power in self._powers:
            found = found + power @ found @ power.T
        return even(found)

"""The kernel of a component in continuous time, seen once per step: Langevin dynamics."""

from __future__ import annotations

import numpy as np

from .._arrays import AnyArray, Array
from .constant import Kernel, one_component

__all__ = ["Flow", "langevin_flow"]

Vector = AnyArray
_ALL = slice(None)


class Flow(Kernel):
    """One component in continuous time, seen once per step: the rate is -log m."""

    continuous = True

    @property
    def decay(self) -> Vector:
        """m, the factor by which a component shrinks per step, (r,)."""
        return np.exp(-self.rate)

    @property
    def contracts(self) -> bool:
        """Whether E V decays in every mode."""
        return bool(np.all(self.rate > 0))

    @property
    def _first_injection(self) -> Array:
        return self.injection()

    @property
    def stationary_variances(self) -> Array:
        """The diagonal of `stationary`, (r,)."""
        return np.asarray(self.drive**2 / (2 * self.rate))

    def gap(self, rows: slice = _ALL, columns: slice = _ALL) -> Array:
        """1 - m_p m_q for the given rows, from the rates."""
        return np.asarray(-np.expm1(-(self.rate[rows, None] + self.rate[columns])))

    def injection(self, rows: slice = _ALL, columns: slice = _ALL) -> Array:
        """i_pq, the covariance that a stretch of time adds per unit of kappa G: noise fades while it enters."""
        plain, total = super().injection(rows, columns), self.rate[rows, None] + self.rate[columns]
        return np.asarray(plain * self.gap(rows, columns) / total)

    def _lost_alone(self, steps: int) -> Vector:
        return np.asarray(-np.expm1(-steps * self.rate))

    def _lost(self, steps: int, rows: slice, columns: slice) -> Array:
        p, q = (self._lost_alone(steps)[part] for part in (rows, columns))
        return np.asarray(p[:, None] + q - p[:, None] * q)


def langevin_flow(curvatures: Array, lr: float) -> Flow:
    """Continuous time, seen once per step: m = exp(-eta h), so Phi = eta/(h_p + h_q)."""
    return Flow.alike(lr * curvatures, *one_component(curvatures, lr))

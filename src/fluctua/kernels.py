r"""Dissipation kernels: what the optimiser does to a pair of modes. O(r^2) formulas and nothing else.

In the modes every law of plain SGD reads, element by element (theory.md sections 2 and 3),

    S(t+1) = m_p m_q S(t) + i_pq kappa G(t),

with G the fluctuation source C + K[S] + X(E V). A kernel is the pair (m, i): how a mode decays in one step and
how much of the source one step injects. Everything else follows: the stationary kernel Phi = i / (1 - m m), and
the finite-time sums. A new optimiser is a new kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kernel", "gradient_step", "langevin_flow"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Kernel:
    """One optimiser at one setting, seen by the modes.

    Attributes
    ----------
    decay : ndarray, (r,)
        m_p, the factor by which E V shrinks in mode p per step.
    gap : ndarray, (r, r)
        1 - m_p m_q, kept apart because forming it from `decay` would lose the flat modes to cancellation.
    injection : ndarray, (r, r) or float
        i_pq, the covariance that one step adds per unit of kappa G.
    """

    decay: Array
    gap: Array
    injection: Array | float

    @property
    def stationary(self) -> Array:
        """Phi of S = Phi o kappa (C + K[S]), the dissipation kernel of F2."""
        return self.injection / self.gap

    def power(self, steps: int) -> Array:
        """(m_p m_q)^steps, (r, r)."""
        factor = self.decay**steps
        return np.outer(factor, factor)

    def sums(self, steps: int) -> tuple[Array, Array]:
        r"""Weights of a source that moves linearly over an interval of n steps, from G_0 to G_n.

        Returns a = sum_j x^(n-1-j) and b = sum_j x^(n-1-j) j/n over j = 0..n-1, x = m_p m_q, so that the interval
        adds i o kappa (a G_0 + b (G_n - G_0)). Closed forms in the gap g = 1 - x: a = (1 - x^n)/g and
        b = (n - a)/(n g), by series where n |g| is small (the differences would cancel). g is negative where a mode
        grows.
        """
        n, g = steps, self.gap
        if n == 1:
            return np.ones_like(g), np.zeros_like(g)
        small = np.abs(n * g) < 1e-3  # the first neglected terms below are O((n g)^4), under 1e-13
        flat = g < 0.5  # here x^n from g itself: rounding of m would cost eps/g
        apart = np.where(small, 1.0, g)
        a = np.where(flat, -np.expm1(n * np.log1p(-np.minimum(g, 0.5))), 1 - self.power(n)) / apart
        b = (n - a) / (n * apart)
        y = g[small]
        a[small] = n * (1 - (n - 1) / 2 * y * (1 - (n - 2) / 3 * y * (1 - (n - 3) / 4 * y)))
        b[small] = (n - 1) / 2 * (1 - (n - 2) / 3 * y * (1 - (n - 3) / 4 * y * (1 - (n - 4) / 5 * y)))
        return a, b


def gradient_step(curvatures: Array, lr: float) -> Kernel:
    """Plain SGD in discrete time: m = 1 - eta h, i = eta^2, so Phi = eta/(h_p + h_q - eta h_p h_q) (F2)."""
    rate = lr * curvatures
    return Kernel(1 - rate, np.add.outer(rate, rate) - np.outer(rate, rate), lr**2)


def langevin_flow(curvatures: Array, lr: float) -> Kernel:
    """Continuous time, seen once per step: m = exp(-eta h), so Phi = eta/(h_p + h_q)."""
    rate = lr * curvatures
    total = np.add.outer(rate, rate)
    gap = -np.expm1(-total)
    return Kernel(np.exp(-rate), gap, lr**2 * gap / total)  # curvatures are positive: the modes span the range of A

r"""Dissipation kernels: what the optimiser does to a pair of modes. O(r^2) formulas and nothing else.

In the modes every law of plain SGD reads, element by element (theory.md sections 2 and 3),

    S(t+1) = m_p m_q S(t) + i_pq kappa G(t),

with G the fluctuation source C + K[S] + X(E V). A kernel is the pair (m, i): how a mode decays in one step and
how much of the source one step injects. Everything else follows: the stationary kernel Phi = i / (1 - m m), and
the finite-time sums. A new optimiser is a new kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kernel", "gradient_step", "langevin_flow"]

Array = NDArray[np.float64]
_ALL = slice(None)
_BLOCK_ELEMENTS = 2**16  # rows handled at once in `advance`: half a megabyte an array, so that its passes stay in cache


@dataclass(frozen=True)
class Kernel:
    """One optimiser at one setting, seen by the modes.

    Attributes
    ----------
    rate : ndarray, (r,)
        eta h_p.
    lr : float
        eta.
    continuous : bool
        Whether the step is a stretch of continuous time, of length eta, instead of one discrete step.
    """

    rate: Array
    lr: float
    continuous: bool

    @property
    def decay(self) -> Array:
        """m_p, the factor by which E V shrinks in mode p per step, (r,)."""
        return np.exp(-self.rate) if self.continuous else 1 - self.rate

    def gap(self, rows: slice = _ALL) -> Array:
        """1 - m_p m_q for the given rows, from the rates: the decays would lose the flat modes to rounding."""
        p, q = self.rate[rows, None], self.rate
        return -np.expm1(-(p + q)) if self.continuous else p + q - p * q

    def injection(self, rows: slice = _ALL) -> Array | float:
        """i_pq, the covariance that one step adds per unit of kappa G."""
        if not self.continuous:
            return self.lr**2
        return self.lr**2 * self.gap(rows) / (self.rate[rows, None] + self.rate)

    @property
    def stationary(self) -> Array:
        """Phi of S = Phi o kappa (C + K[S]), the dissipation kernel of F2, (r, r)."""
        return self.injection() / self.gap()

    def advance(self, state: Array, sources: Sequence[Array], weights: Array, steps: int) -> Array:
        """Return S after `steps` steps under a source that moves linearly in time.

        Parameters
        ----------
        state : ndarray, (r, r)
            S at the beginning.
        sources : sequence of ndarray, (r, r)
            kappa G at some times.
        weights : ndarray, (2, len(sources))
            The source at the beginning and at the end, as sums of `sources`.
        steps : int
        """
        out = np.empty_like(state)
        power = self.decay**steps
        height = max(1, _BLOCK_ELEMENTS // len(state))
        for start in range(0, len(state), height):
            rows = slice(start, start + height)
            first, change = (sum(w * g[rows] for w, g in zip(row, sources, strict=True) if w != 0.0)
                             for row in (weights[0], weights[1] - weights[0]))  # fmt: skip
            level, slope = self.sums(steps, rows)
            out[rows] = self.injection(rows) * (level * first + slope * change)
            out[rows] += power[rows, None] * power * state[rows]
        return out

    def sums(self, steps: int, rows: slice = _ALL) -> tuple[Array, Array]:
        r"""Weights of a source that moves linearly over an interval of n steps, from G_0 to G_n.

        Returns a = sum_j x^(n-1-j) and b = sum_j x^(n-1-j) j/n over j = 0..n-1, x = m_p m_q, so that the interval
        adds i o kappa (a G_0 + b (G_n - G_0)). Closed forms in the gap g = 1 - x: a = (1 - x^n)/g and
        b = (n - a)/(n g), by series where n |g| is small (the differences would cancel); g < 0 where a mode grows.
        """
        n, g = steps, self.gap(rows)
        if n == 1:
            return np.ones_like(g), np.zeros_like(g)
        small = np.abs(n * g) < 1e-3  # the first neglected terms below are O((n g)^4), under 1e-12
        if small.any():
            y, g[small] = g[small], 1.0
        a = self._lost(n, rows) / g
        b = (n - a) / (n * g)
        if small.any():
            a[small] = n * (1 - (n - 1) / 2 * y * (1 - (n - 2) / 3 * y * (1 - (n - 3) / 4 * y)))
            b[small] = (n - 1) / 2 * (1 - (n - 2) / 3 * y * (1 - (n - 3) / 4 * y * (1 - (n - 4) / 5 * y)))
        return a, b

    def _lost(self, steps: int, rows: slice) -> Array:
        """1 - (m_p m_q)^n for the given rows, from the rates: the rounded m would cost a flat mode eps/gap of it."""
        if self.continuous:
            lost = -np.expm1(-steps * self.rate)
            return np.asarray(lost[rows, None] + lost - lost[rows, None] * lost)
        monotone, power = self.rate < 1, self.decay**steps
        lost = -np.expm1(steps * np.log1p(-np.where(monotone, self.rate, 0)))
        pairs = lost[rows, None] + lost - lost[rows, None] * lost
        if monotone.all():
            return np.asarray(pairs)
        return np.where(monotone[rows, None] & monotone, pairs, 1 - power[rows, None] * power)


def gradient_step(curvatures: Array, lr: float) -> Kernel:
    """Plain SGD in discrete time: m = 1 - eta h, i = eta^2, so Phi = eta/(h_p + h_q - eta h_p h_q) (F2)."""
    return Kernel(lr * curvatures, lr, continuous=False)


def langevin_flow(curvatures: Array, lr: float) -> Kernel:
    """Continuous time, seen once per step: m = exp(-eta h), so Phi = eta/(h_p + h_q)."""
    return Kernel(lr * curvatures, lr, continuous=True)

r"""The exact noise floor at any setting from some thirty sums over the samples: the balance F2 in a reduced basis.

In S = Phi o kappa (C + K[S]) only K asks the samples, and K knows no setting. Let T_j be some solutions and
Y_j = K[T_j]. The source C + sum_j c_j Y_j that satisfies the balance along the T_i, because K is self-adjoint, has

    sum_j (<T_i, Y_j> - kappa <Y_i, Phi o Y_j>) c_j = kappa <Y_i, Phi o C>,

a dozen equations for any learning rate, batch size and momentum. The floor's error is of second order in what the basis
misses. The stability limit is where the solution has a pole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array, Ints
from ...kernels.momentum import step_kernel
from ...recipe.step import Step

__all__ = ["ReducedBalance", "triangle"]

_ROUNDS, _ACCURACY = 60, 1e-10  # of the limit
_FIRST, _END = 0.1, 1e-9  # of the limit of the mean: where the search begins, and how near to it the search ends
_MOST_MOMENTUM = 0.99
_BEYOND = 1.02  # of a zero by the secant, where the next look is taken


@dataclass(frozen=True)
class ReducedBalance:
    """The balance along some solutions; symmetric matrices are held as their upper triangles, n = r (r + 1)/2.

    Attributes
    ----------
    curvatures : ndarray, (r,)
        Of the data, without weight decay.
    images : ndarray, (k, n)
        Y_j = K[T_j]; single precision.
    products : ndarray, (k, k)
        <T_i, Y_j>.
    noises, noise_shares : ndarray, (m, n) and (g, m)
        C at each weight decay is the sum of the former with the latter.
    weight_decays : ndarray, (g,)
    samples : int
        Over which K is averaged; all of a small problem.
    match : float
        By which the feedback is multiplied, so that the floor of the run's recipe is Python's; 1 if unknown.
    limit_error : float
        Stated relative error of the limit: four times the largest of a few settings, where nothing was solved, and at
        least 0.05 %.
    floor_error : float
        The same of the floor, beside what the limit's makes of it near the limit.
    checks : int
        How many these settings were.
    """

    curvatures: Array
    images: Array
    products: Array
    noises: Array
    noise_shares: Array
    weight_decays: Array
    samples: int
    match: float = 1.0
    limit_error: float = np.nan
    floor_error: float = np.nan
    checks: int = 0

    def error_at(self, share: float) -> float:
        """Return the stated relative error of the exact floor at a share of the limit."""
        return self.floor_error + self.limit_error * share / (1 - share)

    @property
    def modes(self) -> int:
        """Of which modes it is, the steepest ones of a large problem."""
        return len(self.curvatures)

    @cached_property
    def _places(self) -> tuple[Ints, Ints]:
        return np.triu_indices(self.modes)

    @cached_property
    def _diagonal(self) -> Ints:
        return np.flatnonzero(self._places[0] == self._places[1])

    def covers(self, step: Step, kappa: float) -> bool:
        """Whether a recipe is among those that the stated errors are of: up to 0.99 of momentum, and some noise."""
        return bool(step.memory <= _MOST_MOMENTUM and kappa > 0)

    def place_of(self, weight_decay: float) -> int:
        """Return the place of one of the weight decays."""
        return int(np.flatnonzero(self.weight_decays == weight_decay)[0])

    def feedback(self, step: Step, lr: float, kappa: float, gamma: float, place: int) -> float:
        """Return the exact floor over the discrete one, less 1; negative beyond the limit.

        `place` is that of the weight decay `gamma` among those that C was found at.
        """
        h = self.curvatures + gamma
        phi, noise = self._phi(h, step, lr), self.noise_shares[place] @ self.noises
        shares = self._source(phi, kappa, noise)
        diagonal = h * phi[self._diagonal]
        fed = shares @ self.images[:, self._diagonal]
        return float(self.match * (diagonal @ fed) / (diagonal @ noise[self._diagonal]))

    def solution(self, step: Step, lr: float, kappa: float, gamma: float, noise: Array) -> Array:
        """Return S, (r, r), with C = `noise`, (n,)."""
        phi = self._phi(self.curvatures + gamma, step, lr)
        flat = kappa * phi * (noise + self._source(phi, kappa, noise) @ self.images)
        out = np.empty((self.modes,) * 2)
        out[self._places] = flat
        out.T[self._places] = flat
        return out

    def limit(self, step: Step, kappa: float, gamma: float, place: int) -> float:
        """Return the largest stable learning rate: the first pole of the feedback.

        Feedback over (learning rate)/(limit - learning rate) is nearly constant, so that lr/feedback is nearly linear.
        """
        edge = step.mean_limit(float(self.curvatures[0]) + gamma)

        def left(lr: float) -> float:
            try:
                found = self.feedback(step, lr, kappa, gamma, place)
            except np.linalg.LinAlgError:  # at the pole
                return 0.0
            return lr / found if found else np.inf

        return _first_zero(left, edge) if kappa > 0 else edge

    def _phi(self, h: Array, step: Step, lr: float) -> Array:
        return step_kernel(h, step, lr).stationary[self._places]

    def _source(self, phi: Array, kappa: float, noise: Array) -> Array:
        weighted = self.images * (phi * np.where(self._places[0] == self._places[1], 1.0, 2.0))
        return np.asarray(np.linalg.solve(self.products - kappa * weighted @ self.images.T, kappa * weighted @ noise))


def _first_zero(left: Callable[[float], float], edge: float) -> float:
    """Return the first zero of `left`, a nearly linear function that falls from above; `edge` if it has none."""
    top, low = edge * (1 - _END), _FIRST * edge
    at_low = left(low)
    while not 0 < at_low < left(0.5 * low):
        low *= 0.25
        at_low = left(low)
    before, at_before = 0.5 * low, left(0.5 * low)
    high, at_high = low, at_low
    for _ in range(_ROUNDS):
        if at_high <= 0:
            break
        if high == top:
            return edge
        before, at_before, low, at_low = (
            (low, at_low, high, at_high) if high > low else (before, at_before, low, at_low)
        )
        slope = (at_low - at_before) / (low - before)
        high = min(top, _BEYOND * (low - at_low / slope) if slope < 0 else top)
        at_high = left(high)
    return _between(left, (low, at_low), (high, at_high))


def _between(left: Callable[[float], float], low: tuple[float, float], high: tuple[float, float]) -> float:
    """Return the zero between two places, each with its value, by the Illinois rule."""
    kept = 0
    for _ in range(_ROUNDS):
        guess = (low[0] * high[1] - high[0] * low[1]) / (high[1] - low[1])
        value = left(guess)
        if value > 0:
            low, high, kept = (guess, value), (high[0], high[1] / 2 if kept > 0 else high[1]), 1
        else:
            high, low, kept = (guess, value), (low[0], low[1] / 2 if kept < 0 else low[1]), -1
        if high[0] - low[0] < _ACCURACY * high[0] or abs(value) < _ACCURACY * guess:
            break
    return guess


def triangle(matrix: Array) -> Array:
    """Return the upper triangle of a symmetric matrix, (r, r), or of several, (..., n)."""
    return np.asarray(matrix[..., *np.triu_indices(matrix.shape[-1])])

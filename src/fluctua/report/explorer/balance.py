r"""The exact noise floor at any setting from some thirty sums over the samples: the balance F2 in a reduced basis.

In S = Phi o kappa (C + K[S]) only K asks the samples, and K knows no setting. Let T_j be some solutions and
Y_j = K[T_j]. The source C + sum_j c_j Y_j that satisfies the balance along the T_i, because K is self-adjoint, has

    sum_j (<T_i, Y_j> - kappa <Y_i, Phi o Y_j>) c_j = kappa <Y_i, Phi o C>,

a dozen equations for any learning rate, batch size and momentum. The floor's error is of second order in what the basis
misses. The stability limit is where the solution has a pole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..._arrays import Array, Ints
from ...errors import NotConverged
from ...kernels.momentum import step_kernel
from ...recipe.step import Step

__all__ = ["ReducedBalance", "triangle"]

_ROUNDS, _ACCURACY = 60, 1e-10  # tenths of the limit of the mean that are tried; of the limit
_END = 1e-9  # of the limit of the mean, how near to it the search ends
_WIDTH = 3e-3  # of the limit, beyond which a pole that is none of the solution is over
_MOST_MOMENTUM = 0.99


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
        return self._at(step, lr, kappa, gamma, place)[1]

    def _at(self, step: Step, lr: float, kappa: float, gamma: float, place: int) -> tuple[Array, float]:
        """The equations' matrix, and the feedback that their solution makes; NaN at a pole."""
        h = self.curvatures + gamma
        phi, noise = self._phi(h, step, lr), self.noise_shares[place] @ self.noises
        rows, right = self._equations(phi, kappa, noise)
        try:
            shares = np.linalg.solve(rows, right)
        except np.linalg.LinAlgError:
            return rows, float("nan")
        diagonal = h * phi[self._diagonal]
        fed = shares @ self.images[:, self._diagonal]
        return rows, float(self.match * (diagonal @ fed) / (diagonal @ noise[self._diagonal]))

    def solution(self, step: Step, lr: float, kappa: float, gamma: float, noise: Array) -> Array:
        """Return S, (r, r), with C = `noise`, (n,)."""
        phi = self._phi(self.curvatures + gamma, step, lr)
        flat = kappa * phi * (noise + np.linalg.solve(*self._equations(phi, kappa, noise)) @ self.images)
        out = np.empty((self.modes,) * 2)
        out[self._places] = flat
        out.T[self._places] = flat
        return out

    def limit(self, step: Step, kappa: float, gamma: float, place: int) -> float:
        """Return the largest stable learning rate: the first pole of the feedback.

        Feedback over (learning rate)/(limit - learning rate) is nearly constant, so that lr/feedback is nearly linear
        near the limit. Its sign is not asked for: it is negative between poles beyond the limit alone.

        Raises
        ------
        NotConverged
            The search did not end.
        """
        edge = step.mean_limit(float(self.curvatures[0]) + gamma)
        if not kappa > 0:
            return edge
        below = _negatives(self.products)

        def left(lr: float) -> float:
            rows, found = self._at(step, lr, kappa, gamma, place)
            size = abs(_left(lr, found))
            return size if _negatives(rows) == below else -size

        return _only_zero(left, edge)

    def sound(self, step: Step, kappa: float, gamma: float, place: int) -> tuple[ReducedBalance, float]:
        """Return the balance without directions that have a pole below the limit, where S has none, and its limit.

        K is not definite, so that a combination of the T_j may have such a pole: it is narrow, and the feedback is
        positive on both its sides, where it changes its sign at the limit.
        """
        held, pole = self, self.limit(step, kappa, gamma, place)
        edge = step.mean_limit(float(self.curvatures[0]) + gamma)
        while len(held.products) > 1 and (beyond := (1 + _WIDTH) * pole) < edge:
            if _left(beyond, held.feedback(step, beyond, kappa, gamma, place)) <= 0:
                break
            held = held._without(held._at(step, pole, kappa, gamma, place)[0])
            pole = held.limit(step, kappa, gamma, place)
        return held, pole

    def _without(self, rows: Array) -> ReducedBalance:
        """Leave out the solution of singular equations: what is kept are directions conjugate to it."""
        from scipy.linalg import null_space

        values, vectors = np.linalg.eigh(rows)
        kept = null_space((self.products @ vectors[:, np.abs(values).argmin()])[None, :]).T
        return replace(self, images=kept @ self.images, products=kept @ self.products @ kept.T)

    def _phi(self, h: Array, step: Step, lr: float) -> Array:
        return step_kernel(h, step, lr).stationary[self._places]

    def _weighted(self, phi: Array) -> Array:
        return np.asarray(self.images * (phi * np.where(self._places[0] == self._places[1], 1.0, 2.0)))

    def _equations(self, phi: Array, kappa: float, noise: Array) -> tuple[Array, Array]:
        """The matrix, (k, k), and the right side, (k,).

        The matrix has as many negative eigenvalues as `products` up to the first pole, and more beyond: K is not
        definite.
        """
        weighted = self._weighted(phi)
        return self.products - kappa * weighted @ self.images.T, kappa * weighted @ noise


def _left(lr: float, fed: float) -> float:
    """The learning rate over the feedback, nearly linear near the pole, where it is 0."""
    return 0.0 if np.isnan(fed) else lr / fed if fed else np.inf


def _negatives(matrix: Array) -> int:
    """How many eigenvalues of a symmetric matrix are negative."""
    return int(np.count_nonzero(np.linalg.eigvalsh(matrix) < 0))


def _only_zero(left: Callable[[float], float], edge: float) -> float:
    """Return the zero of `left`, positive before it and negative beyond; `edge` if it has none."""
    from scipy.optimize import brentq

    high, low = edge * (1 - _END), edge
    if left(high) > 0:
        return edge
    for _ in range(_ROUNDS):
        low *= 0.1
        if left(low) > 0:
            found, how = brentq(left, low, high, rtol=_ACCURACY, xtol=_ACCURACY * low, full_output=True, disp=False)
            if how.converged:
                return float(found)
            break
        high = low
    raise NotConverged("the limit of stability between the explorer's settings", _ROUNDS, 1 - low / high, _ACCURACY)


def triangle(matrix: Array) -> Array:
    """Return the upper triangle of a symmetric matrix, (r, r), or of several, (..., n)."""
    return np.asarray(matrix[..., *np.triu_indices(matrix.shape[-1])])

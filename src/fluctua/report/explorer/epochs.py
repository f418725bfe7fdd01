"""The exact floor of shuffled epochs between settings: what feedback adds, in units of what independent batches add.

Both rungs of shuffled epochs have the ratio 1 + c f, f being the feedback of independent batches with replacement. c is
between 0.7 and 2.5, and smooth in the batch size and in the share of the limit; it is found at a few of both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..._arrays import Array
from ...problem.least_squares import LeastSquares
from ...recipe.sgd import Recipe
from ...theory.answers import predict
from ...theory.interpolation import lagrange
from .balance import ReducedBalance
from .known import known_floor

__all__ = ["EpochFactors", "epoch_factors"]

_SHARES, _SIZES = (0.1, 0.4), (0.5, 1.0, 2.0)  # of the limit, and of the run's batch size
_FARTHEST = 0.6  # share up to which there is a factor
_CHECK = 0.25, 1.4  # a share and a size in between


@dataclass(frozen=True)
class EpochFactors:
    """What feedback adds in shuffled epochs over what it adds to independent batches, at the run's momentum.

    Attributes
    ----------
    shares, batch_sizes : ndarray
        The nodes: of lr over the limit of independent batches, and b.
    factors : ndarray, (shares, batch sizes)
    match : float
        By which factors are multiplied, so that the run's floor is Python's.
    error : float
        Stated relative error of the floor between the nodes: twice what a setting in between misses. NaN unknown.
    """

    shares: Array
    batch_sizes: Array
    factors: Array
    match: float = 1.0
    error: float = np.nan

    def factor(self, share: float, batch_size: float) -> float:
        """Return c; NaN where it would be extrapolated."""
        if not (share <= _FARTHEST and self.batch_sizes[0] <= batch_size <= self.batch_sizes[-1]):
            return float("nan")
        across = lagrange(np.log(self.batch_sizes), np.log([batch_size]))[0]
        along = lagrange(self.shares, np.array([share]))[0]
        return float(self.match * (along @ self.factors @ across))


def epoch_factors(problem: LeastSquares, sgd: Recipe, exact: ReducedBalance, floor: float) -> EpochFactors | None:
    """Return the factors about a recipe in shuffled epochs, whose own `floor` may be known.

    Cost: seven predictions in shuffled epochs, where one costs little.
    """
    laws = _Laws(problem, sgd, exact)
    most = problem.samples // 2
    sizes = sorted({int(np.clip(round(share * sgd.batch_size), 1, most)) for share in _SIZES})
    factors = np.array([[laws.factor(share, b) for b in sizes] for share in _SHARES])
    if not np.isfinite(factors).all():
        return None
    found = EpochFactors(np.array(_SHARES), np.array(sizes, float), factors)
    share, size = _CHECK[0], int(np.clip(round(_CHECK[1] * sgd.batch_size), sizes[0], sizes[-1]))
    miss = laws.feedback(share, size) * (found.factor(share, size) - laws.factor(share, size))
    own, at = laws.of(sgd, floor), found.factor(laws.share(sgd), sgd.batch_size)
    match = own / at if np.isfinite([own, at]).all() and own > 0 else 1.0
    return replace(found, match=match, error=2 * abs(miss))


@dataclass(frozen=True)
class _Laws:
    problem: LeastSquares
    sgd: Recipe
    exact: ReducedBalance

    def _limit(self, sgd: Recipe) -> float:
        return self.exact.limit(sgd.step, 1 / sgd.batch_size, sgd.weight_decay, self._place)

    @property
    def _place(self) -> int:
        return self.exact.place_of(self.sgd.weight_decay)

    def share(self, sgd: Recipe) -> float:
        """Return lr over the limit of independent batches."""
        return sgd.lr / self._limit(sgd)

    def _at(self, share: float, size: int) -> Recipe:
        sgd = replace(self.sgd, batch_size=size)
        return replace(sgd, lr=share * self._limit(sgd))

    def _fed(self, sgd: Recipe) -> float:
        return self.exact.feedback(sgd.step, sgd.lr, 1 / sgd.batch_size, sgd.weight_decay, self._place)

    def feedback(self, share: float, size: int) -> float:
        """Return f there."""
        return self._fed(self._at(share, size))

    def factor(self, share: float, size: int) -> float:
        """Return c there, from Python's solution; NaN without one."""
        sgd = self._at(share, size)
        return self.of(sgd, known_floor(self.problem, sgd))

    def of(self, sgd: Recipe, floor: float) -> float:
        """Return c of a recipe with a known floor."""
        if np.isnan(floor) or not self.share(sgd) < 1:
            return float("nan")
        discrete = predict(self.problem, sgd, theory="discrete").excess_loss
        return (floor / discrete - 1) / self._fed(sgd)

r"""What the law of shuffled epochs leaves out for a head, as it can say itself (F167).

F45 to F57 are of first order in the leverage of samples: r/N where all are as loud as each other, more where a few
decide. What follows is, for each sample, its leverage times what they add to F44, or its leverage squared where terms
of theirs cancel; a sample counts by the square of its gradient, as it does in the noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..._arrays import Array
from ...problem.softmax.picture import Picture
from ...recipe.sgd import Recipe
from ..fixed_points import solve

if TYPE_CHECKING:
    from .balance import Balance

__all__ = ["LeftOut", "crowding_of", "overshoots"]


def crowding_of(picture: Picture) -> tuple[float, float]:
    """Return <l> and <l^2>, l_i = (1/N) tr(A_i (x) x_i x_i^T H^-1) a sample's leverage, weighed by |g_i|^2."""
    inside = picture.forms(np.diag(1 / picture.curvatures))
    leverages = np.einsum("nab,nba->n", picture.place.spread, inside) / picture.population
    loud = np.square(picture.place.residuals).sum(axis=1) * np.square(picture.place.head.z).sum(axis=1)
    counts = loud if picture.importance is None else loud * picture.importance
    total = float(counts.sum())
    return (float(counts @ leverages) / total, float(counts @ leverages**2) / total) if total else (0.0, 0.0)


def overshoots(picture: Picture, sgd: Recipe) -> bool:
    """Return whether a last batch of at most half the size could overshoot W*, and decides what an epoch does."""
    sizes = sgd.batch_sizes(picture.population)
    if 2 * sizes[-1] > sizes[0]:
        return False
    steepest = np.linalg.eigvalsh(picture.place.spread)[:, -1]
    loudest = steepest * np.square(picture.place.head.z).sum(axis=1)
    return bool(sgd.step.effective_lr(sgd.lr) * float(loudest.max()) > sizes[-1])


@dataclass(frozen=True)
class LeftOut:
    """Second order in the leverage of samples, of one recipe in epochs, relative.

    Parameters
    ----------
    balance : Balance
    """

    balance: Balance

    @cached_property
    def _crowding(self) -> tuple[float, float]:
        """Means of leverages and of their squares; 1 where a small last batch may overshoot W*, and decides."""
        return (1.0, 1.0) if overshoots(self.balance.picture, self.balance.sgd) else crowding_of(self.balance.picture)

    @cached_property
    def _without(self) -> Array:
        """Variances by F44 alone, with noise that feels the fluctuation, (r,)."""
        balance = self.balance
        phi, source = balance.phi(balance.picture.curvatures), balance.source
        return np.diag(solve(phi, source.noise, source.feedback, balance.picture.precision))

    @cached_property
    def _with(self) -> Array:
        return np.diag(self.balance.state("multiplicative").covariance)

    @cached_property
    def of_variances(self) -> Array:
        """Of each mode's variance, (r,)."""
        ratio = np.divide(self._with, self._without, out=np.ones_like(self._with), where=self._without > 0)
        leverage, square = self._crowding
        return np.asarray(leverage * np.abs(ratio - 1) + square)

    def of_loss(self, variances: Array | None = None) -> float:
        """Of the excess loss, in the stationary state or with other `variances`: each mode's by what it has of it."""
        losses = self.balance.picture.curvatures * (self._with if variances is None else variances)
        return float(losses @ self.of_variances / losses.sum()) if losses.any() else 0.0

r"""What the law of shuffled epochs leaves out for a head, as it can say itself (F167).

F45 to F57 are of first order in q, the mean leverage of samples, weighed by itself: r/N where all samples are as loud
as each other, more where a few decide. What follows is q times what they add to F44, or q times q where terms of theirs
cancel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ...problem.softmax.picture import Picture
from ...recipe.sgd import Recipe
from ..fixed_points import solve
from .balance import Balance

__all__ = ["LeftOut", "crowding_of", "overshoots"]


def crowding_of(picture: Picture) -> float:
    """Return q, the mean leverage (1/N) tr(A_i (x) x_i x_i^T H^-1) of samples, each as often as its own."""
    inside = picture.forms(np.diag(1 / picture.curvatures))
    leverages = np.einsum("nab,nba->n", picture.place.spread, inside) / picture.population
    total = float(leverages.sum())
    return float(leverages @ leverages) / total if total else 0.0


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
    """Second order in q of one recipe in epochs, relative.

    Parameters
    ----------
    balance : Balance
    """

    balance: Balance

    @cached_property
    def _crowding(self) -> float:
        """Q; 1 where a small last batch may overshoot W*, and decides what an epoch does."""
        return 1.0 if overshoots(self.balance.picture, self.balance.sgd) else crowding_of(self.balance.picture)

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
        return np.asarray(self._crowding * np.maximum(np.abs(ratio - 1), self._crowding))

    def of_loss(self, variances: Array | None = None) -> float:
        """Of the excess loss, in the stationary state or with other `variances`: each mode's by what it has of it."""
        losses = self.balance.picture.curvatures * (self._with if variances is None else variances)
        return float(losses @ self.of_variances / losses.sum()) if losses.any() else 0.0

r"""The stationary state of an average whose updates fall on all positions of an epoch in turn, by the expansion.

Seen after every k-th step, the weights are a stationary sequence once the positions are averaged over. The average is
a filter of it, a = (1 - d) sum_j d^j V(t - j k), so that its second moment needs the weights at two times alone:

    A = (1 - d)/(1 + d) [C_0 + sum_(j >= 1) d^j (C_j + C_j^T)],    C_j = E[V(t + j k)^T V(t)], averaged over positions.

Within an epoch E[s(t)^T V(t')] is that of F45, and from epoch to epoch it decays as the mean does without batches that
shift it: of first order in r/N, but for the terms that F45 and F52 have beyond the noise that is taken back.
"""

from __future__ import annotations

import numpy as np

from ..._arrays import Array
from ...errors import InvalidInput
from ...recipe.averages import EMA
from .stationary import Cycle

__all__ = ["RareAverage"]


class RareAverage:
    """F57 of an average that is updated every k steps, k at least an epoch, all its positions taken together.

    More often updated, it would cancel most of the noise that an epoch takes back, and show what is left out here.

    Parameters
    ----------
    weights : Cycle
        The stationary state of the weights.
    average : EMA
    """

    def __init__(self, weights: Cycle, average: EMA) -> None:
        self.weights, self.decay, self.every = weights, average.decay, average.period
        self.epoch, self.kernel = weights.shuffle.epoch, weights.shuffle.kernel
        self.places = np.arange(0, self.epoch.steps, int(np.gcd(self.epoch.steps, self.every)))

    def settled_at(self, place: int | None) -> tuple[Array, Array]:
        """Second moment and mean of the average, (r, r) and (c, r), averaged over the positions of an epoch.

        Raises
        ------
        InvalidInput
            For one position.
        """
        if place is not None:
            raise InvalidInput(
                f"an average that is updated every {self.every} steps, in epochs of {self.epoch.steps}, meets the same "
                f"position again after too many epochs for a stationary state at one of them. Leave the position out, "
                f"or use .after(steps)."
            )
        d, mean = self.decay, self.weights.mean_over(self.places.tolist())
        now, later = self._now(), self.epoch.fold_rows(self._later())
        filtered = (1 - d) / (1 + d) * (self.epoch.fold_rows(now) + later + later.T)
        return filtered + mean.T @ mean, mean

    def _now(self) -> Array:
        """Covariance of s and V at the positions of updates, (k r, r)."""
        moments = self.weights.moments
        means = moments.means[:-1]
        squared = np.einsum("jca,jcp->jap", means, self.epoch.fold(means))
        covariances = self.epoch.fold_columns(moments.states[:-1]) - squared
        return np.asarray(np.tensordot(self._shares(), covariances, 1))

    def _shares(self) -> Array:
        """How much the positions' nodes have in the average over the positions of updates, (J,)."""
        regular = self.places[self.places < self.epoch.regular]
        inside = self.epoch.positions.basis[regular].sum(axis=0)
        last = np.ones(self.epoch.steps - self.epoch.regular) * np.isin(self.epoch.steps - 1, self.places)
        return np.append(inside, last) / len(self.places)

    def _later(self) -> Array:
        """The sum of d^j E[s(t + j k)^T V(t)] over j from 1 on, averaged over the positions, (k r, r)."""
        kept = self.decay * self.epoch.kernel.decay**self.every
        decayed = (kept / (1 - kept))[:, None] * self._now()
        taken = np.array([self._taken(int(place)) for place in self.places])
        sums = np.array([self.epoch.response_sum(int(place)) for place in self.places])
        back = taken.T @ sums / len(self.places)
        source, _ = self.weights._added
        return np.asarray(decayed - self.weights.shuffle.batches.eps * back * self.epoch.tile_rows(source))

    def _taken(self, place: int) -> Array:
        """The sum of d^j m^(what is later than the epoch) Lambda(what is not) over j from 1 on, (k r,)."""
        left, k, decay = self.epoch.steps - place, self.every, self.epoch.kernel.decay
        inside = np.arange(1, (left - 1) // k + 1)
        found = self.decay**inside @ self.epoch.sums[inside * k] if len(inside) else 0.0
        first = len(inside) + 1
        beyond = self.decay**first * decay ** (first * k - left) / (1 - self.decay * decay**k)
        return np.asarray(found + beyond * self.epoch.sums[left])

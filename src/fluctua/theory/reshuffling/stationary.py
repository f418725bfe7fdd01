"""The stationary state of shuffled epochs by the expansion, an epoch that ends as it began, and its existence: F57."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ..fixed_points import NoStationaryState, fixed_point
from .expansion import Shuffle
from .memory import EpochMoments

__all__ = ["Cycle"]

_ESTIMATED = 1e-4  # of the states, where cumulants are averaged over some of the samples
_ROUNDED = 30.0  # times the accuracy of products over samples: what float32 lets a Krylov space reach
_MARGIN_RTOL = 1e-3


@dataclass(frozen=True)
class Cycle:
    """The stationary state of one recipe in epochs.

    The states of an epoch solve x = c + L x, with L linear: what an epoch adds because its noise felt these states,
    over what it dissipates (F57).

    Parameters
    ----------
    shuffle : Shuffle
    """

    shuffle: Shuffle

    @cached_property
    def _means(self) -> Array:
        return self.shuffle.means(self.shuffle.settled_mean)

    def _settle(self, states: Array, rough: bool = False) -> Array:
        """F57: L x + c, the states of an epoch that begins with what the last one added over 1 - m^n m^n."""
        shuffle, gap = self.shuffle, self.shuffle.slow.gap()
        source, steps = shuffle.added(EpochMoments(states, self._means), rough=rough)
        added = shuffle.through(np.zeros_like(gap), source, steps)[-1]
        return shuffle.through(added / gap, source, steps)

    def _settle_roughly(self, states: Array) -> Array:
        return self._settle(states, rough=True)

    @cached_property
    def _first(self) -> Array:
        """The states as the noise at W* alone makes them."""
        gap = self.shuffle.slow.gap()
        return self.shuffle.from_noise_alone(self.shuffle.from_noise_alone(np.zeros_like(gap))[-1] / gap)

    @cached_property
    def _found(self) -> tuple[Array, bool]:
        if self.shuffle.sizes[0] == self.shuffle.problem.population:  # one batch of all: what is left is rounding
            return np.zeros_like(self._first), True
        if not self.shuffle.estimated:
            rtol = max(self.shuffle.rtol, _ROUNDED * self.shuffle.problem.precision)
            return fixed_point(self._settle, self._settle, self._first, rtol)
        return fixed_point(
            self._settle, self._settle_roughly, self._first, max(self.shuffle.rtol, _ESTIMATED), slow=0.5
        )

    @property
    def contracts(self) -> bool:
        """Whether substitution converged, quickly: then there is a stationary state."""
        return self._found[1]

    @cached_property
    def moments(self) -> EpochMoments:
        """Moments along a stationary epoch.

        Raises
        ------
        NoStationaryState
            Where the variance grows from epoch to epoch.
        """
        states = self._found[0]
        if not self._moment(states) >= 0:
            raise NoStationaryState
        return EpochMoments(states, self._means)

    def margin(self) -> float:
        """1/tr(A S) of the solution: it falls to zero at the stability limit, and is negative beyond.

        The map of an epoch keeps covariances positive, so that beyond the limit the solution is not one. Roughly.
        """
        states = fixed_point(self._settle_roughly, self._settle_roughly, self._first, _MARGIN_RTOL)[0]
        return 1 / self._moment(states)

    def _moment(self, states: Array) -> float:
        """Return tr(A S) averaged over the epoch."""
        shuffle = self.shuffle
        return float(shuffle.problem.curvatures @ shuffle.kernel.variances(shuffle.epoch.average(states)))

    def settled_at(self, place: int | None) -> tuple[Array, Array]:
        """S and E V in the stationary state, (r, r) and (c, r): at one position, or averaged over the epoch."""
        shuffle, epoch = self.shuffle, self.shuffle.epoch
        means = epoch.fold(self._means)
        if place is None:
            return shuffle.kernel.fold(epoch.average(self.moments.states)), epoch.average(means)
        return shuffle.at(place, self.moments, *self._added), shuffle.mean_at(place, means)

    def mean_over(self, places: list[int]) -> Array:
        """E V in the stationary state, averaged over positions of an epoch, (c, r)."""
        means = self.shuffle.epoch.fold(self._means)
        return np.asarray(np.mean([self.shuffle.mean_at(place, means) for place in places], axis=0))

    @cached_property
    def _added(self) -> tuple[Array, Array]:
        return self.shuffle.added(self.moments)

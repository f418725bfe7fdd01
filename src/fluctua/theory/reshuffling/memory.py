r"""What the batches of an epoch remember of one another, the terms of N1 and N2 in the balance F43: F44 to F51.

N1 = E[s(t)^T D_t] is the correlation of the weights, which carry what earlier batches did, with the batch to come, and
N2 = E[D_t^T D_t]. Every term is of first order in eps times the number of steps that a response lasts, r/N in all.
Left out are terms of second order, and two averages <g B> that cross (as small as the square of the mean's shift).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ...problem.reduced_basis import Sources
from ..interpolation import Grid
from .batch_cumulants import BatchCumulants
from .lag_cumulants import LagCumulants, LaggedAverages
from .mean import MeanMotion
from .path_cumulants import PathCumulants
from .responses import Responses
from .timetable import Epoch

__all__ = ["EpochMoments", "Memory", "NoiseMemory"]


Path = tuple[PathCumulants, list[tuple[Array, LagCumulants]]]


@dataclass(frozen=True)
class EpochMoments:
    """Moments of a run along one epoch.

    Attributes
    ----------
    states : ndarray, (J + 1, k r, k r)
        The kernel's states at `Epoch.times` and, last, at the end.
    means : ndarray, (J + 1, c, k r)
        E of the components there.
    """

    states: Array
    means: Array


@dataclass(frozen=True)
class Memory:
    """What the terms of one recipe are made of, whatever its state."""

    epoch: Epoch
    batches: BatchCumulants
    responses: Responses
    averages: LaggedAverages
    motion: MeanMotion
    _last: list[Path] = field(default_factory=list)

    def along(self, means: Array) -> Path:
        """F65, F66: what samples do on the path of E of the components, (J + 1, c, k r); the last one is kept.

        How the cumulants change on it is left out where they are estimated.
        """
        if not self._last or not np.array_equal(self._last[0][0].path.components, means[:-1]):
            found = self.motion.path(means[:-1])
            ways = [] if self.averages.estimated else found.path.trends
            trends = [(each.shape, self.averages.of_trend(each.state, each.mean)) for each in ways]
            self._last[:] = [(found, trends)]
        return self._last[0]


class NoiseMemory:
    """N1 and N2 along one epoch: a method for each term, named after it.

    Cost: some six passes over the samples of `memory.averages` per lag node, and one feedback per pair of a position
    and a lag.

    Parameters
    ----------
    memory : Memory
    moments : EpochMoments
    source : ndarray, (r, r)
        The source G = C + K[S] + X(E V) averaged over the epoch.
    sources : Sources
        What K makes of a state.
    similar : bool
        Whether estimated cumulants of a state nearby may stand for this one's.
    """

    def __init__(
        self, memory: Memory, moments: EpochMoments, source: Array, sources: Sources, *, similar: bool = False
    ) -> None:
        self.memory, self.epoch, self.moments, self.source = memory, memory.epoch, moments, source
        self.sources, epoch = sources, memory.epoch
        mean = epoch.fold(epoch.average(moments.means))
        self.cumulants = memory.averages.of_state(epoch.average(moments.states), mean, similar=similar)
        self.path, self.trends = memory.along(moments.means)
        self._between: dict[int, Array] = {}

    # -- N2 ---------------------------------------------------------------------------------------------------------

    def variance(self, k: int) -> Array:
        """N2 at `times[k]` less kappa G, (r, r)."""
        return np.asarray(self.noise_third_cumulant(k) + self.noise_fourth_cumulant(k))

    def noise_third_cumulant(self, k: int) -> Array:
        """F50: c_2(b_t) times the sum of <E[D_i(V(t))^T D_i(V(t'))] P_u B_i>, and its transpose."""
        time = int(self.epoch.times[k])
        third = np.tensordot(self.epoch.lag_counts(time), self.cumulants.third_between, 1)
        for shape, cumulants in self.trends:  # F66
            third += np.tensordot(self.epoch.lag_counts(time, self.epoch.spread(shape)), cumulants.third_between, 1)
        return np.asarray(self.memory.batches.two(int(self.epoch.sizes[time])) * (third + third.T))

    def noise_fourth_cumulant(self, k: int) -> Array:
        """F51: c_4(b_t, b) times the sum of <B_i P_u (E[D_i^T D_i] - G) P_u B_i>."""
        time, sizes = int(self.epoch.times[k]), self.epoch.sizes
        each = self.cumulants.fourth + sum(shape[k] * cumulants.fourth for shape, cumulants in self.trends)
        fourth = np.tensordot(self.epoch.lag_squares(time), each, 1)
        return np.asarray(self.memory.batches.four(int(sizes[time]), int(sizes[0])) * fourth)

    # -- N1 ---------------------------------------------------------------------------------------------------------

    def correlation(self, k: int, change: Array) -> Array:
        """N1 at `times[k]`, (k r, r), but for the average source; `change` is the present source less that."""
        return np.asarray(
            self.anticorrelated_noise(k, change)
            + self.anticorrelated_feedback(k)
            + self.anticorrelated_curvature(k)
            + self.corrected_response(k)
            + self.third_cumulant(k)
            + self.shifted_mean(k)
        )

    def anticorrelated_noise(self, k: int, change: Array) -> Array:
        """F44: -eps Lambda(t) (G(t) - average G): noise taken back; `Shuffle.anticorrelation` has the rest."""
        sums = self.epoch.sums[int(self.epoch.times[k])]
        return np.asarray(-self.memory.batches.eps * sums[:, None] * self.epoch.tile_rows(change))

    def anticorrelated_feedback(self, k: int) -> Array:
        """F45: -eps times the sum of f m^u of what the noise of an earlier batch felt, less what it feels now."""
        epoch = self.epoch
        now = epoch.kernel.fold(self.moments.states[k])
        then = [epoch.fold_rows(between).T for between in self.between(k)]
        felt = self.sources.feedbacks(np.array([now, *then]))
        changes = felt[1:] - felt[0]
        changes += self.path.crossed(k, int(epoch.times[k]) - 1 - self._lags(k).nodes)
        weights = epoch.history_responses(int(epoch.times[k]))
        return np.asarray(-self.memory.batches.eps * np.einsum("aj,jaq->aq", weights, epoch.tile_rows(changes)))

    def anticorrelated_curvature(self, k: int) -> Array:
        """F46: -eps times the sum of E[s(t)^T V(t')] K[P_u]: curvature of samples that V has already felt."""
        weights = self.epoch.history_lags(int(self.epoch.times[k]))
        summed = np.tensordot(weights.T, self.between(k), 1)
        feedbacks = self.memory.responses.feedbacks
        return np.asarray(-self.memory.batches.eps * np.tensordot(summed, feedbacks, axes=([0, 2], [0, 1])))

    def corrected_response(self, k: int) -> Array:
        """F47: -eps Xi(t) G: noise that is taken back, by a response that samples in between have changed."""
        time = int(self.epoch.times[k])
        return np.asarray(-self.memory.batches.eps * self.memory.responses.correction(time) @ self.source)

    def third_cumulant(self, k: int) -> Array:
        """F48: a sample's noise, twice, and its curvature, in two batches or in three."""
        epoch, batches, time = self.epoch, self.memory.batches, int(self.epoch.times[k])
        same = self._same(epoch.lag_responses(time), self.cumulants)
        for shape, cumulants in self.trends:  # F66
            same = same + self._same(epoch.lag_responses(time, epoch.spread(shape)), cumulants)
        two = batches.two(int(epoch.sizes[0])) - batches.three
        return np.asarray(two * same + batches.three * self.path.separate(k))

    def _same(self, weights: Array, cumulants: LagCumulants) -> Array:
        return np.asarray(np.einsum("aj,jaq->aq", weights, self.epoch.tile_rows(cumulants.third)))

    def shifted_mean(self, k: int) -> Array:
        """F49: E s(t)^T E[V(t) B_t], but for the drift."""
        return np.asarray(self.moments.means[k].T @ self._shifts[k])

    # -- what they share --------------------------------------------------------------------------------------------

    @cached_property
    def _shifts(self) -> Array:
        return self.memory.motion.shifts(self.path)

    def _lags(self, k: int) -> Grid:
        """Lags u that stand for all before `times[k]`."""
        return self.epoch.history(int(self.epoch.times[k]))

    def between(self, k: int) -> Array:
        """F45: E[s(t)^T V(t')] for t = `times[k]` and t' = t - 1 - u at its lags' nodes, (L, k r, r)."""
        if k not in self._between:
            each = [self._at_two_times(int(self.epoch.times[k]), int(u)) for u in self._lags(k).nodes]
            self._between = {k: np.array(each)}  # of the last position asked for
        return self._between[k]

    def _at_two_times(self, time: int, lag: int) -> Array:
        """m^(u+1) E[s(t')^T V(t')] - eps Lambda(u+1) Z(t') G: what has decayed, less the noise since then."""
        epoch, then = self.epoch, time - 1 - lag
        decayed = epoch.carried(epoch.earlier(self._folded, time, lag), time, lag)
        since = np.multiply.outer(epoch.since(time, lag), epoch.response_sum(then)) * epoch.tile_rows(self.source)
        return np.asarray(decayed - self.memory.batches.eps * since)

    @cached_property
    def _folded(self) -> Array:
        """E[s^T V] at `Epoch.times`, and at the end, (J + 1, k r, r)."""
        return self.epoch.fold_columns(self.moments.states)

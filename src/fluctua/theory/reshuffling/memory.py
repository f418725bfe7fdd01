r"""What the batches of an epoch remember of one another.

Batches of one epoch share no sample: Cov(D_s, D_t) = -eps <D_i D_i>, eps = 1/(N - 1), and the weights, which carry what
earlier batches did, are correlated with the batch to come. For components s' = m s + f D of the motion

    S(t+1) = m m S(t) + m N1(t) f + (m N1(t) f)^T + f f N2(t),    N1(t) = E[s(t)^T D_t],    N2(t) = E[D_t^T D_t].

Independent batches have N1 = 0 and N2 = kappa (C + K[S] + X(E V)). Here, expanding in cumulants of the noise (by
parts, E[F D_t] = -eps sum_s <E[dF/dD_s(i)] D_i> + third cumulants),

    N1 = -eps sum_u f m^u E<D_i(V(t'))^T D_i(V(t))>           u = t - 1 - t': the noise is taken back
         -eps sum_u E[s(t)^T V(t')] <B_i X_u B_i>             what V felt of a sample's curvature is, too
         + third cumulants of g, g and B                      a sample's noise and its own curvature do not meet again
    N2 = kappa (C + K[S] + X) + third and fourth cumulants of the same kind.

Every term is of first order in eps times the number of steps that a response X lasts, r/N in all. What is left out:
terms of second order, and two averages <g B> that cross (as small as the square of the mean's shift).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..interpolation import Grid
from .cumulants import Exclusion
from .timetable import Epoch

__all__ = ["Memory", "Passage", "Recollection"]

Array = NDArray[np.float64]
Feedback = Callable[[Array], Array]
_KEPT = 0.1  # their share of the excess loss of MNIST is 0.2 %


@dataclass(frozen=True)
class Passage:
    """What a run does in one epoch.

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
class Cumulants:
    """Averages over a sample at the lags' nodes, (J, r, r) each, as `Exclusion` has them."""

    echoes: Array
    doubles: Array
    later: Array  # echoes of what is left of S after the lag


class Memory:
    """The terms that do not depend on the state, computed once per recipe.

    Cost: three passes over the samples per node. Memory: three (r, r) matrices per node.
    """

    def __init__(self, epoch: Epoch, exclusion: Exclusion, feedback: Feedback) -> None:
        self.epoch, self.exclusion, self.samples = epoch, exclusion, exclusion.problem.population
        self.feedback = feedback
        self.estimated = exclusion.problem.samples < exclusion.problem.population
        self._bare: tuple[Array, Array] | None = None
        self._cumulants: tuple[float, Cumulants] | None = None
        self.eps = 1 / (self.samples - 1)
        self.apart = 2 * self.eps / max(self.samples - 2, 1)  # third cumulant of three batches, per sample's

    def pair(self, size: int) -> float:
        """Third cumulant of a batch of `size`, twice, and another one, per sample's."""
        return ((size - 1) * self.apart - self.eps) / size

    @property
    def responses(self) -> Array:
        """X_u at the lags' nodes, (J, r)."""
        return self.exclusion.responses

    @cached_property
    def drifts(self) -> Array:
        """<B_i X_u B_i> = K[X_u], (J, r, r)."""
        return np.array([self.feedback(np.diag(x)) for x in self.responses])

    @cached_property
    def _turned(self) -> Array:
        """Sum over w < v of Y_w K[X_(v-1-w)], Y_w the sum of the first w responses, at the positions, transposed."""
        epoch, out = self.epoch, []
        for v in epoch.positions.nodes:
            weights = epoch.fold(epoch.sums[:v][::-1]).T @ epoch.lags.basis[:v]
            out.append(np.einsum("pj,jpq->qp", weights, self.drifts))
        return np.array(out)

    def turn(self, time: int) -> Array:
        """How drifts turn the sum of all responses before `time`, transposed, (k r, r)."""
        rows = self.epoch.tile_rows(self._turned)
        turned = np.einsum("aj,jaq->aq", self.epoch.carried(time), rows)
        return np.asarray(-self.eps * self.epoch.drive[:, None] * turned)

    @cached_property
    def shifts(self) -> Array:
        """E[V(t) B_t] at `times` but for the drift of E V, (J, c, r): what V keeps of samples already seen."""
        out = np.zeros((len(self.epoch.times), *self.exclusion.pull.shape))
        for k, time in enumerate(self.epoch.times.tolist()):
            if time:
                whole = np.diag(self.epoch.fold(self.epoch.sums[time])) + self.epoch.fold_rows(self.turn(time)).T
                out[k] = -self.eps * self.exclusion.noise_then_curvature(whole)
                out[k] += self.apart * self.exclusion.twice(self._pairs(time), self.drifts)
        return out

    def _pairs(self, time: int) -> Array:
        """Weights of the nodes in the sum of G(u, w) over lags u + w < `time` - 1, (J, J)."""
        basis = self.epoch.lags.basis
        until = np.vstack([np.zeros(basis.shape[1]), np.cumsum(basis[: time - 1], axis=0)])
        return np.asarray(until[::-1].T @ basis[:time])

    def bare(self, mean: Array) -> Array:
        """<E[D_i^T D_i] X_u B_i> at the lags' nodes for the mean alone, (J, r, r); the last ones are kept."""
        if self._bare is None or not np.array_equal(self._bare[0], mean):
            found = self.exclusion.deviation(np.zeros((mean.shape[1],) * 2), mean)
            self._bare = mean, np.array([self.exclusion.echo(j, found) for j in range(len(self.responses))])
        return self._bare[1]

    def cumulants(self, state: Array, mean: Array, *, similar: bool = False) -> Cumulants:
        """Third and fourth cumulants at the lags' nodes for the epoch's average state and mean.

        If states are `similar`, those of a run, estimated ones are kept while tr(A S) moves by less than `_KEPT`: they
        are some per cent off anyway.
        """
        size = float(self.exclusion.a @ self.epoch.kernel.variances(state))
        kept = _KEPT * size if similar and self.estimated else 0.0
        if self._cumulants is not None and abs(size - self._cumulants[0]) < kept:
            return self._cumulants[1]
        epoch, exclusion, lags = self.epoch, self.exclusion, range(len(self.responses))
        ahead = [epoch.fold_rows(epoch.powers[u + 1][:, None] * epoch.fold(state)) for u in epoch.lags.nodes]
        now = exclusion.deviation(epoch.kernel.fold(state), mean)
        found = Cumulants(
            np.array([exclusion.echo(j, now) for j in lags]),
            np.array([exclusion.double(j, now) for j in lags]),
            np.array([exclusion.echo(j, exclusion.deviation(ahead[j], mean)) for j in lags]),
        )
        self._cumulants = size, found
        return found

    def drifted(self, means: Array) -> Array:
        """The drift's part of E[V(t) B_t], (J, c, r), for E V at `times`, (J, c, r)."""
        epoch, out = self.epoch, np.zeros_like(means)
        basis = epoch.positions.basis
        for k, time in enumerate(epoch.times):
            met = epoch.lags.basis[:time].T @ basis[:time][::-1]
            moved = np.einsum("jk,kcp->jcp", met, means[: basis.shape[1]])
            out[k] = -self.eps * np.einsum("jcp,jpq->cq", moved, self.drifts, optimize=True)
        return out


class Recollection:
    """The terms that depend on the state, for one passage whose source averages to `source`.

    Cost: some six passes over the exclusion's samples per lag node, and one feedback per pair of a position and a lag.
    """

    def __init__(
        self, memory: Memory, passage: Passage, source: Array, feedback: Feedback, *, similar: bool = False
    ) -> None:
        self.memory, self.epoch, self.passage, self.source = memory, memory.epoch, passage, source
        self.feedback = feedback
        epoch, mean = memory.epoch, memory.epoch.fold(memory.epoch.average(passage.means))
        self.cumulants = memory.cumulants(epoch.average(passage.states), mean, similar=similar)
        self.bare = memory.bare(mean)
        bare_sums = [np.tensordot(epoch.cumulative(t), self.bare, 1).T for t in epoch.positions.nodes]
        self.bare_sums = epoch.tile_rows(np.array(bare_sums))

    def noise(self, k: int) -> Array:
        """N2 at `times[k]` less kappa (C + K[S] + X), (r, r)."""
        time, b = int(self.epoch.times[k]), int(self.epoch.sizes[0])
        size, weights = int(self.epoch.sizes[time]), self.epoch.cumulative(time)
        late, double = (np.tensordot(weights, each, 1) for each in (self.cumulants.later, self.cumulants.doubles))
        return np.asarray(self.memory.pair(size) * (late + late.T) - self.memory.eps / (size * b) * double)

    def correlation(self, k: int, change: Array) -> Array:
        """N1 at `times[k]`, (k r, r), but for the average source; `change` is the present source less that."""
        epoch, memory, time = self.epoch, self.memory, int(self.epoch.times[k])
        drive = epoch.drive[:, None]
        faded, drifted = self._taken_back(k)
        taken = epoch.sums[time][:, None] * epoch.tile_rows(change) + faded + drifted + memory.turn(time) @ self.source
        own = np.einsum("aj,jaq->aq", epoch.met(time), epoch.tile_rows(self.cumulants.echoes))
        other = epoch.sums[time][:, None] * epoch.tile_rows(np.tensordot(epoch.cumulative(time), self.bare, 1))
        later = np.einsum("aj,jaq->aq", epoch.carried(time), self.bare_sums)
        pair = memory.pair(int(epoch.sizes[0])) - memory.apart
        thirds = pair * drive * own + memory.apart * (other + drive * later)
        return np.asarray(self.passage.means[k].T @ memory.shifts[k] - memory.eps * taken + thirds)

    def _taken_back(self, k: int) -> tuple[Array, Array]:
        """Sums over earlier V(t'): of f m^u (K[E V(t')^T V(t)] - K[S(t)]), and of E[s(t)^T V(t')] K[X_u], (k r, r)."""
        epoch, memory, time = self.epoch, self.memory, int(self.epoch.times[k])
        feedback, grid = self.feedback, Grid(time, epoch.nodes)
        met, still = epoch.powers[:time].T @ grid.basis, feedback(epoch.kernel.fold(self.passage.states[k]))
        faded, drifted = np.zeros((2, *self.bare_sums.shape[1:]), epoch.powers.dtype)
        for lag, weights, count in zip(grid.nodes.tolist(), met.T, grid.basis.sum(axis=0), strict=True):
            between = self._between(time, lag)
            drifted += count * between @ np.tensordot(epoch.lags.basis[lag], memory.drifts, 1)
            change = feedback(epoch.fold_rows(between)) - still
            faded += (epoch.drive * weights)[:, None] * epoch.tile_rows(change)
        return faded, drifted

    def _between(self, time: int, lag: int) -> Array:
        """E[s(time)^T V(time - 1 - lag)], (k r, r): what is left of S, less what noise since then takes back."""
        epoch, then = self.epoch, time - 1 - lag
        left = epoch.powers[lag + 1][:, None] * epoch.fold(epoch.before(self.passage.states, time, lag))
        taken = np.multiply.outer(epoch.sums[lag + 1], epoch.fold(epoch.sums[then])) * epoch.tile_rows(self.source)
        return np.asarray(left - self.memory.eps * taken)

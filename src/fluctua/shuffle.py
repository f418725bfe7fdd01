r"""The law of shuffled epochs: the covariance at every position of an epoch, stationary and from any start.

Batches of one epoch share no sample (`memory`), epochs are independent. An epoch maps the state at its start to that at
its end linearly,

    S(e+1) = m^n m^n S(e) + G[S(e)],

G being what its n steps add; so stationary and finite-time laws are those of one slow step per epoch (theory.md
section 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .epoch import Epoch
from .exclusion import Exclusion
from .kernels import Kernel
from .memory import Memory, Passage, Recollection
from .part import part
from .problem import LeastSquares, Minimum
from .sources import Sources
from .stationary import NoStationaryState, fixed_point

__all__ = ["Shuffle"]

Array = NDArray[np.float64]
NODES, FEW_NODES = 12, 8
"""Positions, and lags, that stand for all of an epoch; 8 change the excess loss of digits by less than 1e-4."""
SOME = 2**20 + 2**19  # samples times modes that corrections are averaged over, where there are more
_ROUGH_RTOL, _NEGATIVE = 1e-3, 1e-3
_POLISHED = 8  # rounds with all samples, at most, after the solution with some


class _EpochStep(Kernel):
    """A step of all components by themselves: they are summed inside an epoch only."""

    def drift(self, steps: Any, *, observed: bool = False) -> NDArray[Any]:
        """Factor of E of each component after so many epochs."""
        del observed
        return np.asarray(self.decay ** np.asarray(steps)[..., None])


@dataclass(frozen=True)
class Shuffle:
    """One recipe, in epochs of a fresh order each.

    Parameters
    ----------
    problem : LeastSquares
    minimum : Minimum
    kernel : Kernel
    sizes : ndarray, (n,)
        Batch sizes of an epoch.
    feels : bool
        Whether the noise feels the fluctuation. If not, its source is C and the law of the covariance is
        S = R_n[C]/(1 - m^n m^n), first order of theory.md section 5.
    nodes : int
    rtol : float
        To which the stationary state is solved for, where no more than some millions of numbers are to be averaged.
    """

    problem: LeastSquares
    minimum: Minimum
    kernel: Kernel
    sizes: NDArray[np.int64]
    feels: bool = True
    nodes: int = NODES
    rtol: float = 1e-6

    @property
    def eps(self) -> float:
        """1/(N - 1), what two batches of an epoch share of the per-sample covariance, negative."""
        return 1 / (self.problem.population - 1)

    @cached_property
    def epoch(self) -> Epoch:
        """Its timetable."""
        return Epoch(self.kernel, self.sizes, self.nodes)

    @cached_property
    def _fewer(self) -> tuple[LeastSquares, Minimum]:
        return part(self.problem, self.minimum, SOME // self.problem.rank)

    @cached_property
    def _sources(self) -> Sources:
        return Sources(self.minimum, self._fewer[1])

    @cached_property
    def memory(self) -> Memory:
        """Its memory, averaged over some of the samples where there are many."""
        return Memory(self.epoch, Exclusion(*self._fewer))

    # -- the mean ---------------------------------------------------------------------------------------------------

    def means(self, start: Array) -> Array:
        """E of the components at `Epoch.times` and at the end, (J + 1, c, k r), from `start`, (c, k r)."""
        epoch, ends = self.epoch, [*self.epoch.times.tolist(), self.epoch.steps]
        out = np.array([start * epoch.powers[t] for t in ends])
        if not self.feels:
            return out
        for _ in range(4):  # the drift is small: each round multiplies what is left by some r/N
            push = self.memory.shifts + self.memory.drifted(epoch.fold(out[:-1]))
            out = np.array([self._pushed(start, push, t) for t in ends])
        return out

    def _pushed(self, start: Array, push: Array, time: int) -> Array:
        epoch = self.epoch
        regular = epoch.tile(push[: len(epoch.positions.nodes)])
        out = start * epoch.powers[time] + epoch.drive * np.einsum("aj,jca->ca", epoch.carried(time), regular)
        if time > epoch.regular:  # after the smaller batch
            out = out + epoch.drive * epoch.tile(push[-1])
        return np.asarray(out)

    @cached_property
    def settled_mean(self) -> Array:
        """E of the components at the start of an epoch, in the stationary state, (c, k r)."""
        decay = self.epoch.powers[-1]
        mean = np.zeros((self.minimum.weights.shape[0], len(decay)), decay.dtype)
        for _ in range(4):
            mean = (self.means(mean)[-1] - decay * mean) / self.slow.rate
        return mean

    # -- the covariance ---------------------------------------------------------------------------------------------

    @cached_property
    def slow(self) -> Kernel:
        """One epoch as one step: what is added is added once, in full."""
        n, rate = self.epoch.steps, self.kernel.rate
        flat = np.abs(rate) < 0.5  # where the power would lose what is left of 1
        gone = np.where(flat, -np.expm1(n * np.log1p(-np.where(flat, rate, 0))), 1 - (1 - rate) ** n)
        return _EpochStep(gone, 1.0, drive=np.ones_like(gone))

    def added(self, passage: Passage, *, rough: bool = False) -> tuple[Array, Array]:
        """The source averaged over an epoch, (r, r), and what else every step adds at `Epoch.times`, (J, k r, k r).

        If `rough`, both are linear in the passage, also where there are too many samples to ask all of them.
        """
        epoch = self.epoch
        sources = np.array([self._source(k, passage, rough) for k in range(len(epoch.times))])
        average = epoch.average(sources)
        recalled = Recollection(self.memory, passage, average) if self.feels else None
        return average, np.array([self._step(k, source, average, recalled) for k, source in enumerate(sources)])

    def _source(self, k: int, passage: Passage, rough: bool) -> Array:
        if not self.feels:
            return self.minimum.noise
        covariance, mean = self.kernel.fold(passage.states[k]), self.epoch.fold(passage.means[k])
        if rough:
            return self._sources.rough(covariance, mean)
        return self._sources.close(k, covariance, mean)

    def _step(self, k: int, source: Array, average: Array, recalled: Recollection | None) -> Array:
        """What step `times[k]` adds to the state, but for what it takes back of the average source."""
        epoch, drive, eps = self.epoch, self.epoch.drive, self.eps
        time = int(epoch.times[k])
        apart = (1 + eps) / self.sizes[time]  # covariance of batch means, less that of two of one epoch
        noise = apart * average + (apart - eps) * (source - average)
        if recalled is None or not time:
            return epoch.between(drive, noise)
        noise = noise + recalled.noise(k)
        crossed = epoch.powers[1][:, None] * epoch.tile(recalled.correlation(k, source - average)) * drive
        return np.asarray(epoch.between(drive, noise) + crossed + crossed.T)

    def through(self, start: Array, source: Array, steps: Array) -> Array:
        """States at `Epoch.times` and at the end from `start`, given what `added` returned."""
        marched, ends = self.epoch.march(start, steps), [*self.epoch.times.tolist(), self.epoch.steps]
        return np.array([state - self.taken(source, t) for state, t in zip(marched, ends, strict=True)])

    def additive(self, start: Array) -> Array:
        """States as `through` has them, from C alone, without what the noise feels or remembers: a first guess."""
        epoch, noise = self.epoch, self.minimum.noise
        injected = epoch.between(epoch.drive, noise)
        return self.through(start, noise, np.array([(1 + self.eps) / b * injected for b in self.sizes[epoch.times]]))

    def taken(self, source: Array, time: int) -> Array:
        """What the batches so far have taken back of the average source: eps (sum of responses)^2, exactly."""
        return np.asarray(self.eps * self.epoch.between(self.epoch.sums[time], source))

    @cached_property
    def fixed(self) -> Passage:
        """The passage that ends as it began; a covariance below the stability limit only."""
        means, keep = self.means(self.settled_mean), self.slow.gap()
        if self.sizes[0] == self.problem.population:  # one batch of all samples: what is left is rounding
            return Passage(np.zeros((len(means), *keep.shape), keep.dtype), means)

        def settle(states: Array, rough: bool = True) -> Array:
            source, steps = self.added(Passage(states, means), rough=rough)
            rest = self.through(np.zeros_like(keep), source, steps)[-1]
            return self.through(rest / keep, source, steps)

        shape = (len(self.epoch.times) + 1, *keep.shape)
        exact = self._sources.exact
        states = fixed_point(settle, np.zeros(shape, keep.dtype), rtol=self.rtol if exact else _ROUGH_RTOL)
        for _ in range(0 if exact else _POLISHED):
            before, states = states, settle(states, rough=False)
            if np.linalg.norm(states - before) < _ROUGH_RTOL * np.linalg.norm(states):
                break
        return Passage(states, means)

    @property
    def margin(self) -> float:
        """1/tr(A S) of the fixed point: it falls to zero at the stability limit, and is negative beyond.

        The map of an epoch keeps covariances positive, so that beyond the limit the fixed point is not one.
        """
        moments = self.kernel.variances(self.epoch.average(self.fixed.states))
        return float(1 / (self.problem.curvatures @ moments))

    @cached_property
    def stationary(self) -> Passage:
        """The passage that ends as it began.

        Raises
        ------
        NoStationaryState
            Where the variance grows from epoch to epoch.
        """
        lowest, *_, highest = np.linalg.eigvalsh(self.kernel.fold(self.epoch.average(self.fixed.states)))
        if lowest < -_NEGATIVE * highest:
            raise NoStationaryState
        return self.fixed

    def settled_at(self, place: int | None) -> tuple[Array, Array]:
        """S and E V in the stationary state, (r, r) and (c, r): at one position, or averaged over the epoch."""
        passage, epoch = self.stationary, self.epoch
        means = epoch.fold(passage.means)
        if place is None:
            return self.kernel.fold(epoch.average(passage.states)), epoch.average(means)
        return self.at(place, passage, *self._settled), self.mean_at(place, means)

    @cached_property
    def _settled(self) -> tuple[Array, Array]:
        return self.added(self.stationary)

    def at(self, place: int, passage: Passage, source: Array, added: Array) -> Array:
        """S at one position of a passage, (r, r), given what `added` says of it."""
        epoch, k = self.epoch, int(np.searchsorted(self.epoch.times, place, "right")) - 1
        now = int(epoch.times[k])
        marched = epoch.leg(passage.states[k] + self.taken(source, now), added, now, place)
        return self.kernel.fold(marched - self.taken(source, place))

    def mean_at(self, place: int, means: Array) -> Array:
        """E V at one position, (c, r), given those at `Epoch.times` and the end."""
        if place >= self.epoch.regular:
            return np.asarray(means[-2])
        return np.asarray(np.tensordot(self.epoch.positions.basis[place], means[: len(self.epoch.positions.nodes)], 1))

r"""The law of shuffled epochs: the covariance at every position of an epoch, stationary and from any start.

Batches of one epoch share no sample (`memory`), epochs are independent. An epoch maps the state at its start to that at
its end linearly,

    S(e+1) = m^n m^n S(e) + G[S(e)],

G being what its n steps add; so stationary and finite-time laws are those of one slow step per epoch
(docs/shuffle.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels.constant import Kernel
from ...problem.least_squares import LeastSquares, Minimum
from ...problem.reduced_basis import Sources
from ...problem.subsample import part
from ..fixed_points import fixed_point
from .cumulants import Exclusion
from .memory import Memory, Passage, Recollection
from .timetable import Epoch

__all__ = ["Shuffle"]

Array = NDArray[np.float64]
NODES, FEW_NODES = 12, 8
"""Positions, and lags, that stand for all of an epoch; 8 change the excess loss of digits by less than 1e-4."""
SOME = 2**20 + 2**19  # samples times modes that corrections are averaged over, where there are more
_MEAN_RTOL = 1e-8
_FLAT = 0.5  # rate below which a power would lose what is left of 1
_SPANNED, _ROUGH = 1e-4, 1e-2  # of what noise feels of a state, left out with few and with many samples


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
        S = R_n[C]/(1 - m^n m^n), the first order in lr (docs/shuffle.md).
    nodes : int
    """

    problem: LeastSquares
    minimum: Minimum
    kernel: Kernel
    sizes: NDArray[np.int64]
    feels: bool = True
    nodes: int = NODES

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

    @property
    def estimated(self) -> bool:
        """Whether cumulants are averaged over some of the samples only."""
        return self._fewer[1] is not self.minimum

    @cached_property
    def _sources(self) -> Sources:
        return Sources(self.minimum, _ROUGH if self.estimated else _SPANNED)

    @cached_property
    def _rough_sources(self) -> Sources:
        return Sources(self._fewer[1], _ROUGH) if self.estimated else self._sources

    @cached_property
    def memory(self) -> Memory:
        """Its memory, third and fourth cumulants averaged over some of the samples where there are many."""
        responses = np.array([self.epoch.response(u) for u in self.epoch.lags.nodes])
        return Memory(self.epoch, Exclusion(*self._fewer, responses), self._sources.feedback)

    # -- the mean ---------------------------------------------------------------------------------------------------

    def means(self, start: Array) -> Array:
        """E of the components at `Epoch.times` and at the end, (J + 1, c, k r), from `start`, (c, k r)."""
        epoch, ends = self.epoch, [*self.epoch.times.tolist(), self.epoch.steps]
        out = np.array([start * epoch.powers[t] for t in ends])
        if not self.feels:
            return out

        def pushed(means: Array) -> Array:  # the drift is small: each round multiplies what is left by some r/N
            push = self.memory.shifts + self.memory.drifted(epoch.fold(means[:-1]))
            return np.array([self._pushed(start, push, t) for t in ends])

        return fixed_point(pushed, pushed, out, _MEAN_RTOL)[0]

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

        def once(mean: Array) -> Array:
            return np.asarray((self.means(mean)[-1] - decay * mean) / self.slow.rate)

        return fixed_point(once, once, np.zeros((self.minimum.weights.shape[0], len(decay)), decay.dtype), _MEAN_RTOL)[
            0
        ]

    # -- the covariance ---------------------------------------------------------------------------------------------

    @cached_property
    def slow(self) -> Kernel:
        """One epoch as one step: what is added is added once, in full."""
        n, rate = self.epoch.steps, self.kernel.rate
        flat = np.abs(rate) < _FLAT
        gone = np.where(flat, -np.expm1(n * np.log1p(-np.where(flat, rate, 0))), 1 - (1 - rate) ** n)
        return _EpochStep(gone, 1.0, drive=np.ones_like(gone))

    def added(self, passage: Passage, *, rough: bool = False) -> tuple[Array, Array]:
        """The source averaged over an epoch, (r, r), and what else every step adds at `Epoch.times`, (J, k r, k r).

        If `rough`, both are linear in the passage, also where there are too many samples to ask all of them.
        """
        epoch, asked = self.epoch, self._rough_sources if rough else self._sources
        sources = np.array([self._source(k, passage, asked) for k in range(len(epoch.times))])
        average = epoch.average(sources)
        recalled = None
        if self.feels:
            recalled = Recollection(self.memory, passage, average, asked.feedback, similar=not rough)
        return average, np.array([self._step(k, source, average, recalled) for k, source in enumerate(sources)])

    def _source(self, k: int, passage: Passage, asked: Sources) -> Array:
        if not self.feels:
            return self.minimum.noise
        return asked.source(self.kernel.fold(passage.states[k]), self.epoch.fold(passage.means[k]))

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

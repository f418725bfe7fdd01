r"""The law of shuffled epochs: the covariance at every position of an epoch, from its terms: F43, F44 and F56.

Batches of one epoch share no sample (`memory`), epochs are independent. An epoch maps the state at its start to that at
its end linearly (F56); so stationary and finite-time laws are those of one slow step per epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from ..._arrays import Array, Ints
from ...kernels.constant import Kernel
from ...problem.least_squares import LeastSquares, Minimum
from ...problem.reduced_basis import Sources
from ...problem.subsample import part
from ..fixed_points import fixed_point
from .batch_cumulants import BatchCumulants
from .cumulants import SampleCumulants
from .lag_cumulants import LaggedAverages
from .mean import MeanMotion
from .memory import EpochMoments, Memory, NoiseMemory
from .responses import Responses
from .timetable import Epoch

__all__ = ["Shuffle"]

NODES, FEW_NODES = 12, 8
"""Positions, and lags, that stand for all of an epoch; 8 change the excess loss of digits by less than 1e-4."""
SOME = 2**20 + 2**19  # samples times modes that corrections are averaged over, where there are more
_FLAT = 0.5  # rate below which a power would lose what is left of 1
_SPANNED, _ROUGH = 1e-4, 1e-2  # of what noise feels of a state, left out with few and with many samples


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
        Whether the noise feels the fluctuation. If not, its source is C, and F44 is all that batches remember.
    nodes : int
    """

    problem: LeastSquares
    minimum: Minimum
    kernel: Kernel
    sizes: Ints
    feels: bool = True
    nodes: int = NODES

    rtol: ClassVar[float] = 1e-6
    """Relative accuracy of the states of a stationary epoch."""
    mean_rtol: ClassVar[float] = 1e-8
    """The same of the mean."""

    @cached_property
    def batches(self) -> BatchCumulants:
        """How batches depend on one another: F41, F42."""
        return BatchCumulants(self.problem.population)

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
    def sources(self) -> Sources:
        """The source of any state and mean, asked for by what is new in them."""
        return Sources(self.minimum, _ROUGH if self.estimated else _SPANNED)

    @cached_property
    def rough_sources(self) -> Sources:
        """The same from the samples that cumulants are averaged over: linear."""
        return Sources(self._fewer[1], _ROUGH) if self.estimated else self.sources

    @cached_property
    def memory(self) -> Memory:
        """Its memory, third and fourth cumulants averaged over some of the samples where there are many."""
        return self.memory_of(self.epoch)

    def _cumulants(self, responses: Array) -> SampleCumulants:
        return SampleCumulants(*self._fewer, responses)

    def memory_of(self, epoch: Epoch) -> Memory:
        """What an epoch of that timetable remembers."""
        batches = self.batches
        responses = Responses(epoch, self.sources.feedback, batches.eps)
        samples = self._cumulants(responses.at_lags)
        motion = self._motion(epoch, responses, samples)
        return Memory(epoch, batches, responses, self._averages(epoch, samples), motion)

    def _averages(self, epoch: Epoch, samples: SampleCumulants) -> LaggedAverages:
        return LaggedAverages(epoch, samples)

    def _motion(self, epoch: Epoch, responses: Responses, samples: SampleCumulants) -> MeanMotion:
        return MeanMotion(epoch, responses, samples, self.batches)

    # -- the mean ---------------------------------------------------------------------------------------------------

    def means(self, start: Array) -> Array:
        """F52: E of the components at `Epoch.times` and at the end, (J + 1, c, k r), from `start`, (c, k r)."""
        return self.memory.motion.follow(start) if self.feels else self.epoch.decayed(start)

    @cached_property
    def settled_mean(self) -> Array:
        """F57: E of the components at the start of an epoch, in the stationary state, (c, k r)."""
        decay = self.epoch.powers[-1]

        def once(mean: Array) -> Array:
            return np.asarray((self.means(mean)[-1] - decay * mean) / self.slow.rate)

        start = np.zeros((self.minimum.weights.shape[0], len(decay)), decay.dtype)
        return fixed_point(once, once, start, self.mean_rtol)[0]

    def mean_at(self, place: int, means: Array) -> Array:
        """E V at one position, (c, r), given those at `Epoch.times` and the end."""
        if place >= self.epoch.regular:
            return np.asarray(means[-2])
        return np.asarray(np.tensordot(self.epoch.positions.basis[place], means[: len(self.epoch.positions.nodes)], 1))

    # -- what an epoch adds -----------------------------------------------------------------------------------------

    @cached_property
    def slow(self) -> Kernel:
        """F56: one epoch as one step: what is added is added once, in full."""
        n, rate = self.epoch.steps, self.kernel.rate
        flat = np.abs(rate) < _FLAT
        gone = np.where(flat, -np.expm1(n * np.log1p(-np.where(flat, rate, 0))), 1 - (1 - rate) ** n)
        return Kernel.alike(gone, np.ones_like(gone), np.ones_like(gone))

    def added(self, moments: EpochMoments, *, rough: bool = False) -> tuple[Array, Array]:
        """The source averaged over an epoch, (r, r), and what else every step adds at `Epoch.times`, (J, k r, k r).

        If `rough`, both are linear in the moments, also where there are too many samples to ask all of them.
        """
        epoch, asked = self.epoch, self.rough_sources if rough else self.sources
        sources = np.array([self._source(k, moments, asked) for k in range(len(epoch.times))])
        average, memory = epoch.average(sources), None
        if self.feels:
            memory = self._noise_memory(moments, average, asked, similar=not rough)
        return average, np.array([self._step(k, source, average, memory) for k, source in enumerate(sources)])

    def _noise_memory(self, moments: EpochMoments, average: Array, asked: Sources, *, similar: bool) -> NoiseMemory:
        return NoiseMemory(self.memory, moments, average, asked, similar=similar)

    def _source(self, k: int, moments: EpochMoments, asked: Sources) -> Array:
        """G = C + K[S] + X(E V) at `times[k]`, (r, r)."""
        if not self.feels:
            return self.minimum.noise
        return asked.source(self.kernel.fold(moments.states[k]), self.epoch.fold(moments.means[k]))

    def _step(self, k: int, source: Array, average: Array, memory: NoiseMemory | None) -> Array:
        """F43: m N1 f + its transpose + f f N2 at `times[k]`, but for what F44 has of the average source."""
        epoch, drive, time = self.epoch, self.epoch.drive, int(self.epoch.times[k])
        variance = self.batches.variance(int(self.sizes[time]))
        noise = variance * average + (variance - self.batches.eps) * (source - average)
        if memory is None or not time:
            return epoch.squared(drive, noise)
        noise = noise + memory.variance(k)
        crossed = epoch.powers[1][:, None] * epoch.tile(memory.correlation(k, source - average)) * drive
        return np.asarray(epoch.squared(drive, noise) + crossed + crossed.T)

    # -- the covariance ---------------------------------------------------------------------------------------------

    def through(self, start: Array, source: Array, steps: Array) -> Array:
        """F43: states at `Epoch.times` and at the end from `start`, given what `added` returned."""
        marched = self.epoch.march(start, steps)
        return np.array(
            [state - self.anticorrelation(source, t) for state, t in zip(marched, self.epoch.stops, strict=True)]
        )

    def anticorrelation(self, source: Array, time: int) -> Array:
        """F44: eps Lambda(t)^2 G, (k r, k r): what batches so far have taken back of the average source, exactly."""
        return np.asarray(self.batches.eps * self.epoch.squared(self.epoch.sums[time], source))

    def from_noise_alone(self, start: Array) -> Array:
        """F44: states as `through` has them, from C alone, without what the noise feels or remembers: a first guess."""
        epoch, noise = self.epoch, self.minimum.noise
        injected = epoch.squared(epoch.drive, noise)
        return self.through(
            start, noise, np.array([self.batches.variance(b) * injected for b in self.sizes[epoch.times]])
        )

    def at(self, place: int, moments: EpochMoments, source: Array, added: Array) -> Array:
        """S at one position of an epoch, (r, r), given what `added` says of it."""
        epoch, k = self.epoch, int(np.searchsorted(self.epoch.times, place, "right")) - 1
        now = int(epoch.times[k])
        marched = epoch.advance(moments.states[k] + self.anticorrelation(source, now), added, now, place)
        return self.kernel.fold(marched - self.anticorrelation(source, place))

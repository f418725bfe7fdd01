r"""The law of shuffled epochs about the optimum of a head: that of least squares, for the quadratic of each sample.

F43 to F57 ask samples for g_i and B_i, which the quadratic twin has too (`epoch_cumulants`). Third derivatives T_i add
to that what they add to independent batches, X[S] (F73), as a source of noise that is taken back as all noise is, and

    N1(t) <- N1(t) - eps E[s(t)^T V(t)] <T_i[Z(t) g_i]>

(F166): a sample that is still to come has not yet pushed the weights, and its curvature is that of a place which lacks
its own push.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, cast

import numpy as np

from ..._arrays import Array
from ...kernels.momentum import step_kernel
from ...problem.least_squares import LeastSquares, Minimum
from ...problem.reduced_basis import Sources
from ...problem.softmax.logits import spread_change
from ...problem.softmax.picture import Picture
from ...recipe.sgd import Recipe
from ..reshuffling.cumulants import SampleCumulants
from ..reshuffling.expansion import FEW_NODES, NODES, SOME, Shuffle
from ..reshuffling.lag_cumulants import LagCumulants, LaggedAverages
from ..reshuffling.mean import MeanMotion
from ..reshuffling.memory import EpochMoments, Memory, NoiseMemory
from ..reshuffling.path_cumulants import PathCumulants
from ..reshuffling.responses import Responses
from ..reshuffling.timetable import Epoch
from .epoch_cumulants import HeadCumulants
from .epoch_samples import TwinMinimum, TwinSamples

__all__ = ["HeadShuffle", "bent_epochs", "twin_epochs"]

_ROWS = 2**24  # samples times free logits times modes that corrections are averaged over, where there are more
_SPANNED = 3e-3  # of what noise feels of a state, left out
_SAME = 0.01  # of the noise, by which it may have changed where cumulants are kept


class _Averages(LaggedAverages):
    """Those of a head, most of whose noise is that at W*: they are kept until the noise has changed by 1 %."""

    @cached_property
    def _felt(self) -> Array:
        """What tr K[S] is a form of, (r, r), but for the mean curvature."""
        picture = cast(HeadCumulants, self.samples).picture
        size = np.square(picture.place.head.z).sum(axis=1)[:, None, None]
        return picture.scattered(picture.place.spread @ picture.place.spread * size)

    def of_state(self, state: Array, mean: Array, *, similar: bool = False) -> LagCumulants:
        """Return the cumulants for an epoch's average state, (k r, k r), and mean, (1, r)."""
        del similar
        noise = float(np.trace(self.samples.minimum.noise) + np.vdot(self._felt, self.epoch.kernel.fold(state)))
        if self._of_state is None or not abs(noise - self._of_state[0]) <= _SAME * noise:
            self._of_state = noise, self._averaged(state, mean)
        return self._of_state[1]


class _Motion(MeanMotion):
    """That from W*, where the mean stays so near that what samples do on its path is what they do at W*."""

    _still: PathCumulants | None = None

    def path(self, components: Array) -> PathCumulants:
        """F65 at W*."""
        if self._still is None:
            self._still = super().path(np.zeros_like(components))
        return self._still


class _Bent(NoiseMemory):
    """With the memory that third derivatives have."""

    shuffle: HeadShuffle

    def correlation(self, k: int, change: Array) -> Array:
        """N1 at `times[k]`, F166 included."""
        eps = self.memory.batches.eps
        return np.asarray(super().correlation(k, change) - eps * self._folded[k] @ self.shuffle.bends[k])


@dataclass(frozen=True)
class HeadShuffle(Shuffle):
    """The law of one epoch of a head's quadratic twin, or of the head itself, third derivatives included.

    Parameters
    ----------
    near : bool
        Whether the mean stays about W*.
    twin : HeadShuffle or None
        Where third derivatives count, the law without them.
    """

    near: bool = True
    twin: HeadShuffle | None = None

    rtol: ClassVar[float] = 1e-3
    mean_rtol: ClassVar[float] = 1e-3

    @property
    def picture(self) -> Picture:
        """All modes."""
        return cast(TwinSamples, self.problem).picture

    @cached_property
    def sources(self) -> Sources:
        """The source of any state and mean."""
        return Sources(self.minimum, _SPANNED) if self.twin is None else self.twin.sources

    @cached_property
    def memory(self) -> Memory:
        """What an epoch remembers."""
        return self.memory_of(self.epoch) if self.twin is None else self.twin.memory

    @cached_property
    def settled_mean(self) -> Array:
        """E of the components at the start of an epoch, in the stationary state, but for third derivatives."""
        return super().settled_mean if self.twin is None else self.twin.settled_mean

    @cached_property
    def _fewer(self) -> tuple[LeastSquares, Minimum]:
        samples, minimum = cast(TwinSamples, self.problem), cast(TwinMinimum, self.minimum)
        count = max(_ROWS // (samples.picture.place.residuals.shape[1] * samples.rank), 1)
        if count >= samples.samples:
            return self.problem, self.minimum
        some = samples.fewer(count)
        return cast(LeastSquares, some), cast(Minimum, TwinMinimum(some, minimum.noise))

    def _cumulants(self, responses: Array) -> SampleCumulants:
        return HeadCumulants(*self._fewer, responses)

    def _averages(self, epoch: Epoch, samples: SampleCumulants) -> LaggedAverages:
        return _Averages(epoch, samples)

    def _motion(self, epoch: Epoch, responses: Responses, samples: SampleCumulants) -> MeanMotion:
        return (_Motion if self.near else MeanMotion)(epoch, responses, samples, self.batches)

    def _noise_memory(self, moments: EpochMoments, average: Array, asked: Sources, *, similar: bool) -> NoiseMemory:
        if self.twin is None:
            return super()._noise_memory(moments, average, asked, similar=similar)
        found = _Bent(self.memory, moments, average, asked, similar=similar)
        found.shuffle = self
        return found

    def _source(self, k: int, moments: EpochMoments, asked: Sources) -> Array:
        source = super()._source(k, moments, asked)
        if self.twin is None:
            return source
        return source + self.picture.anharmonic(self.kernel.fold(moments.states[k]))

    @cached_property
    def bends(self) -> Array:
        """<T_i[Z(t) g_i]> at `Epoch.times`, (J, r, r): F166."""
        picture = self.picture
        gradients = picture.gradients(picture.place.residuals)
        gradients = gradients - gradients.mean(axis=0)
        return np.array([self._bend(gradients * self.epoch.response_sum(int(t))) for t in self.epoch.times])

    def _bend(self, pushes: Array) -> Array:
        """<T_i[push_i]>, (r, r), for a push of each sample, (N, r)."""
        picture, head = self.picture, self.picture.place.head
        change = spread_change(picture.place.p, picture.own_responses(pushes) @ head.frame.T)
        return picture.scattered(head.weighed(head.frame.T @ change @ head.frame))


def twin_epochs(picture: Picture, sgd: Recipe, *, feels: bool = True, near: bool = True) -> HeadShuffle:
    """Return the law of epochs of the quadratic twin of a head."""
    samples = TwinSamples(picture, picture.population)
    minimum = TwinMinimum(samples, picture.noise)
    kernel = step_kernel(picture.curvatures, sgd.step, sgd.lr, diagonal=True)
    nodes = NODES if picture.place.residuals.size * picture.rank <= SOME else FEW_NODES
    sizes = sgd.batch_sizes(picture.population)
    return HeadShuffle(cast(LeastSquares, samples), cast(Minimum, minimum), kernel, sizes, feels, nodes, near)


def bent_epochs(twin: HeadShuffle) -> HeadShuffle:
    """Return the law of epochs with third derivatives, which shares what the one of the twin knows."""
    return replace(twin, twin=twin)

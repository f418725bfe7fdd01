r"""The mean of the weights along an epoch, which earlier batches shift: F52 to F54."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..._arrays import Array
from ..fixed_points import fixed_point
from .batch_cumulants import BatchCumulants
from .cumulants import SampleCumulants
from .mean_path import MeanPath
from .path_cumulants import PathCumulants
from .responses import Responses
from .timetable import Epoch

__all__ = ["MeanMotion"]

_RTOL = 1e-8


class MeanMotion:
    """F52: E s(t+1) = m E s(t) + f E[V(t) B_t], with the shift E[V(t) B_t] a sum of three terms.

    Parameters
    ----------
    epoch : Epoch
    responses : Responses
    samples : SampleCumulants
    batches : BatchCumulants
    """

    def __init__(self, epoch: Epoch, responses: Responses, samples: SampleCumulants, batches: BatchCumulants) -> None:
        self.epoch, self.responses, self.samples, self.batches = epoch, responses, samples, batches

    # -- terms of E[V(t) B_t] ---------------------------------------------------------------------------------------

    def noise_curvature(self, time: int) -> Array:
        """F52: -eps <g_i (Z + Xi^T) B_i>, (c, r): a sample's noise, then its curvature."""
        return -self.batches.eps * self.samples.noise_curvature(self.responses.total(time))

    def third_cumulant(self, path: PathCumulants) -> Array:
        """F53: c_3 times the sum of <D_i(E V) P_u B_i P_w B_i> over u + w < t - 1 at `Epoch.times`, (J, c, r)."""
        return self.batches.three * path.shifts

    def drift(self, means: Array) -> Array:
        """F54: -eps times the sum of E V(t') K[P_u] at `Epoch.times`, (J, c, r), for E V there, (J, c, r)."""
        epoch, out = self.epoch, np.zeros_like(means)
        regular = means[: epoch.positions.basis.shape[1]]
        for k, time in enumerate(epoch.times):
            before = np.einsum("jk,kcp->jcp", epoch.lag_positions(time), regular)
            out[k] = -self.batches.eps * np.einsum("jcp,jpq->cq", before, self.responses.feedbacks, optimize=True)
        return out

    @cached_property
    def noise_shifts(self) -> Array:
        """F52 at `Epoch.times`, (J, c, r)."""
        out = np.zeros((len(self.epoch.times), *self.samples.pull.shape))
        for k, time in enumerate(self.epoch.times.tolist()):
            if time:
                out[k] = self.noise_curvature(time)
        return out

    def shifts(self, path: PathCumulants) -> Array:
        """F52 and F53 at `Epoch.times`, (J, c, r): what is added to the drift on the path of a mean."""
        return np.asarray(self.noise_shifts + self.third_cumulant(path))

    def path(self, components: Array) -> PathCumulants:
        """F65: what samples do along the path of E of the components at `Epoch.times`, (J, c, k r)."""
        residual, a = self.samples.residual_power, self.samples.a
        crowding = len(a) / self.batches.population
        return self.samples.along(MeanPath(self.epoch, components, a, residual, crowding))

    # -- the recursion ----------------------------------------------------------------------------------------------

    def follow(self, start: Array) -> Array:
        """F52: E of the components at `Epoch.times` and at the end, (J + 1, c, k r), from `start`, (c, k r)."""
        begun = self.epoch.decayed(start)
        return self._followed(start, self._followed(start, begun))

    def _followed(self, start: Array, path: Array) -> Array:
        """The same, with F53 on a `path` near by."""
        felt = self.shifts(self.path(path[:-1]))

        def shifted(means: Array) -> Array:  # the drift is small: each round multiplies what is left by some r/N
            shifts = felt + self.drift(self.epoch.fold(means[:-1]))
            return np.array([self._shifted(start, shifts, t) for t in self.epoch.stops])

        return fixed_point(shifted, shifted, path, _RTOL)[0]

    def _shifted(self, start: Array, shifts: Array, time: int) -> Array:
        epoch = self.epoch
        regular = epoch.tile(shifts[: len(epoch.positions.nodes)])
        out = epoch.begun(start, time) + np.einsum("aj,jca->ca", epoch.position_responses(time), regular)
        if time > epoch.regular:  # after the smaller batch
            out = out + epoch.last_drive * epoch.tile(shifts[-1])
        return np.asarray(out)

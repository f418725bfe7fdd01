r"""The path of the mean along an epoch, as a few shapes in time: what a far start makes of a sample's noise, F65."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array
from .timetable import Epoch

__all__ = ["MeanPath", "Trend"]

LEFT_OUT = 3e-4  # times N/r: of a sample's residual, and of its square, what the shapes of the path leave out


@dataclass(frozen=True)
class Trend:
    """One way in which E s^T E s and E V differ from their averages along an epoch.

    Attributes
    ----------
    shape : ndarray, (J,)
        How much of it there is at `Epoch.times`.
    state : ndarray, (k r, k r)
    mean : ndarray, (c, r)
    """

    shape: Array
    state: Array
    mean: Array


class MeanPath:
    """F65: E of the components along an epoch, split into shapes in time.

    Parameters
    ----------
    epoch : Epoch
    components : ndarray, (J, c, k r)
        E of the components at `Epoch.times`.
    curvatures : ndarray, (r,)
    residual : float
        <r^2>, what is noise at W*.
    crowding : float
        r/N, by which the cumulants are smaller than the noise.

    Attributes
    ----------
    means : ndarray, (J, c, r)
        E V.
    """

    def __init__(self, epoch: Epoch, components: Array, curvatures: Array, residual: float, crowding: float) -> None:
        self.epoch, self.components, self._scale = epoch, components, np.sqrt(curvatures)
        self.means = epoch.fold(components)
        fitted = np.square(self.means * self._scale).sum(axis=(1, 2))
        self._share = LEFT_OUT / crowding
        self._floor = self._share * (residual + float(epoch.average(fitted)))

    @cached_property
    def _split(self) -> tuple[Array, Array]:
        felt = (self.means * self._scale).reshape(len(self.means), -1)
        shapes, values, parts = np.linalg.svd(felt, full_matrices=False)
        kept = np.square(values) > self._share * self._floor * len(felt)
        kept[0] = values[0] > 0  # near W* the noise is small in flat modes, and all of the mean's is felt
        found = parts[kept].reshape(-1, *self.means.shape[1:]) / self._scale
        return np.column_stack([np.ones(len(felt)), shapes[:, kept] * values[kept]]), found

    @property
    def shapes(self) -> Array:
        """How much of the residuals, 1, and of each part there is at `Epoch.times`, (J, 1 + B)."""
        return self._split[0]

    @property
    def parts(self) -> Array:
        """What E V is a sum of, (B, c, r)."""
        return self._split[1]

    @cached_property
    def along(self) -> Array:
        """The shapes at every step of the epoch, (n, 1 + B)."""
        return self.epoch.spread(self.shapes)

    @cached_property
    def trends(self) -> list[Trend]:
        """F66: what E s^T E s and E V do along the epoch, but for their averages."""
        epoch, c = self.epoch, self.components
        states = np.einsum("kca,kcb->kab", c, c)
        states, means = states - epoch.average(states), self.means - epoch.average(self.means)
        fitted = np.einsum("kcp,kcq->kpq", *(2 * [self.means * self._scale]))
        felt = (fitted - epoch.average(fitted)).reshape(len(c), -1)
        shapes, values, _ = np.linalg.svd(felt, full_matrices=False)
        kept = shapes[:, values > self._floor * np.sqrt(len(c))].T
        return [Trend(shape, np.tensordot(shape, states, 1), np.tensordot(shape, means, 1)) for shape in kept]

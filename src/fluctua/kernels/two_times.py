"""What two times of one motion have in common: correlations, responses, and the current between modes."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from .._arrays import AnyArray, Array
from .state import Components

__all__ = ["TwoTimes"]

Vector = AnyArray


class TwoTimes(Components):
    """Components that decay by themselves, every step alike.

    Attributes
    ----------
    rate, decay : ndarray, (k r,)
        1 - m and m; in continuous time -log m and m.
    drive, entry : ndarray, (k r,)
        What a unit of noise, and of a kick of V, puts into them.
    """

    rate: Vector
    drive: Vector
    entry: Vector

    @property
    @abstractmethod
    def decay(self) -> Vector:
        """m, the factor by which a component shrinks per step, (k r,)."""

    @abstractmethod
    def _lost_alone(self, steps: int) -> Vector:
        """1 - m^n, (k r,), from the rates."""

    def lagged(self, state: Array, lag: int) -> Array:
        """E[V(t)^T V(t + lag)] of a state at t, (r, r): the later factor has decayed (F20, F32)."""
        return self._paired(state, self._ahead(lag))

    def lost(self, state: Array, lag: int) -> Array:
        """E[V(t)^T (V(t) - V(t + lag))], (r, r), without the cancellation that flat modes would suffer."""
        return self._paired(state, self._lost_by(lag))

    def circulation(self, state: Array, lag: int) -> Array:
        """The antisymmetric part of `lagged`, (r, r), from what is lost: exact also where it is small."""
        blocks, lost, now = state.reshape((self.components, self.modes) * 2), self._lost_by(lag), self._readout(False)
        odd = np.multiply.outer(lost, now) - np.multiply.outer(now, lost)
        return np.asarray(0.5 * np.einsum("ipjq,ipjq->pq", blocks, odd).real)

    def _paired(self, state: Array, later: Vector) -> Array:
        blocks, now = state.reshape((self.components, self.modes) * 2), self._readout(False)
        return np.asarray(np.einsum("ip,ipjq,jq->pq", now, blocks, later, optimize=True).real)

    def response(self, lag: int) -> Array:
        """Shift of E V `lag` steps after a unit kick of V that spares the momentum, (r,)."""
        return np.asarray((self._parted(self.entry) * self._ahead(lag)).sum(axis=0).real)

    def step_response(self, lag: int) -> Array:
        """Shift of E V after `lag` steps under a unit force, a constant -1 in the gradient, (r,)."""
        return np.asarray(-(self._lost_by(lag) * self._built()).sum(axis=0).real)

    def _ahead(self, lag: int) -> Vector:
        """The mean of V `lag` steps later in terms of the components, (k, r)."""
        return np.asarray(self._readout(False) * self._parted(self.decay**lag))

    def _lost_by(self, lag: int) -> Vector:
        """V less that, in terms of the components, (k, r)."""
        return np.asarray(self._readout(False) * self._parted(self._lost_alone(lag)))

    def _built(self) -> Vector:
        """What a constant unit of noise builds up in the components, (k, r)."""
        return self._parted(self.drive / self.rate)

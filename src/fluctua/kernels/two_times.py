"""What two times of one motion have in common: correlations, responses, and the current between modes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Self

import numpy as np

from .._arrays import AnyArray, Array, Ints
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
    driven : ndarray, (k r,)
        What a unit of noise in the first step does.
    """

    rate: Vector
    drive: Vector
    entry: Vector
    driven: Vector

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

    def only(self, modes: Ints) -> Self:
        """Return the same of some modes alone."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}  # type: ignore[arg-type]
        return replace(self, **{name: self._picked(value, modes) for name, value in parts.items()})  # type: ignore[type-var]

    def _picked(self, values: Vector, modes: Ints) -> Vector:
        """Of all components, (k r,), or of modes, (..., r), those of some modes."""
        if values.shape[-1] == self.modes:
            return np.asarray(values[..., modes])
        return np.asarray(self._parted(values)[:, modes].ravel())

    def response(self, lag: int) -> Array:
        """Shift of E V `lag` steps after a unit kick of V that spares the momentum, (r,)."""
        return np.asarray((self._parted(self.entry) * self._ahead(lag)).sum(axis=0).real)

    def responses(self, asked: Sequence[tuple[int, Ints]], *, observed: bool = False) -> list[Array]:
        """V, or what is observed, after `end` steps per unit of noise in each of the steps before it, (n, r).

        `asked` are the ends, with the steps of each.
        """
        return [self._responded(end, steps, observed) for end, steps in asked]

    def _responded(self, end: int, steps: Ints, observed: bool) -> Array:
        first, later = (self._carried(drive, end - 1 - steps) for drive in (self.driven, self.drive))
        out = np.where(steps[:, None, None] == 0, first, later) * self._readout(observed)
        return np.asarray(out.sum(axis=1).real)

    def _carried(self, components: Vector, lags: Ints) -> Vector:
        """Components after each number of steps, (len(lags), k, r)."""
        parts = components * self.decay ** lags[:, None]
        return np.asarray(parts.reshape(len(lags), self.components, self.modes))

    @property
    def rough(self) -> float:
        """|m| of what decays slowest among all that oscillates or alternates."""
        decay = np.asarray(self.decay)
        return float(np.abs(decay[(decay.imag != 0) | (decay.real < 0)]).max(initial=0.0))

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

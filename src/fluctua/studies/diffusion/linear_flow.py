"""How a linear noising is followed: its propagator and covariance forwards, and the flows that undo it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import Array, even
from ...errors import InvalidInput, NotConverged
from .sde import LinearSDE

__all__ = ["LinearFlow"]

_RELATIVE, _ABSOLUTE = 1e-12, 1e-14
_SINGULAR = 1e-13  # of the largest eigenvalue


class LinearFlow:
    """A linear noising of data with the covariance `start`."""

    def __init__(self, sde: LinearSDE, start: Array) -> None:
        self.sde, self.start = sde, start

    def covariance(self, time: float) -> Array:
        """Return S at a time."""
        return even(self.forward(time)[1])

    def forward(self, time: float) -> tuple[Array, Array]:
        """Return the propagator of the noising from 0, and the covariance, at a time."""
        if self.sde.constant:
            return self._constant(time)
        both = self._followed.sol(time).reshape(2, self.sde.features, self.sde.features)
        return both[0], both[1]

    def _constant(self, time: float) -> tuple[Array, Array]:
        """By the exponential of a matrix of twice the size (Van Loan) over a short time, which is then doubled.

        Over a long time the exponential holds what decays beside what grows, and rounding would be all that is left.
        """
        from scipy.linalg import expm

        d, drift = self.sde.features, self.sde.drift_at(0.0)
        doublings = max(0, int(np.ceil(np.log2(np.linalg.norm(drift, 2) * self.sde.duration + 1e-300))) + 1)
        block = np.block([[-drift, self.sde.source(0.0)], [np.zeros((d, d)), drift.T]])
        grown = expm(block * (time / 2**doublings))
        moved = grown[d:, d:].T
        added = moved @ grown[:d, d:]
        for _ in range(doublings):
            moved, added = moved @ moved, added + moved @ added @ moved.T
        return moved, moved @ self.start @ moved.T + added

    @cached_property
    def _followed(self) -> Any:
        """Propagator and covariance from 0 to the duration, as a function of the time."""
        d, sde = self.sde.features, self.sde

        def slope(time: float, flat: Array) -> Array:
            moved, spread = flat.reshape(2, d, d)
            drift = sde.drift_at(time)
            turned = drift @ spread
            return np.concatenate([(drift @ moved).ravel(), (turned + turned.T + sde.source(time)).ravel()])

        return _solved(slope, 0.0, sde.duration, np.concatenate([np.eye(d).ravel(), self.start.ravel()]), dense=True)

    def backward(self, start: float, to: float, noise: float) -> Array:
        """Return Psi(to, start); with l = 1 it is the regression of the earlier on the later x, S F^T S^-1."""
        self._hold_regular(start)
        if start == to:
            return np.eye(self.sde.features)
        if noise == 1:
            return self._regression(start, to)
        self._hold_regular(to)
        d, sde, half = self.sde.features, self.sde, 0.5 * (1 + noise**2)

        def slope(time: float, flat: Array) -> Array:
            pushed = np.linalg.solve(self.covariance(time), flat.reshape(d, d))
            return np.asarray(sde.drift_at(time) @ flat.reshape(d, d) + half * sde.source(time) @ pushed).ravel()

        end = _solved(slope, start, to, np.eye(d).ravel(), dense=False)
        return np.asarray(end.y[:, -1].reshape(d, d))

    def _regression(self, start: float, to: float) -> Array:
        late, early = self.forward(start), self.forward(to)
        moved = np.linalg.solve(early[0].T, late[0].T).T
        return np.asarray(np.linalg.solve(even(late[1]), moved @ even(early[1])).T)

    def _hold_regular(self, time: float) -> None:
        values = np.linalg.eigvalsh(self.covariance(time))
        if values[0] <= _SINGULAR * values[-1]:
            raise InvalidInput(
                f"the covariance at time {time:g} is singular, its eigenvalues reach from {values[0]:.3g} to "
                f"{values[-1]:.3g}: the score of a flat distribution does not exist. Use a later time, leave the "
                f"directions without data out, or noise=1, which needs no score at the earlier time."
            )


def _solved(slope: Any, start: float, to: float, first: Array, *, dense: bool) -> Any:
    from scipy.integrate import solve_ivp

    found = solve_ivp(slope, (start, to), first, method="DOP853", rtol=_RELATIVE, atol=_ABSOLUTE, dense_output=dense)
    if not found.success or not np.isfinite(found.y[:, -1]).all():
        raise NotConverged(f"the linear SDE from time {start:g} to {to:g}", found.nfev, float("inf"), _RELATIVE)
    return found

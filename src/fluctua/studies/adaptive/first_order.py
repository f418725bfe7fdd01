"""The bias of a chain of Euler's steps to first order in the step (F102)."""

from __future__ import annotations

import numpy as np

from ..._arrays import Array
from .chain import kept_density, moves
from .grid import Grid

__all__ = ["density_change"]

_SEEN = 1e-13  # of the largest density, below which rounding is all that a quotient by it would hold
_ROUNDING = 1e-15


def density_change(grid: Grid) -> tuple[Array, Array]:
    """Return the density that continuous time keeps, and its derivative with respect to the step at 0.

    With drift f, D = T g and density p: p1 = p (u - <u>), D p u' = -(f^2 p)'/2 + (f D p)'' - (D^2 p)'''/2. Derivatives
    are those of the trigonometric interpolation: every product dies out at the ends of the grid.
    """
    chain, x = grid.chain, grid.x
    kept, h = kept_density(chain, x), chain.lr
    mean, deviation = moves(chain, x)
    f, d = (mean - x) / h, deviation**2 / (2 * h)
    slope = -0.5 * _derivative(f**2 * kept, grid.dx, 1) + _derivative(f * d * kept, grid.dx, 2)
    slope -= 0.5 * _derivative(d**2 * kept, grid.dx, 3)
    return kept, _change(slope, d, kept, grid.dx)


def _change(slope: Array, d: Array, kept: Array, dx: float) -> Array:
    """Return p (u - <u>) of D p u', where p is more than rounding: the tails' quotients would swallow those within."""
    seen = kept > _SEEN * kept.max()
    rate = np.divide(slope, d * kept, out=np.zeros_like(slope), where=seen)
    u = _summed(rate, dx)
    change = np.where(seen, kept * (u - u[int(kept.argmax())]), 0.0)
    return np.asarray(change - kept * (change.sum() * dx))


def _summed(values: Array, dx: float) -> Array:
    """Antiderivative of a smooth function on an even grid."""
    from scipy.interpolate import CubicSpline

    places = dx * np.arange(len(values))
    return np.asarray(CubicSpline(places, values).antiderivative()(places))


def _derivative(values: Array, dx: float, order: int) -> Array:
    """Derivative of what dies out at both ends."""
    wave = 2j * np.pi * np.fft.rfftfreq(len(values), dx)
    spectrum = np.fft.rfft(values)
    spectrum[np.abs(spectrum) < _ROUNDING * np.abs(spectrum).max()] = 0  # which the power would enlarge
    return np.asarray(np.fft.irfft(spectrum * wave**order, len(values)))

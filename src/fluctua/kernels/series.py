"""Powers and sums of decays near 1, whose closed forms would cancel."""

from __future__ import annotations

import numpy as np

from .._arrays import AnyArray, Array

__all__ = ["alternating", "falling", "lost"]

Vector = AnyArray
_HALF = 0.5  # of 1: a power of less than it loses nothing
_TERMS = 6  # what they leave out is 1e-15 where n times the gap is below 1e-2


def alternating(n: int, y: Vector, first: int) -> Vector:
    """1 - (n - f)/(f + 1) y (1 - (n - f - 1)/(f + 2) y (...)), from f = `first` on, as far as it shows."""
    out = np.ones_like(y)
    for j in reversed(range(first, first + _TERMS)):
        out = 1 - (n - j) / (j + 1) * y * out
    return out


def falling(shares: Array, steps: int) -> Array:
    """Coefficients of C(j, k)/C(n, k), k = 0..d, in the polynomial through `shares` at j = 0, n/d, .., n; d <= n."""
    degree = len(shares) - 1
    places = np.linspace(0, steps, degree + 1)
    basis = np.ones((degree + 1, degree + 1))
    for k in range(degree):
        basis[:, k + 1] = basis[:, k] * (places - k) / (steps - k)
    return np.asarray(np.linalg.solve(basis, shares))


def lost(rate: Vector, steps: int) -> Vector:
    """1 - (1 - rate)^n, from the rates where they are small: NumPy's own complex log1p loses those."""
    left = 1 - rate
    short = np.abs(left) < _HALF  # where the power itself loses nothing
    x = np.where(short, 0, rate)
    shrink = 0.5 * np.log1p(np.abs(x) ** 2 - 2 * x.real)
    out = -np.expm1(steps * (shrink + 1j * np.arctan2(-x.imag, 1 - x.real)))
    out = np.where(short, 1 - np.where(short, left, 0) ** steps, out)
    return out if np.iscomplexobj(rate) else out.real

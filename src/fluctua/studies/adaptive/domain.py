"""Where a density exp(-V/T) lives on the line, and the density on an even grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..._arrays import Array
from ...errors import InvalidInput, NotConverged

__all__ = ["domain_of", "normalised"]

_DEEP = 50.0  # V above its least value over T, where the density is nothing
_POINTS = 4001
_WIDEST = 1e9
_NARROWINGS, _CUT = 60, 0.1  # rounds, and the share that the last one cuts off at most
_SHARP = "Measure x in units of the width of the potential's well."


def domain_of(value: Callable[[Array], Array], temperature: float) -> tuple[float, float]:
    """Return an interval beyond which exp(-V/T) is below exp(-50) of its largest value.

    Raises
    ------
    InvalidInput
        Where V does not grow: exp(-V/T) cannot be normalised.
    """
    half = 1.0
    while True:
        x = np.linspace(-half, half, _POINTS)
        inside = _inside(value(x), temperature)
        if not (inside[0] or inside[-1]):
            break
        half *= 2
        if half > _WIDEST:
            raise InvalidInput(
                f"exp(-V/T) cannot be normalised: V/T has not grown by {_DEEP:g} at x = {x[-1]:g} or {x[0]:g}. Give a "
                f"potential that confines x."
            )
    return _narrowed(value, temperature, x, inside)


def _narrowed(value: Callable[[Array], Array], temperature: float, x: Array, inside: Array) -> tuple[float, float]:
    """The same interval as narrow as it can be."""
    for _ in range(_NARROWINGS):
        first, last = np.flatnonzero(inside)[[0, -1]]
        low, high = x[max(first - 1, 0)], x[min(last + 1, len(x) - 1)]
        cut = 1 - float((high - low) / (x[-1] - x[0]))
        x = np.linspace(low, high, _POINTS)
        inside = _inside(value(x), temperature)
        if cut < _CUT:
            return float(x[0]), float(x[-1])
    raise NotConverged("the interval where exp(-V/T) is", _NARROWINGS, cut, _CUT, _SHARP)


def _inside(values: Array, temperature: float) -> Array:
    return np.asarray(values - values.min() < _DEEP * temperature)


def normalised(exponent: Array, x: Array) -> Array:
    """Return exp(-exponent) on an even grid, normalised by the trapezoid rule."""
    found = np.exp(-(exponent - exponent.min()))
    return np.asarray(found / (found.sum() * (x[1] - x[0])))

"""The door of a user's potential and monitor: what they return, and whether their slopes are those of their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ..._arrays import Array
from ..._validate.values import instance
from ...errors import InvalidInput

__all__ = ["Smooth", "evaluated", "held_slope", "refuse_not_smooth"]

TOLERANCE = 1e-6
"""Of the slope, or of 1 where that is less: how far it may be from the finite difference."""
_STEP = 1e-3  # of the scale, for differences of sixth order
_WEIGHTS = (45.0, -9.0, 1.0)  # over 60 steps


class Smooth(Protocol):
    """A function of the place with its derivative, as arrays of the same shape; in more dimensions its gradient."""

    def value(self, x: Array) -> Array:
        """Return the values."""

    def slope(self, x: Array) -> Array:
        """Return the derivative."""


def refuse_not_smooth(name: str, given: Any) -> None:
    """Raise `InvalidInput` for what has no value and slope to be called."""
    if not all(callable(getattr(given, each, None)) for each in ("value", "slope")):
        instance(name, given, (), "a name, or an object with functions .value(x) and .slope(x)")


def evaluated(
    name: str, function: Callable[[Array], Any], x: Array, shape: tuple[int, ...] | None = None, *, high: bool = False
) -> Array:
    """Return a user's function at all places, of the right shape, one by one where it takes no arrays.

    It must be finite; with `high` it may be infinitely high.
    """
    wanted = x.shape if shape is None else shape
    with np.errstate(all="ignore"):
        found = _called(name, function, x, wanted)
    bad = np.isnan(found) | np.isneginf(found) if high else ~np.isfinite(found)
    if bad.any():
        where = np.argwhere(bad)[0]
        raise InvalidInput(f"{name} is {found[tuple(where)]} at x = {_place(x[where[0]])}: it must be finite there.")
    return found


def _called(name: str, function: Callable[[Array], Any], x: Array, wanted: tuple[int, ...]) -> Array:
    """At all places at once if the function takes arrays, else one by one; whatever a user's function may raise."""
    try:
        found = _real(function(x))
    except Exception:  # a stranger's own
        found = np.empty(0)
    if found.shape == wanted:
        return found
    try:
        return np.array([_real(function(each)) for each in x]).reshape(wanted)
    except Exception as error:  # a stranger's own
        raise InvalidInput(
            f"{name} must return real numbers in the shape {wanted} for places in the shape {x.shape}, or one for each "
            f"place ({type(error).__name__}: {error})."
        ) from error


def _real(found: Any) -> Array:
    if np.iscomplexobj(found):
        raise TypeError("it is complex")
    return np.asarray(found, dtype=float)


def held_slope(name: str, given: Smooth, x: Array, scale: float) -> None:
    """Raise `InvalidInput` where the slope differs from a finite difference of the value, with both.

    Places `x`, (n,) or (n, d); `scale` is the length over which the function may change.
    """
    slope = evaluated(f"{name}.slope", given.slope, x).reshape(len(x), -1)
    for axis in range(slope.shape[1]):
        difference, rounding = _difference(name, given, x, axis, _STEP * scale)
        allowed = TOLERANCE * np.maximum(1.0, np.abs(difference)) + rounding
        off = np.abs(slope[:, axis] - difference) / allowed
        if off.max() > 1:
            worst = int(off.argmax())
            along = f" along axis {axis}" if x.ndim > 1 else ""
            raise InvalidInput(
                f"{name}.slope is not the derivative of {name}.value{along}: at x = {_place(x[worst])} it is "
                f"{slope[worst, axis]:.10g}, and the finite difference is {difference[worst]:.10g}. A chain with such "
                f"a slope keeps another measure. Mend the one that is wrong."
            )


def _difference(name: str, given: Smooth, x: Array, axis: int, step: float) -> tuple[Array, float]:
    """Central difference of sixth order along an axis, and what rounding makes of it."""
    shift = np.zeros(x.shape[1:])
    shift[(axis,) if x.ndim > 1 else ()] = step
    total, largest = np.zeros(len(x)), 0.0
    for k, weight in enumerate(_WEIGHTS, start=1):
        up, down = (evaluated(f"{name}.value", given.value, x + sign * k * shift, x.shape[:1]) for sign in (1, -1))
        total += weight * (up - down)
        largest = max(largest, float(np.abs(up).max()))
    return total / (60 * step), 1e-14 * largest / step


def _place(x: Any) -> str:
    return np.array2string(np.asarray(x), precision=6, separator=", ")

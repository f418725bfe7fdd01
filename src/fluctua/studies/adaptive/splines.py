"""A user's functions as cubic splines on an even grid: what compiled loops read, whoever wrote the functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..._arrays import Array

__all__ = ["spline_table"]

_FIRST, _MOST = 2048, 2**17  # pieces
_OFF = 1e-10  # of the largest value: how far a spline may be from the function between its knots


def spline_table(functions: Callable[[Array], Sequence[Array]], low: float, high: float) -> Array:
    """Return coefficients, (pieces, functions, 4), of splines through functions of the place, lowest power first.

    The places are within a piece, from 0 to 1. Pieces are halved until the splines are the functions to 1e-10 of the
    largest value, or there are 131,072.
    """
    from scipy.interpolate import CubicSpline

    pieces = _FIRST
    while True:
        knots = np.linspace(low, high, pieces + 1)
        values = np.stack(functions(knots), axis=1)
        made = CubicSpline(np.arange(pieces + 1.0), values)
        between = np.stack(functions(0.5 * (knots[1:] + knots[:-1])), axis=1)
        off = np.abs(made(np.arange(pieces) + 0.5) - between) / np.maximum(np.abs(values).max(axis=0), 1e-300)
        if off.max() < _OFF or pieces >= _MOST:
            return np.ascontiguousarray(made.c[::-1].transpose(1, 2, 0))
        pieces *= 2

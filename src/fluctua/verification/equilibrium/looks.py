r"""When to look, at which level, and what a look concludes (F86).

Looks come at t_0, t_1, ..., at first a factor of 1.33 to 1.5 apart, later of 1.14 to 1.25. Look j has the level

    alpha_j = 8 alpha / ((j + 8) (j + 9)),

and these add up to alpha over all looks: the horizon is open. Half of alpha is spent in the first eight looks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .work import BLOCKS, Reading

__all__ = [
    "DRIFTING",
    "EQUILIBRATED",
    "PER_LOOK",
    "SHORTEST",
    "UNDECIDED",
    "Conclusion",
    "bin_width",
    "decided",
    "level",
    "look_lengths",
]

DRIFTING, UNDECIDED, EQUILIBRATED = "drifting", "undecided", "equilibrated"
PER_LOOK = 4 * BLOCKS
"""Blocks from the start of the clock to a look; its windows are the last half of them."""
SHORTEST = 4
"""Samples in the blocks of the first look."""
_NOTHING = (UNDECIDED, math.nan, -math.inf, math.inf)
_BINS = 128  # of the floor's samples in both windows, at most
_SPARSE = 2  # octaves with two looks
_EARLY = 8  # looks in which half of alpha is spent


@dataclass(frozen=True)
class Conclusion:
    """What a look concludes.

    Attributes
    ----------
    state : str
        "drifting", "undecided" or "equilibrated".
    gain, low, high : float
        2.3 W / F, and the ends of its interval at the look's level: the state is "equilibrated" where delta is above
        the interval, and "drifting" where it is below (Fieller's interval: the error of F is in it).
    reason : str
        Why nothing is decided; empty otherwise.
    """

    state: str
    gain: float
    low: float
    high: float
    reason: str = ""


def look_lengths(shortest: int = SHORTEST) -> Iterator[int]:
    """Yield the block length of every look, in samples: two an octave, and from 16 on four.

    They are 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, ...: most blocks of one look end where those of another do, and sums
    have to be cut less often. Early looks come quickly one after the other, and are fewer for that.

    Parameters
    ----------
    shortest : int, optional
        Samples in the blocks of the first look, at least; never below `SHORTEST`.
    """
    for octave in itertools.count():
        for quarter in (4, 5, 6, 7) if octave >= _SPARSE else (4, 6):
            if (length := quarter * 2**octave) >= shortest:
                yield length


def bin_width(length: int, shortest: int = 1) -> int:
    """Return the units in each bin of the floor's samples, for the look with blocks of so many units (F85).

    Its windows hold at most 128 bins, and more than half as many where bins are not at their shortest, which is the
    memory of the momentum.
    """
    width = shortest
    while 2 * BLOCKS * length > _BINS * width:
        width *= 2
    return width


def level(alpha: float, look: int) -> float:
    """Return the level of a look, counted from 0 (F86)."""
    return alpha * _EARLY / ((look + _EARLY) * (look + _EARLY + 1))


def decided(read: Reading, delta: float, at_level: float) -> Conclusion:
    """Return what a look concludes at this level, by Student's t (F86)."""
    from scipy.special import stdtrit

    error, freedom = read.error(delta)
    numbers = read.work, read.floor, error
    if not np.all(np.isfinite(numbers)):
        return Conclusion(*_NOTHING, "a weight or a gradient in the windows is not finite")
    if read.floor <= 0:
        return Conclusion(*_NOTHING, "the floor measured in the windows is not positive")
    if read.work == 0 and read.work_error == 0:
        return Conclusion(*_NOTHING, "the weights stood still in the windows: the steps are lost in their rounding")
    quantile = float(stdtrit(freedom, 1 - at_level))
    value, (low, high) = float(read.gain / read.floor), _interval(read, quantile)
    if high < delta:
        return Conclusion(EQUILIBRATED, value, low, high)
    if low > delta:
        return Conclusion(DRIFTING, value, low, high)
    between = f"the gain is between {low:.3g} and {high:.3g} floors, and so is delta, {delta:g}"
    return Conclusion(UNDECIDED, value, low, high, between)


def _interval(read: Reading, quantile: float) -> tuple[float, float]:
    """Every G for which the gain less G F is within its error bar of 0."""
    square = read.floor**2 - (quantile * read.floor_error) ** 2
    middle, rest = read.gain * read.floor, read.gain**2 - (quantile * read.gain_error) ** 2
    root: Any = math.sqrt(max(middle**2 - square * rest, 0.0))
    if square > 0:
        return float((middle - root) / square), float((middle + root) / square)
    if rest > 0 and middle > 0:  # zero is excluded, and how large the gain may be is not known
        return float(rest / (middle + root)), math.inf
    return -math.inf, math.inf

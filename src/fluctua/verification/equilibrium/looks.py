r"""When to look, at which level, and what a look concludes (F86).

Looks come at t_0, t_1, ..., a factor of about 2^(1/4) apart. Look j has the level

    alpha_j = 8 alpha / ((j + 8) (j + 9)),

and these add up to alpha over all looks: the horizon is open. Half of alpha is spent in the first two octaves.
"""

from __future__ import annotations

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
_PER_OCTAVE = 4
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


def look_lengths() -> Iterator[int]:
    """Yield the block length of every look, in samples: the rounded powers of 2^(1/4) from `SHORTEST` on, each once."""
    last, power = SHORTEST - 1, 0
    while True:
        length = round(2 ** (power / _PER_OCTAVE))
        power += 1
        if length > last:
            yield length
            last = length


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

"""What follows from a consistent and a sharp, and how many replicas would make a run sharp that is not."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

from .significance import shift_caught

__all__ = ["Concluded", "Outcome", "outcome_of", "remedy", "replicas_for", "steps_for"]

Outcome = Literal["passed", "failed", "inconclusive"]
"""Passed: consistent and sharp. Failed: not consistent. Inconclusive: consistent, and too short to be sharp."""

_MARGIN = 1.3  # of the stated over the asked sharpness: the mutants are then rejected as good as always
_LUCK, _LUCKIEST = 0.02, 5e-4  # probability that the spread was smaller still; the same of many contrasts in time
_TELLING = 32  # replicas that say how many are needed, where fewer see nothing
_MOST = 10**9


class Concluded(ABC):
    """A test that is consistent or not, sharp or not, and what follows from both."""

    @property
    @abstractmethod
    def consistent(self) -> bool:
        """Whether nothing that should hold is rejected."""

    @property
    @abstractmethod
    def sharp(self) -> bool:
        """Whether the runs resolve what was asked."""

    @property
    def passed(self) -> bool:
        """Whether it is consistent and sharp: a pass without sharpness means nothing."""
        return self.consistent and self.sharp

    @property
    def outcome(self) -> Outcome:
        """A word for both: "passed"; "failed", if not consistent; "inconclusive", if consistent and not sharp."""
        return outcome_of(self.consistent, self.sharp)


def outcome_of(consistent: bool, sharp: bool) -> Outcome:
    """Return the conclusion in a word."""
    return "failed" if not consistent else "passed" if sharp else "inconclusive"


def replicas_for(detectable: float, resolution: float, replicas: int, level: float, groups: int = 0) -> int | None:
    """Return how many replicas would be sharp, judged by `replicas` of them; None where none would be.

    The error that is caught goes as the spread between replicas, over the square root of their number; few replicas
    also need more standard errors, and their spread may be smaller than the true one by luck. `groups`: into which
    replicas are gathered at most before their spread is taken.
    """
    if not math.isfinite(detectable):
        return None
    spread = _feared(detectable, replicas, groups) / _bars(replicas, level, groups)
    low, high = replicas, 2 * replicas
    while spread * _bars(high, level, groups) > resolution:
        low, high = high, 2 * high
        if high > _MOST:
            return None
    while high - low > max(1, low // 50):
        middle = (low + high) // 2
        low, high = (middle, high) if spread * _bars(middle, level, groups) > resolution else (low, middle)
    return _rounded(high)


def steps_for(detectable: float, resolution: float, replicas: int, steps: int, groups: int = 0) -> int | None:
    """Return of how many steps at least as many replicas would be sharp; None where no number is known.

    The error that is caught goes as one over the square root of the steps once the modes have relaxed, and more slowly
    before.
    """
    if not math.isfinite(detectable):
        return None
    found = steps * max(_feared(detectable, replicas, groups) / resolution, 1.0) ** 2
    return _rounded(math.ceil(found)) if found < _MOST else None


def _feared(detectable: float, replicas: int, groups: int) -> float:
    """The error that is caught, if the spread between replicas was small by luck."""
    freedom = _freedom(replicas, groups)
    return _MARGIN * detectable * math.sqrt(freedom / _quantile(_LUCKIEST if groups else _LUCK, freedom))


def _quantile(share: float, freedom: int) -> float:
    """A quantile of chi squared."""
    from scipy.special import gammaincinv

    return 2.0 * float(gammaincinv(freedom / 2, share))


def _freedom(replicas: int, groups: int) -> int:
    return max((min(replicas, groups) if groups else replicas) - 1, 1)


def _bars(replicas: int, level: float, groups: int) -> float:
    """How far off an error has to be, in units of the spread between replicas."""
    return shift_caught(level, _freedom(replicas, groups))[1] / math.sqrt(replicas)


def _rounded(count: int) -> int:
    """Up to two digits."""
    unit = 10 ** max(len(str(count)) - 2, 0)
    return int(-(-count // unit) * unit)


def remedy(needed: int | None, replicas: int, steps: int | None) -> str:
    """Return what to do about a run that is not sharp: more replicas, or as many `replicas` of more `steps`."""
    if needed is None:
        return f"; {_TELLING} replicas would tell how many are needed" if replicas < _TELLING else ""
    longer = "" if steps is None else f", or {replicas:,} of at least {steps:,} steps"
    return f"; about {needed:,} replicas of as many steps would do{longer}"

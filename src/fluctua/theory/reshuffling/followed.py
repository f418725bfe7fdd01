"""What every run in shuffled epochs answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from ..._arrays import Array
from ...errors import NotConverged

__all__ = ["FollowedRun", "overflowing", "overflown", "overflows"]

State = tuple[Array, Array]
_LARGEST = 1e100  # a moment from which an epoch may overflow


def overflowing() -> np.errstate:
    """A run that diverges ends beyond all numbers: its moments are infinite, which is a finding and no warning."""
    return np.errstate(over="ignore", invalid="ignore")


def overflown(values: Array) -> Array:
    """Return moments in which what came of two infinities is one."""
    return np.where(np.isnan(values), np.inf, values)


def overflows(stalled: NotConverged, state: Array, first: int, last: int) -> None:
    """Raise where the epoch of steps `first` to `last` could not be followed, unless it began beyond all numbers.

    The expansion fails where the noise feels more of itself than an epoch dissipates: at the limit and beyond.
    """
    if stalled.residual < 1:
        raise stalled
    if np.isfinite(state).all() and np.abs(state).max(initial=0.0) < _LARGEST:
        raise NotConverged(
            f"what the epoch of steps {first} to {last} does to the weights",
            stalled.rounds,
            stalled.residual,
            stalled.tolerance,
            "Its rates are so near the stability limit, or beyond it, that the expansion of shuffled epochs fails: use "
            "smaller ones, sampling='without_replacement' or data of few samples, or simulate.",
        ) from stalled


class FollowedRun(ABC):
    """A run in shuffled epochs, followed from its start."""

    @abstractmethod
    def average(self, steps: Sequence[int], observable: Array | None = None) -> tuple[Array, Array]:
        """Return S(t) averaged over `steps`, (r, r), and observable . S_pp(t) at every t up to the last of them."""

    @abstractmethod
    def means(self, steps: Sequence[int]) -> Array:
        """E V averaged over `steps`, (c, r)."""

    def at_each(self, steps: Sequence[int]) -> dict[int, State]:
        """S and E V at each of `steps`, (r, r) and (c, r)."""
        return {t: (self.average([t])[0], self.means([t])) for t in sorted(set(steps))}

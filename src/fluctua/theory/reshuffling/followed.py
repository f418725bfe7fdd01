"""What every run in shuffled epochs answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from ..._arrays import Array, standard_error
from ...errors import NotConverged
from .measured import MeasuredEpochs

__all__ = ["FollowedRun", "SampledRun", "overflows"]

State = tuple[Array, Array]
_LARGEST = 1e100  # a moment from which an epoch may overflow


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

    def error(self, steps: Sequence[int], observable: Array) -> float | None:
        """Standard error of observable . S_pp averaged over `steps`; None where it is none of sampling."""
        del steps, observable
        return None


class SampledRun(FollowedRun):
    """A run followed with orders of `epochs`: all that there are, or some."""

    epochs: MeasuredEpochs

    @abstractmethod
    def with_epochs(self, epochs: MeasuredEpochs) -> SampledRun:
        """The same run, with other orders."""

    def groups(self, steps: Sequence[int]) -> Array:
        """S_pp averaged over `steps` with each of 16 groups of the orders alone, (16, r)."""
        runs = [self.with_epochs(self.epochs.of(orders)) for orders in self.epochs.orders.groups()]
        return np.array([np.diag(run.average(steps)[0]) for run in runs])

    def error(self, steps: Sequence[int], observable: Array) -> float | None:
        """Standard error of observable . S_pp averaged over `steps`: from the groups, 0 where all orders are listed.

        An order is met in every epoch of the run again, and so are the orders of a group: what that does to the error
        is in their spread. Cost: that of the run, without its curve.
        """
        return 0.0 if self.epochs.orders.listed else float(standard_error(self.groups(steps) @ observable))

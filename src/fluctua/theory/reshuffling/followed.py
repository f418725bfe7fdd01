"""What every run in shuffled epochs answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from ..._arrays import Array, standard_error
from ...errors import NotConverged
from ...kernels.time_varying import Course
from ..overflow import overflowing, overflown
from .measured import MeasuredEpochs

__all__ = ["ChangingRun", "FollowedRun", "SampledRun", "overflows"]

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


class ChangingRun(FollowedRun):
    """A run of `course`, whose steps differ, from E V(0) = `mean`, (c, r), or from W*; what was asked last is kept.

    Attributes
    ----------
    mean : ndarray, (c, k r)
        E of the parts at the start.
    """

    def __init__(self, course: Course, mean: Array | None, outputs: int) -> None:
        self.course = course
        begin = np.zeros((outputs, course.modes)) if mean is None else mean
        self.mean = np.multiply.outer(course.entry, begin).swapaxes(0, 1).reshape(outputs, -1)
        self._known: tuple[tuple[int, ...], Array | None, tuple[Array, Array, Array]] | None = None

    def average(self, steps: Sequence[int], observable: Array | None = None) -> tuple[Array, Array]:
        """Return S(t) averaged over `steps`, (r, r), and observable . S_pp(t) at every t up to the last of them."""
        covariance, _, curve = self._followed(tuple(sorted(steps)), observable)
        return covariance, curve

    def means(self, steps: Sequence[int]) -> Array:
        """E V averaged over `steps`, (c, r)."""
        return self._followed(tuple(sorted(steps)), None)[1]

    def _followed(self, steps: tuple[int, ...], observable: Array | None) -> tuple[Array, Array, Array]:
        known = self._known
        if known is None or known[0] != steps or (observable is not None and known[1] is not observable):
            with overflowing():
                s, mean, curve = self._averaged(steps, observable)
            self._known = known = steps, observable, (overflown(s), overflown(mean), overflown(curve))
        return known[2]

    @abstractmethod
    def _averaged(self, steps: tuple[int, ...], observable: Array | None) -> tuple[Array, Array, Array]:
        """S and E V averaged over the sorted `steps`, and the curve, empty without an observable."""


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

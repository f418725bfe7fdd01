"""A run in shuffled epochs, followed with the maps of one epoch, F58: exact where all epochs are listed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from ..._arrays import Array
from ..overflow import overflowing, overflown
from .followed import SampledRun
from .measured import MeasuredEpochs

__all__ = ["MeasuredRun"]

State = tuple[Array, Array]


class MeasuredRun(SampledRun):
    """A run in such epochs from E V(0) = `mean`, (c, r), without spread, or from W*."""

    def __init__(self, epochs: MeasuredEpochs, mean: Array | None) -> None:
        begin = np.zeros((epochs.problem.outputs, epochs.size))
        if mean is not None:
            begin[:, : epochs.rank] = mean
        self.epochs, self.start, self._mean = epochs, (begin.T @ begin, begin), mean
        self._last: tuple[tuple[int, ...], State] | None = None

    def with_epochs(self, epochs: MeasuredEpochs) -> MeasuredRun:
        """The same run, with other orders."""
        return MeasuredRun(epochs, self._mean)

    def average(self, steps: Sequence[int], observable: Array | None = None) -> State:
        """Return S(t) averaged over `steps`, (r, r), and observable . S_pp(t) at every t up to the last of them."""
        covariance, _ = self._averaged(tuple(sorted(steps)))
        with overflowing():
            return covariance, np.zeros(0) if observable is None else overflown(self._curve(observable, max(steps)))

    def means(self, steps: Sequence[int]) -> Array:
        """E V averaged over `steps`, (c, r)."""
        return self._averaged(tuple(sorted(steps)))[1]

    def _averaged(self, steps: tuple[int, ...]) -> State:
        if self._last is None or self._last[0] != steps:
            with overflowing():
                covariance, mean = self._followed(steps)
            self._last = steps, (overflown(covariance), overflown(mean))
        return self._last[1]

    def _followed(self, steps: tuple[int, ...]) -> State:
        """S and E V averaged over `steps`: epochs are averaged for every position first, as their maps are affine."""
        n = self.epochs.steps
        begun = dict(self._begun(sorted({t // n for t in steps})))
        places = {
            place: [begun[t // n] for t in group]
            for place, group in groupby(sorted(steps, key=lambda t: t % n), lambda t: t % n)
        }
        stops = sorted(places)
        starts = [tuple(np.mean(each, axis=0) for each in zip(*places[place], strict=True)) for place in stops]
        share = np.array([len(places[place]) for place in stops]) / len(steps)
        found = self.epochs.along(stops, [(one[0], one[1]) for one in starts])
        s, mean = (np.tensordot(share, np.array(each), 1) for each in zip(*found, strict=True))
        return self.epochs.weights_of((s, mean))

    def _begun(self, numbers: Sequence[int]) -> Iterator[tuple[int, State]]:
        """S and m at the start of the epochs of these numbers, rising."""
        state, now = self.start, 0
        for number in numbers:
            state, now = self.epochs.later(state, number - now), number
            yield number, state

    def _curve(self, observable: Array, end: int) -> Array:
        observed = self.epochs.observed(observable, list(range(self.epochs.steps)))
        u, b, a = (np.array(each) for each in zip(*observed, strict=True))
        followed = self._begun(range(end // self.epochs.steps + 1))
        curves = [np.tensordot(u, s, 2) + np.tensordot(b, mean, 2) + a for _, (s, mean) in followed]
        return np.concatenate(curves)[: end + 1]

"""Finite time in epochs, F56 followed from any start, with few evaluations of what an epoch adds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from ..._arrays import Array
from ...errors import NotConverged
from ..interpolation import Grid
from ..overflow import overflowing, overflown
from ..transient import Relaxation, largest_change
from .expansion import Shuffle
from .followed import FollowedRun, overflows
from .memory import EpochMoments

__all__ = ["EPOCHS_RTOL", "Epochs"]

EPOCHS_RTOL = 1e-3
"""Relative accuracy to which a run is followed; finer would be lost in what the law leaves out."""
_MARCHED = 12  # epochs away from W* that are followed one by one, their means with the drift; then it is left out
_ROUNDS = 100  # of one epoch; below the stability limit a dozen are enough
_CURVES = 12  # epochs whose curve is followed step by step; in those between it is interpolated


class Epochs(FollowedRun):
    """F56: epochs of `shuffle` from E V(0) = `mean`, (c, r), without spread, or from W*.

    Away from W* a dozen epochs are followed one by one, as `CourseRun` does. Later ones are followed as steps are in
    `Relaxation`: what an epoch adds is smooth in the logarithm of the number of epochs. What it adds is found by
    following it again and again until its source no longer changes.

    Parameters
    ----------
    shuffle : Shuffle
    mean : ndarray, (c, r), or None
    rtol : float
        Relative accuracy of each mode's variance, as far as the following is concerned; the closure has its own.
    """

    def __init__(self, shuffle: Shuffle, mean: Array | None, rtol: float) -> None:
        self.shuffle, self.rtol, epoch = shuffle, rtol, shuffle.epoch
        begin = np.zeros((shuffle.minimum.weights.shape[0], epoch.kernel.modes)) if mean is None else mean
        self.mean = epoch.tile(begin) * epoch.kernel.entry
        self.state = self.mean.T @ self.mean
        self.marched = 0 if mean is None else _MARCHED
        self._begun = [(self.state, self.mean)]
        self._last: tuple[EpochMoments, Array, Array] | None = None

    def average(self, steps: Sequence[int], observable: Array | None = None) -> tuple[Array, Array]:
        """Return S(t) averaged over `steps`, (r, r), and observable . S_pp(t) at every t up to the last of them.

        Infinite where the run overflows, everywhere but at the start if that is within an epoch.
        """
        with overflowing():
            try:
                covariance, curve = self._average(steps, observable)
            except NotConverged as stalled:
                self._hold_first_epoch(stalled)
                covariance = np.full((self.shuffle.epoch.kernel.modes,) * 2, np.inf)
                curve = np.full(0 if observable is None else max(steps) + 1, np.inf)
                if observable is not None:
                    curve[0] = observable @ self.shuffle.epoch.kernel.variances(self.state)
            return overflown(covariance), overflown(curve)

    def _hold_first_epoch(self, stalled: NotConverged) -> None:
        """Raise unless what overflowed is a run whose first epoch can be followed."""
        try:
            self.epoch_from(self.state, self.mean)
        except NotConverged:
            overflows(stalled, self.state, 0, self.shuffle.epoch.steps - 1)
        if stalled.residual < 1:
            raise stalled

    def _average(self, steps: Sequence[int], observable: Array | None) -> tuple[Array, Array]:
        n = self.shuffle.epoch.steps
        wanted = {e: [t % n for t in group] for e, group in groupby(sorted(steps), lambda t: t // n)}
        last = max(wanted)
        followed = set() if observable is None else self._followed(last)
        curves: dict[int, Array] = {}

        def look(number: int, state: Array) -> Array:
            mean = self._mean_at(number)
            total = np.zeros((self.shuffle.epoch.kernel.modes,) * 2)
            if wanted.get(number) == [0] and number not in followed:
                return self.shuffle.epoch.kernel.fold(state)
            moments, source, added = self.epoch_from(state, mean)
            if number in followed and observable is not None:
                curves[number] = self._curve(state, source, added, observable)
            for place in wanted.get(number, []):
                total = total + self.shuffle.at(place, moments, source, added)
            return total

        stops, total = sorted({*wanted, *followed}), np.zeros((self.shuffle.epoch.kernel.modes,) * 2)
        for number in [e for e in stops if e <= self.marched]:
            total = total + look(number, self._at(number)[0])
        if later := [e - self.marched for e in stops if e > self.marched]:
            total = total + self._epochs().total(later, lambda number, state: look(number + self.marched, state))
        return total / len(steps), self._joined(curves, last, max(steps))

    def means(self, steps: Sequence[int]) -> Array:
        """E V averaged over `steps`, (c, r)."""
        with overflowing():
            try:
                return overflown(self._means(steps))
            except NotConverged as stalled:
                self._hold_first_epoch(stalled)
                return np.full((len(self.mean), self.shuffle.epoch.kernel.modes), np.inf)

    def _means(self, steps: Sequence[int]) -> Array:
        epoch, total = self.shuffle.epoch, np.zeros((len(self.mean), self.shuffle.epoch.kernel.modes))
        for number, group in groupby(sorted(steps), lambda t: t // epoch.steps):
            found = epoch.fold(self.shuffle.means(self._mean_at(number)))
            for t in group:
                total += self.shuffle.mean_at(t % epoch.steps, found)
        return np.asarray(total / len(steps))

    def _at(self, number: int) -> tuple[Array, Array]:
        """State and mean at the start of one of the first epochs, followed one by one."""
        while len(self._begun) <= number:
            moments, _, _ = self.epoch_from(*self._begun[-1])
            self._begun.append((moments.states[-1], moments.means[-1]))
        return self._begun[number]

    def epoch_from(self, state: Array, mean: Array) -> tuple[EpochMoments, Array, Array]:
        """Return the moments of an epoch from `state` and `mean`, and what `Shuffle.added` says of them."""
        shuffle, means = self.shuffle, self.shuffle.means(mean)
        if self._last is not None and largest_change(np.diag(self._last[0].states[0]), np.diag(state)) < self.rtol:
            _, source, added = self._last
            return EpochMoments(shuffle.through(state, source, added), means), source, added
        guess = shuffle.from_noise_alone(state) if self._last is None else self._last[0].states
        states = np.concatenate([state[None], guess[1:]])
        for _ in range(_ROUNDS):
            source, added = shuffle.added(EpochMoments(states, means))
            before, states = states[-1], shuffle.through(state, source, added)
            left = self._felt(source) * largest_change(np.diag(before), np.diag(states[-1]))
            if left < self.rtol:
                break
            if not np.isfinite(left):
                raise NotConverged("what an epoch adds to the fluctuation", _ROUNDS, left, self.rtol)
        else:
            raise NotConverged("what an epoch adds to the fluctuation", _ROUNDS, left, self.rtol)
        self._last = EpochMoments(states, means), source, added
        return self._last

    def _felt(self, source: Array) -> float:
        """The share of the noise that feels the fluctuation, by which the next change is smaller; E V may take away."""
        total = float(np.trace(source))
        return abs(1 - float(np.trace(self.shuffle.minimum.noise)) / total) if total else 0.0

    def _epochs(self) -> Relaxation:
        shuffle = self.shuffle

        def source(state: Array, mean: Array | None) -> Array:
            assert mean is not None
            moments, _, _ = self.epoch_from(state, mean + shuffle.settled_mean)
            return np.asarray(moments.states[-1] - keep * state)

        keep = np.multiply.outer(shuffle.epoch.powers[-1], shuffle.epoch.powers[-1])
        quiet = shuffle.from_noise_alone(np.zeros_like(self.state))[-1]
        state, mean = self._at(self.marched)
        return Relaxation(shuffle.slow, source, quiet, state, mean - shuffle.settled_mean, self.rtol)

    def _mean_at(self, number: int) -> Array:
        if number <= self.marched:
            return self._at(number)[1]
        settled, mean = self.shuffle.settled_mean, self._at(self.marched)[1]
        return np.asarray(settled + (mean - settled) * self.shuffle.epoch.powers[-1] ** (number - self.marched))

    def _curve(self, state: Array, source: Array, added: Array, observable: Array) -> Array:
        """Observable . S_pp at every position, (n,): it closes on the diagonal of what is added."""
        epoch, kernel = self.shuffle.epoch, self.shuffle.epoch.kernel
        decay = epoch.powers[1].reshape(kernel.components, kernel.modes)
        shrink, moments = decay[:, None] * decay, kernel.within(state)
        nodes = np.array([kernel.within(each) for each in added])
        anticorrelated = self.shuffle.batches.eps * np.square(epoch.fold(epoch.sums)) * np.diag(source)  # F44
        out, basis = np.empty(epoch.steps), epoch.positions.basis
        for t in range(epoch.steps):
            out[t] = observable @ (moments.sum(axis=(0, 1)).real - anticorrelated[t])
            if t < epoch.regular:
                moments = shrink * moments + np.tensordot(basis[t], nodes[: basis.shape[1]], 1)
        return out

    @staticmethod
    def _followed(last: int) -> set[int]:
        return {0, *(1 + Grid(last, _CURVES).nodes).tolist()} if last else {0}

    def _joined(self, curves: dict[int, Array], last: int, end: int) -> Array:
        if not curves:
            return np.zeros(0)
        first = [curves[0]]
        if last:
            later = np.array([curves[e] for e in sorted(curves) if e])
            first.append((Grid(last, _CURVES).basis @ later).ravel())
        return np.concatenate(first)[: end + 1]

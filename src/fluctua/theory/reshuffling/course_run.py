"""A run in shuffled epochs whose steps differ, by the expansion: F63 marched epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..._arrays import Array
from ...errors import NotConverged
from ...kernels.time_varying import Course
from ..overflow import overflowing, overflown
from ..transient import largest_change
from .course_expansion import Added, CourseShuffle
from .course_timetable import CourseEpoch
from .expansion import NODES, Shuffle
from .followed import ChangingRun, overflows
from .memory import EpochMoments

__all__ = ["CourseRun"]

_ROUNDS = 100
_KINKED = 20  # nodes in the place of `NODES` where the rate jumps within an epoch


@dataclass(frozen=True)
class _Passed:
    """One epoch of a run, followed."""

    shuffle: CourseShuffle
    moments: EpochMoments
    added: Added


def _foreseen(before: _Passed | None, passed: _Passed) -> Array:
    """States that those of the next epoch may be like: what this one moved each of them by, they move by again."""
    now = passed.moments.states
    if before is None or len(before.moments.states) != len(now):
        return now
    return np.asarray(2 * now - before.moments.states)


class CourseRun(ChangingRun):
    """F63: a run of `course` in epochs of `shuffle` from E V(0) = `mean`, (c, r), without spread, or from W*.

    Every epoch is followed until its source no longer changes. Epochs whose steps are alike share what they are made
    of. Cost: per epoch some 3 to 6 rounds of what `Shuffle.added` takes.

    Parameters
    ----------
    shuffle : Shuffle
    course : Course
    mean : ndarray, (c, r), or None
    rtol : float
        Relative accuracy of each mode's variance, as far as the following is concerned; the closure has its own.
    """

    def __init__(self, shuffle: Shuffle, course: Course, mean: Array | None, rtol: float) -> None:
        self.shuffle, self.rtol, self._jumps = shuffle, rtol, course.breaks
        super().__init__(course, mean, shuffle.minimum.weights.shape[0])

    def at_each(self, steps: Sequence[int]) -> dict[int, tuple[Array, Array]]:
        """S and E V at each of `steps`, (r, r) and (c, r), in one pass through the epochs."""
        out, last = {}, max(steps)
        with overflowing():
            end = EpochMoments((self.mean.T @ self.mean)[None], self.mean[None])
            for first, passed in self._epochs(last):
                end = passed.moments
                for t in {t for t in steps if first <= t < first + passed.shuffle.epoch.steps}:
                    out[t] = passed.shuffle.looked_at(t - first, passed.moments, passed.added)
        r = self.course.modes
        for t in set(steps) - set(out) - {last}:  # beyond the epoch in which it overflows
            out[t] = np.full((r, r), np.inf), np.full((len(self.mean), r), np.inf)
        out[last] = self._looked_at(end)
        return {t: (overflown(s), overflown(mean)) for t, (s, mean) in out.items()}

    def _looked_at(self, end: EpochMoments) -> tuple[Array, Array]:
        """S and E V at the end of an epoch."""
        shown, r = self.course.shown, self.course.modes
        return self.course.fold(end.states[-1], observed=True), end.means[-1][:, shown * r : (shown + 1) * r]

    def _averaged(self, steps: tuple[int, ...], observable: Array | None) -> tuple[Array, Array, Array]:
        r, last = self.course.modes, steps[-1]
        s, mean, curves = np.zeros((r, r)), np.zeros((len(self.mean), r)), [np.zeros(0)]
        end = EpochMoments((self.mean.T @ self.mean)[None], self.mean[None])
        for first, passed in self._epochs(last):
            end = passed.moments
            for t in sorted({t for t in steps if first <= t < first + passed.shuffle.epoch.steps}):
                found = passed.shuffle.looked_at(t - first, passed.moments, passed.added)
                s, mean = s + steps.count(t) * found[0], mean + steps.count(t) * found[1]
            if observable is not None:
                curves.append(passed.shuffle.curve(passed.moments.states[0], passed.added, observable))
        found = self._looked_at(end)
        s, mean = s + steps.count(last) * found[0], mean + steps.count(last) * found[1]
        if observable is not None:
            curves.append(np.array([observable @ self.course.variances(end.states[-1], observed=True)]))
            curves.append(np.full(last + 1 - sum(map(len, curves)), np.inf))
            curves[1][0] = observable @ self.course.variances(self.mean.T @ self.mean, observed=True)
        return s / len(steps), mean / len(steps), np.concatenate(curves)

    def _epochs(self, last: int) -> Iterator[tuple[int, _Passed]]:
        """Yield the first step of each epoch until `last`, and what its steps do; the last one may end early.

        The one in which a diverging run overflows is the last, and ends with infinite moments.
        """
        n, state, mean = len(self.shuffle.sizes), self.mean.T @ self.mean, self.mean
        shuffle, before, like = None, None, None
        for first in range(0, last, n):
            shuffle = self._shuffle(shuffle, first, min(n, last - first))
            passed = self._followed_or_lost(first, shuffle, state, mean, like)
            like, before = _foreseen(before, passed), passed
            yield first, before
            state, mean = before.moments.states[-1], before.moments.means[-1]
            if not np.isfinite(state).all():
                return

    def _followed_or_lost(
        self, first: int, shuffle: CourseShuffle, state: Array, mean: Array, like: Array | None
    ) -> _Passed:
        try:
            with overflowing():
                return self._passed(shuffle, state, mean, like)
        except NotConverged as stalled:
            overflows(stalled, state, first, first + shuffle.epoch.steps - 1)
        nodes = len(shuffle.epoch.stops)
        lost = EpochMoments(np.full((nodes, *state.shape), np.inf), np.full((nodes, *mean.shape), np.inf))
        return _Passed(shuffle, lost, shuffle.nothing)

    def _shuffle(self, before: CourseShuffle | None, first: int, end: int) -> CourseShuffle:
        """That of the steps from `first` on; the one before where they are alike."""
        if before is not None and before.epoch.steps == end:
            old = slice(before.epoch.first, before.epoch.first + end)
            new = slice(first, first + end)
            if all(np.array_equal(each[old], each[new]) for each in (self.course.motion, self.course.push)):
                return before
        sizes, nodes = self.shuffle.sizes[:end], self.shuffle.nodes
        if any(first < jump < first + end for jump in self._jumps):  # the mean has a kink there
            nodes = nodes * _KINKED // NODES
        return CourseShuffle(self.shuffle, CourseEpoch(self.course, first, sizes, nodes))

    def _passed(self, shuffle: CourseShuffle, state: Array, mean: Array, like: Array | None) -> _Passed:
        """An epoch from `state` and `mean`, the same as its own source makes it; from states that it may be `like`."""
        means = shuffle.means(mean)
        if like is not None and len(like) == len(shuffle.epoch.stops):
            states = np.concatenate([state[None], like[1:]])
        else:
            states = shuffle.additive(state)
        left = np.inf
        for _ in range(_ROUNDS):
            added = shuffle.added(EpochMoments(states, means))
            old, states = states[-1], shuffle.through(state, added)
            left = self._felt(added.source) * largest_change(np.diag(old), np.diag(states[-1]))
            if left < self.rtol or not self.shuffle.feels:
                return _Passed(shuffle, EpochMoments(states, means), added)
            if not np.isfinite(left):
                break
        raise NotConverged("what an epoch adds to the fluctuation", _ROUNDS, left, self.rtol)

    def _felt(self, source: Array) -> float:
        """The share of the noise that feels the fluctuation, by which the next change is smaller; not of an average."""
        if self.course.shown:  # its correlation with the noise to come is not felt, and changes from epoch to epoch
            return 1.0
        total = float(np.trace(source))
        return abs(1 - float(np.trace(self.shuffle.minimum.noise)) / total) if total else 0.0

"""Finite time: the balance law F0 followed from any start, with few evaluations of its source."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from ..kernels.constant import Kernel
from ..kernels.time_varying import Course
from .interval import Interval, Nodes, Reading, covariance_itself, followed

__all__ = ["Interval", "Reading", "Relaxation", "SourceOf", "largest_change"]

Array = NDArray[np.float64]
SourceOf = Callable[[Array, Array | None], Array]
_STENCIL = 4  # nodes the interpolant passes through: cubic
_CUBIC_BELOW = 1 / 30  # share of K in the source: cubic extrapolation multiplies noise by 15, and K must not return it
_EVALUATIONS = 3  # of the source at the end of an interval, at most
_BENT, _MOVED = 1 / 3, 2.5  # weights of the two errors; measured, see Relaxation.rtol
_LARGEST_GAIN = 100.0  # beyond it the control would ask for more than float32 data can tell


@dataclass(frozen=True)
class Relaxation:
    r"""S(t) from S(0): F0 as a recursion, S(t+1) = m m S(t) + i G(t), G = kappa (C + K[S] + X(E V)).

    G costs a pass over the data and is smooth in log time; so it is evaluated at *nodes* only and interpolated
    between them by a cubic in log(1 + t), and the recursion is summed in closed form over pieces on which the
    interpolant is nearly linear. The source at the end of an interval is found at the S that extrapolation predicts,
    and again at the corrected S while the correction moves the source. An interval is accepted when, in every mode,
    the cubic and the parabola agree at its middle and the last correction was small, to a tolerance set by `rtol`;
    otherwise it is shortened. An error of the source comes back through K, amplified by the gain G/C, about
    1/(1 - lr/max_stable_lr): the tolerance is divided by it. Intervals of one step are exact. Modes that overshoot
    (m < 0) make the source alternate, which no smooth interpolant follows: steps of one until they decay. Where the
    learning rate jumps the source has a corner, and the march begins anew.

    Parameters
    ----------
    kernel : Kernel or Course
    source : callable or ndarray, (r, r)
        (S, E V) -> G, or a constant, for the additive levels: then one interval reaches any time.
    noise : ndarray, (r, r)
        kappa C, the part of G that does not depend on the state.
    covariance : ndarray, (r, r)
        S(0), with the square of the mean.
    mean : ndarray, (c, r), or None
        E V(0); None is zero.
    rtol : float
        Relative accuracy wanted of each mode's variance. Measured on digits against every-step iteration (b = 1 to 8,
        lr up to 0.94 of the stability limit, both starts, rtol 1e-2 to 1e-6): at most 0.64 of it. Closer than 1 % to
        the limit the gain is above what is controlled: up to 2.3 times rtol on heavy-tailed data at 0.999 of it.

    Notes
    -----
    Cost: one or two source evaluations per node; from W* at rtol 1e-3, about one node per doubling of time, more near
    the stability limit. Memory: about ten (r, r) float64 arrays, and as many states.
    """

    kernel: Kernel | Course
    source: SourceOf | Array
    noise: Array
    covariance: Array
    mean: Array | None
    rtol: float
    read: Reading = covariance_itself

    def readings(self, steps: Sequence[int], form: Array) -> Array:
        """Return tr(form S(t)) at each of `steps`, (n,)."""
        wanted = np.asarray(steps)
        total = np.where(wanted == 0, np.vdot(form, self.covariance), 0.0)
        if wanted.max() > 0:
            reader = replace(self, read=lambda t, s: np.where(wanted == t, np.vdot(form, s), 0.0))
            total = total + reader.total(sorted(set(wanted.tolist())))
        return np.asarray(total)

    def total(self, stops: Sequence[int]) -> Array:
        """Return the sum of what is read at the sorted `stops`, all of them after the start."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(sum(passed for passed, _ in self._march(stops)))

    def average(self, steps: Sequence[int], observable: Array | None = None) -> tuple[Array, Array]:
        """Return S(t) averaged over `steps`, (r, r), and observable . S_pp(t) at every t up to the last of them.

        Without an observable there is no curve, and time costs its logarithm.
        """
        wanted = sorted(int(t) for t in steps)
        total = self.covariance * wanted.count(0)
        curve = [np.empty(0)] if observable is None else [self._begun(observable)]
        if wanted[-1] > 0:
            with np.errstate(over="ignore", invalid="ignore"):  # beyond the stability limit the law itself overflows
                for passed, variances in self._march(wanted):
                    total = total + passed
                    if observable is not None:
                        curve.append(_seen(observable, variances))
        return total / len(wanted), np.nan_to_num(np.concatenate(curve), nan=np.inf)  # where squares have overflowed

    def curve(self, last: int, observable: Array) -> Iterator[Array]:
        """Yield observable . S_pp(t) from t = 0 to `last`, an interval of the march after another."""
        yield self._begun(observable)
        march = self._march([last]) if last else iter(())
        while True:
            with np.errstate(over="ignore", invalid="ignore"):
                _, variances = next(march, (None, None))
                piece = None if variances is None else _seen(observable, variances)
            if piece is None:
                return
            yield np.nan_to_num(piece, nan=np.inf)

    def _begun(self, observable: Array) -> Array:
        """Observable . S_pp(0), (1,)."""
        return np.array([observable @ np.diag(self.covariance)])

    def _march(self, stops: Sequence[int]) -> Iterator[tuple[Array | float, Iterator[Array]]]:
        """From 0 to the last of the sorted `stops`: yield the sum of what is read at them, and every S_pp(t)."""
        corners = [0, *[step for step in self.kernel.breaks if step < stops[-1]], stops[-1]]
        state: Array | None = None
        for origin, end in pairwise(corners):
            state = yield from self._leg(origin, end, state, [t for t in stops if origin < t <= end])

    def _leg(
        self, origin: int, end: int, state: Array | None, stops: Sequence[int]
    ) -> Generator[tuple[Array | float, Iterator[Array]], None, Array]:
        """From one corner of the source to the next; returns the state there."""
        kernel = self.kernel
        source = self._evaluate(origin, self.covariance if state is None else kernel.fold(state))
        if state is None:  # an optimiser's first step may be unlike the others
            state = kernel.begin(self.covariance, source)
        else:
            state = kernel.advance(state, [source], np.ones((2, 1)), origin, 1)
        seen = kernel.fold(state, observed=True)
        yield self.read(origin + 1, seen) * stops.count(origin + 1), iter([np.diag(seen)])
        if end == origin + 1:
            return state
        nodes: Nodes = ((origin, source),)
        if callable(self.source):
            nodes = (*nodes, (origin + 1, self._evaluate(origin + 1, kernel.fold(state))))
        for trial in self._trials(origin, end, state, nodes, stops):
            yield trial.passed, trial.interval.diagonals()
        return trial.arrived

    def _trials(self, origin: int, last: int, state: Array, nodes: Nodes, stops: Sequence[int]) -> Iterator[_Trial]:
        """March from one step after `origin` to `last`: yield each accepted interval."""
        now, settled = origin + 1, self.kernel.unsettled(origin, last, self.rtol)
        width = 1.0 if callable(self.source) else float(last)  # a constant source needs one interval
        while now < last:
            end = min(last, now + round(width))
            guess = Interval(self.kernel, now, end, state, nodes, origin, self.read)
            trial = self._propose(guess, [t for t in stops if now < t <= end])
            width = 1.0 if now < settled else _next_width(end - now, trial.error)
            if trial.error <= 1 or end == now + 1:
                yield trial
                now, state, nodes = end, trial.arrived, trial.interval.nodes[-_STENCIL:]
            else:
                width = min(width, end - now - 1)

    def _propose(self, guess: Interval, stops: Sequence[int]) -> _Trial:
        """Extrapolate, evaluate the source at the end, correct; again while the correction moves the source."""
        if not callable(self.source):
            return _Trial(guess, *followed(guess, stops), 0.0)
        nodes, end = guess.nodes, guess.end
        before = np.diag(nodes[-1][1])
        if self._share(before) >= _CUBIC_BELOW:
            guess = replace(guess, nodes=nodes[-2:])
        pieces = self._pieces(before, guess.foreseen(end))
        predicted = followed(replace(guess, pieces=ceil(pieces / 2)), [])[0]
        for _ in range(_EVALUATIONS):
            found = self._evaluate(end, self.kernel.fold(predicted))
            interval = replace(guess, nodes=(*nodes[1 - _STENCIL :], (end, found)), pieces=pieces)
            arrived, passed = followed(interval, stops)
            bent, moved = self._errors(interval, predicted, arrived)
            predicted = arrived
            if bent > 1 or not moved > 1:
                break
        return _Trial(interval, arrived, passed, max(bent, moved))

    def _errors(self, interval: Interval, predicted: Array, arrived: Array) -> tuple[float, float]:
        """Errors of the interpolant and of its last node, in units of what `rtol` allows."""
        found, nodes = np.diag(interval.nodes[-1][1]), interval.nodes
        begin, end = (1 + step - interval.origin for step in (interval.start, interval.end))
        middle = sqrt(begin * end) - 1 + interval.origin
        lower = replace(interval, nodes=nodes[1:] if len(nodes) > 2 else nodes[:1])
        bent = largest_change(lower.foreseen(middle), interval.foreseen(middle))
        variances = self.kernel.variances(predicted), self.kernel.variances(arrived)
        moved = self._share(found) * largest_change(*variances)  # K[dS] <= K[S] max dS/S
        allowed = self.rtol / self._gain(found)
        return _BENT * bent / allowed, _MOVED * moved / allowed

    def _pieces(self, before: Array, after: Array) -> int:
        """Enough for the interpolant's distance from its chords, an eighth of its change over pieces squared."""
        change = min(largest_change(before, after), 10.0)
        return max(2, ceil(sqrt(change * self._gain(before) / (4 * self.rtol)))) if np.isfinite(change) else 2

    def _share(self, found: Array) -> float:
        """Share of K in the source, at most."""
        return 1 - 1 / self._gain(found)

    def _gain(self, found: Array) -> float:
        """How much of an error of the source comes back through K, from the diagonal of G found and that of kappa C."""
        quiet = max(float(np.abs(np.diag(self.noise)).sum()), np.finfo(float).tiny)
        return max(1.0, min(float(np.abs(found).sum()), _LARGEST_GAIN * quiet) / quiet)

    def _evaluate(self, step: int, state: Array) -> Array:
        if not callable(self.source):
            return self.source
        mean = None if self.mean is None else self.mean * self.kernel.drift(step)
        return np.asarray(self.source(state, mean))


@dataclass(frozen=True)
class _Trial:
    """An interval, the state at its end, the sum of what is read inside, the error in units of what is allowed."""

    interval: Interval
    arrived: Array
    passed: Array | float
    error: float


def _seen(observable: Array, variances: Iterator[Array]) -> Array:
    """Observable . S_pp of every step."""
    return np.fromiter((observable @ each for each in variances), np.float64)


def _next_width(length: int, error: float) -> float:
    """Length of the next interval, given the error of one of this length."""
    if not np.isfinite(error):
        return 1.0
    return max(1.0, length * float(np.clip(0.9 * max(error, 1e-9) ** (-1 / 3), 0.25, 4.0)))


def largest_change(before: Array, after: Array) -> float:
    """Largest relative change."""
    return float(np.max(np.abs(after - before) / np.maximum(np.abs(after), np.finfo(float).tiny)))

"""A stretch of time on which the source of the balance law is known, and the covariance therefore in closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, expm1, log

import numpy as np

from .._arrays import Array
from ..kernels.constant import Kernel
from ..kernels.time_varying import Course
from .interpolation import lagrange

__all__ = ["Interval", "Nodes", "Reading", "followed"]

Nodes = tuple[tuple[int, Array], ...]
Reading = Callable[[int, Array], Array]
"""(t, state) -> what is wanted of it."""
_DEGREE = 3  # of the interpolant in time, on a piece
_ROUNDED = 1e-6  # of a step
_AT_ONCE = 2**10  # steps of a curve whose sources are held


@dataclass(frozen=True)
class Interval:
    """A stretch of time on which the source is known as an interpolant, and S(t) therefore in closed form.

    Attributes
    ----------
    start, end : int
        Steps.
    state : ndarray, (k r, k r)
        The kernel's state at `start`; with one component S itself.
    nodes : tuple of (int, ndarray)
        Steps and the source kappa G there; the interpolant is their polynomial in log(1 + t - origin).
    origin : int
        Step of the last corner of the source.
    pieces : int
        Parts of the whole interval, alike in log(1 + t - origin), on which the interpolant is taken as a cubic in t.
    """

    kernel: Kernel | Course
    start: int
    end: int
    state: Array
    nodes: Nodes
    origin: int = 0
    pieces: int = 1

    def states(self, steps: Sequence[int]) -> Iterator[tuple[int, Array]]:
        """Yield (t, state), (k r, k r), for the sorted `steps` in (start, end]."""
        now, state, sources = self.start, self.state, [source for _, source in self.nodes]
        degree = _DEGREE if len(sources) > 1 else 0
        growth = log((1 + self.end - self.origin) / (1 + self.start - self.origin)) / self.pieces
        for target in steps:
            while now < target:
                then = min(now + max(1, ceil((1 + now - self.origin) * expm1(growth) - _ROUNDED)), target)
                places = np.linspace(now, then, 1 + min(degree, then - now)).tolist()
                state = self.kernel.advance(state, sources, self._shares(places), now, then - now)
                now = then
            yield target, state

    def foreseen(self, step: float) -> Array:
        """Diagonal of the interpolant at `step`, (r,)."""
        return np.asarray(self._shares([step])[0] @ self._source_diagonals)

    def diagonals(self) -> Iterator[Array]:
        """Yield what is observed of S_pp(t), (r,), for t = start + 1..end: it closes on the diagonal of the source."""
        yield from self.kernel.follow(self.state, self._sources(), self.start)

    def _sources(self) -> Iterator[Array]:
        """Yield the diagonal of the interpolant, (r,), at t = start..end - 1."""
        nodes = self._source_diagonals
        for begin in range(self.start, self.end, _AT_ONCE):
            yield from self._shares(range(begin, min(begin + _AT_ONCE, self.end))) @ nodes

    @property
    def _source_diagonals(self) -> Array:
        return np.array([np.diag(source) for _, source in self.nodes])

    def _shares(self, steps: Sequence[float]) -> Array:
        """Shares of the nodes in the interpolant at each of `steps`, (len(steps), nodes)."""
        places, at = (np.log1p(np.subtract(when, self.origin)) for when in ([step for step, _ in self.nodes], steps))
        return lagrange(places, at)


def followed(interval: Interval, stops: Sequence[int] = (), read: Reading | None = None) -> tuple[Array, Array | float]:
    """The state at the end of the interval, and the sum of what is read at the stops inside, in one march."""
    total: Array | float = 0.0
    state = interval.state
    for visit, (step, state) in enumerate(interval.states([*stops, interval.end])):
        if read is not None and visit < len(stops):
            total = total + read(step, state)
    return state, total

"""A march through time, interval by interval: it extrapolates, evaluates and corrects; a controller decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np

from .._arrays import Array
from ..kernels.constant import Kernel
from ..kernels.time_varying import Course
from .control import Controller
from .interval import Interval, Nodes, Reading, followed

__all__ = ["March", "Stretch"]

_STENCIL = 4  # nodes the interpolant passes through: cubic
_EVALUATIONS = 3  # of the source at the end of an interval, at most


@dataclass(frozen=True)
class Stretch:
    """A part of a march that was accepted.

    Attributes
    ----------
    end : int
    state : ndarray, (k r, k r)
        At the end.
    nodes : tuple of (int, ndarray)
        Steps at which the source is known, the last of them.
    passed : ndarray or float
        Sum of what is read at the stops inside.
    variances : iterator of ndarray, (r,)
        What is observed of S_pp at every step.
    """

    end: int
    state: Array
    nodes: Nodes
    passed: Array | float
    variances: Iterator[Array]


@dataclass
class March:
    """From step 0 to the last of the sorted `stops`, a stretch after another.

    At a corner of the source the march begins anew, with one step that is exact.

    Parameters
    ----------
    kernel : Kernel or Course
    covariance : ndarray, (r, r)
        S(0).
    source : callable
        (t, S) -> kappa G.
    varies : bool
        Whether the source depends on either; if not, one interval reaches the next corner.
    control : Controller
    stops : sequence of int
    read : callable
        (t, state) -> what is summed at the stops.
    """

    kernel: Kernel | Course
    covariance: Array
    source: Callable[[int, Array], Array]
    varies: bool
    control: Controller
    stops: Sequence[int]
    read: Reading
    # where it is
    now: int = field(default=0, init=False)
    state: Array | None = field(default=None, init=False)
    nodes: Nodes = field(default=(), init=False)
    origin: int = field(default=0, init=False)
    corner: int = field(default=0, init=False)
    settled: float = field(default=0.0, init=False)
    width: float = field(default=1.0, init=False)
    worst: float = field(default=0.0, init=False)
    """Error of the worst interval so far, in units of what is allowed."""

    def __iter__(self) -> March:
        return self

    def __next__(self) -> Stretch:
        if self.now == self.stops[-1]:
            raise StopIteration
        stretch = self._begun() if self.now == self.corner else self._accepted()
        self.now, self.state, self.nodes = stretch.end, stretch.state, stretch.nodes
        return stretch

    def _begun(self) -> Stretch:
        """One step from a corner."""
        origin = self.origin = self.now
        self.corner = min([step for step in self.kernel.breaks if step > origin] + [self.stops[-1]])
        source = self.source(origin, self.covariance if self.state is None else self.kernel.fold(self.state))
        if self.state is None:  # an optimiser's first step may be unlike the others
            state = self.kernel.begin(self.covariance, source)
        else:
            state = self.kernel.advance(self.state, [source], np.ones((2, 1)), origin, 1)
        nodes: Nodes = ((origin, source),)
        if self.corner > origin + 1:
            nodes = self._prepared(nodes, state)
        seen = iter([np.diag(self.kernel.fold(state, observed=True))])
        passed = self.read(origin + 1, state) * self.stops.count(origin + 1)
        return Stretch(origin + 1, state, nodes, passed, seen)

    def _prepared(self, nodes: Nodes, state: Array) -> Nodes:
        """What is known of the source after the first step from a corner, and how far to go from there."""
        self.settled = self.kernel.unsettled(self.origin, self.corner, self.control.rtol)
        self.width = 1.0 if self.varies else float(self.corner)
        then = self.origin + 1
        return (*nodes, (then, self.source(then, self.kernel.fold(state)))) if self.varies else nodes

    def _accepted(self) -> Stretch:
        """The first interval that the controller accepts, each shorter than the one before; one step is exact."""
        while True:
            end = min(self.corner, self.now + round(self.width))
            stretch, error = self._tried(end)
            width = 1.0 if self.now < self.settled else self.control.next_width(end - self.now, error)
            if error <= 1 or end == self.now + 1:
                self.width, self.worst = width, max(self.worst, error * (end > self.now + 1))
                return stretch
            self.width = min(width, end - self.now - 1)

    def _tried(self, end: int) -> tuple[Stretch, float]:
        """An interval and its error: extrapolate, evaluate the source at the end, correct, and again while it moves."""
        assert self.state is not None
        guess = Interval(self.kernel, self.now, end, self.state, self.nodes, self.origin)
        if not self.varies:
            return self._stretch(guess, *followed(guess, self._inside(end), self.read)), 0.0
        guess = replace(guess, nodes=self.control.trusted(self.nodes))
        pieces = self.control.pieces(guess)
        predicted, _ = followed(replace(guess, pieces=ceil(pieces / 2)))
        for _ in range(_EVALUATIONS):
            found = self.source(end, self.kernel.fold(predicted))
            interval = replace(guess, nodes=(*self.nodes[1 - _STENCIL :], (end, found)), pieces=pieces)
            arrived, passed = followed(interval, self._inside(end), self.read)
            bent, moved = self.control.errors(interval, predicted, arrived)
            predicted = arrived
            if bent > 1 or not moved > 1:
                break
        return self._stretch(interval, arrived, passed), max(bent, moved)

    def _inside(self, end: int) -> list[int]:
        return [stop for stop in self.stops if self.now < stop <= end]

    def _stretch(self, interval: Interval, arrived: Array, passed: Array | float) -> Stretch:
        return Stretch(interval.end, arrived, interval.nodes[-_STENCIL:], passed, interval.diagonals())

"""Few steps that stand for many: nodes that others are interpolated from, and sums over steps by some of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.polynomial import chebyshev, legendre

from .._arrays import Array, Ints
from .interpolation import lagrange

__all__ = ["TAIL", "Panels", "thinned"]

_NODES = 9  # of a panel
TAIL = 4
"""Coefficients of a panel's polynomial that tell how good it is."""
_LONGEST = 3.0  # of x, of a panel at first
_SOFT = 1 / 30  # of a stretch: how close to its end nodes become dense where rates move
_POINTS = 10  # that a sum over more steps is made of
_LAGS, _TIMES = 1.6, 3.0  # ratios of the lags, and of the times, between which it is
_FIRST = 4  # steps after a corner that stand for themselves


@dataclass(frozen=True)
class Panels:
    """Parts of a run with nodes in each, and polynomials in x through them.

    In the stretch from a corner to the next, x = log(1 + t - begin), less log((end - t)/(end - begin) + 1/30) where the
    rates move: what a falling rate leaves behind is dense towards the end, too.

    Attributes
    ----------
    edges : sequence of int
        Of the panels, from 0 to the last step.
    corners : sequence of int
        Steps at which what is interpolated has a corner, from 0 to the last step.
    moving : bool
        Whether rates move.
    dense : int
        Steps after each corner that are all nodes.
    """

    edges: Sequence[int]
    corners: Sequence[int]
    moving: bool = False
    dense: int = 0

    @classmethod
    def over(cls, corners: Sequence[int], moving: bool = False, dense: int = 0) -> Panels:
        """Return panels of at most the greatest length between the corners."""
        whole, edges = cls(corners, corners, moving, dense), list(corners)
        for begin, end in pairwise(corners):
            first = min(begin + dense, end)
            low, high = whole._place([first, end], begin)
            inner = np.linspace(low, high, ceil((high - low) / _LONGEST) + 1)[1:-1]
            edges += [first, *whole._steps(inner, begin).tolist()]
        return cls(sorted(set(edges)), corners, moving, dense)

    def split(self, which: Mapping[int, int]) -> Panels:
        """Return the same with each of some panels cut in so many."""
        inner = []
        for k, count in which.items():
            low, high = self._place(self.edges[k : k + 2], self.edges[k])
            inner += self._steps(np.linspace(low, high, count + 1)[1:-1], self.edges[k]).tolist()
        return Panels(sorted({*self.edges, *inner}), self.corners, self.moving, self.dense)

    def _stretch(self, step: int) -> tuple[int, int]:
        k = int(np.searchsorted(self.corners[:-1], step, "right"))
        return self.corners[k - 1], self.corners[k]

    def _place(self, steps: Sequence[int] | Ints, within: int) -> Array:
        """X of steps in the stretch of the step `within`."""
        (begin, end), t = self._stretch(within), np.asarray(steps)
        x = np.log1p(t - begin)
        return np.asarray(x - np.log((end - t) / (end - begin) + _SOFT) if self.moving else x)

    def _steps(self, x: Array, within: int) -> Ints:
        """The steps at x, or next to it."""
        begin, end = self._stretch(within)
        if not self.moving:
            return np.rint(np.expm1(x)).astype(np.int64) + begin
        return np.asarray(begin + np.searchsorted(self._place(np.arange(begin, end + 1), within), x - 1e-9))

    @cached_property
    def places(self) -> list[Ints]:
        """Nodes of each panel, both ends among them."""
        return [self._placed(*pair) for pair in pairwise(self.edges)]

    def _placed(self, begin: int, end: int) -> Ints:
        if end - begin < _NODES or end <= self._stretch(begin)[0] + self.dense:
            return np.arange(begin, end + 1)
        low, high = self._place([begin, end], begin)
        found = self._steps(low + (high - low) * 0.5 * (1 - np.cos(np.pi * np.linspace(0, 1, _NODES))), begin)
        return _apart(found, begin, end)

    @cached_property
    def nodes(self) -> Ints:
        """All of them, sorted, (n,)."""
        return np.unique(np.concatenate(self.places))

    def basis(self, steps: Ints) -> Array:
        """What each node contributes to the value at each step, (len(steps), n)."""
        out = np.zeros((len(steps), len(self.nodes)))
        panel = np.clip(np.searchsorted(self.edges, steps, "right") - 1, 0, len(self.places) - 1)
        for k in np.unique(panel):
            rows, places, begin = np.flatnonzero(panel == k), self.places[k], self.edges[k]
            columns = np.searchsorted(self.nodes, places)
            if len(places) == places[-1] - places[0] + 1:
                out[rows, columns[steps[rows] - begin]] = 1.0
                continue
            out[np.ix_(rows, columns)] = lagrange(self._place(places, begin), self._place(steps[rows], begin))
        return out

    def tails(self, values: Array) -> Array:
        """The last coefficients, in Chebyshev's, of each panel's polynomials through `values`, (panels, TAIL, m).

        They are zero where every step is a node.
        """
        out = np.zeros((len(self.places), TAIL, values.shape[1]))
        for k, places in enumerate(self.places):
            if len(places) == _NODES < places[-1] - places[0] + 1:
                x = self._place(places, self.edges[k])
                matrix = chebyshev.chebvander(2 * (x - x[0]) / (x[-1] - x[0]) - 1, _NODES - 1)
                out[k] = np.linalg.solve(matrix, values[np.searchsorted(self.nodes, places)])[-TAIL:]
        return out

    def summed(self, end: int, near: int) -> tuple[Ints, Array]:
        """Steps before `end`, sorted, and weights: sums over all of them of what is smooth but for the `near` last."""
        far = max(0, end - near)
        cuts = sorted({0, far, *(cut for cut in self._cuts(end, near) if cut < far)})
        parts = [thinned(*pair) for pair in pairwise(cuts)]
        parts.append((np.arange(far, end), np.ones(end - far)))
        return np.concatenate([steps for steps, _ in parts]), np.concatenate([weights for _, weights in parts])

    def _cuts(self, end: int, near: int) -> Iterator[int]:
        """Where a sum up to `end` is cut: at edges, and so that neither the lag nor the time changes by much."""
        yield from self.edges
        lag = max(near, 1)
        while lag < end:
            yield end - lag
            lag = ceil(lag * _LAGS)
        for begin, stop in pairwise(self.corners):
            yield begin + 1  # an optimiser's first step may be unlike the others
            yield from range(begin, begin + self.dense, _POINTS)
            length = _FIRST
            while begin + length < stop:
                yield begin + length
                length = ceil(length * _TIMES)


def thinned(begin: int, end: int) -> tuple[Ints, Array]:
    """Steps of begin..end - 1, sorted, and weights that sum polynomials of low degree over all of them."""
    steps, weights = _thinned(end - begin)
    return begin + steps, weights


@lru_cache(maxsize=1024)
def _thinned(count: int) -> tuple[Ints, Array]:
    """The same of 0..count - 1; not to be changed in place."""
    if count <= _POINTS:
        return np.arange(count), np.ones(count)
    half = 0.5 * (count - 1)
    x = -np.cos(np.pi * (np.arange(_POINTS) + 0.5) / _POINTS)
    steps = _apart(np.rint(half * (1 + x)).astype(np.int64), 0, count - 1)
    powers = legendre.legvander(steps / half - 1, _POINTS - 1)
    wanted = legendre.legvander(np.arange(count) / half - 1, _POINTS - 1).sum(axis=0)
    return steps, np.linalg.solve(powers.T, wanted)


def _apart(steps: Ints, begin: int, end: int) -> Ints:
    """Steps that rounding may have made equal, from `begin` to `end`, as different ones."""
    ahead = np.arange(len(steps))
    return np.asarray(np.minimum(np.maximum(steps, begin + ahead), end - ahead[::-1]))

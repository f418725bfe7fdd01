"""A few steps that stand for many: nodes, and the polynomials that carry their values to the steps between."""

from __future__ import annotations

import numpy as np

from .._arrays import Array, Ints

__all__ = ["Grid", "lagrange"]

_STENCIL = 6  # nodes that a value in between is made of


class Grid:
    """Nodes among the steps 0..length - 1, evenly spaced in x = log(1 + t) + t/length, and quintics in x between them.

    The logarithm resolves what decays, the other term what moves over the whole length. With 12 nodes for 112 steps, or
    16 for 1,875, parabolas, and exponentials that last for more than two steps, are met to 1e-3 of their range or
    better; what is gone in one step is met at the nodes, the first steps among them; fast oscillations are not.

    Attributes
    ----------
    nodes : ndarray, (J,)
        All steps where there are no more than `count` of them: then nothing is interpolated.
    basis : ndarray, (length, J)
        What each node contributes to the value at each step.
    """

    def __init__(self, length: int, count: int) -> None:
        steps = np.arange(length)
        x = np.log1p(steps) + steps / max(length, 1)
        found = np.searchsorted(x, np.linspace(0, x[-1], min(count, length)) - 1e-9)
        # rounding repeats some of the first steps: fill up with the next ones
        self.nodes: Ints = np.unique(np.minimum(np.maximum(found, np.arange(len(found))), length - 1))
        self.basis: Array = np.zeros((length, len(self.nodes)))
        width = min(_STENCIL, len(self.nodes))
        ahead = np.searchsorted(self.nodes, steps, "right") - width // 2
        first = np.clip(ahead, 0, len(self.nodes) - width)
        for start in np.unique(first):
            rows, columns = np.flatnonzero(first == start), slice(start, start + width)
            self.basis[rows, columns] = lagrange(x[self.nodes[columns]], x[rows])


def lagrange(places: Array, at: Array) -> Array:
    """Weights of the polynomial through values at `places`, evaluated `at`, (len(at), len(places))."""
    weights = np.ones((len(at), len(places)))
    for k, place in enumerate(places):
        for j, other in enumerate(places):
            if j != k:
                weights[:, k] *= (at - other) / (place - other)
    return weights

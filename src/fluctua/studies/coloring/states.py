"""All colourings of a small graph, and the law exp(-E/T) on them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array, Ints
from ...errors import InvalidInput
from .graph import Graph

__all__ = ["MOST", "Boltzmann", "States", "fits", "refuse_many"]

MOST = 200_000
"""Colourings that are listed, at most."""
_COLDEST = 700.0  # of (E - E_min)/T, beyond which a weight is nothing


def fits(graph: Graph) -> bool:
    """Whether all colourings of a graph can be listed."""
    return bool(graph.vertices * np.log(graph.colors) <= np.log(MOST))


def refuse_many(graph: Graph) -> None:
    """Refuse a graph whose colourings cannot be listed, and say how many vertices fit."""
    if not fits(graph):
        most = int(np.log(MOST) / np.log(graph.colors))
        raise InvalidInput(
            f"theory='exact' lists all colourings, {graph.colors}^{graph.vertices:,} of them, and {MOST:,} are the "
            f"most: with {graph.colors} colours {most} vertices fit. Use theory='tree' for a larger graph."
        )


@dataclass(frozen=True)
class States:
    """All colourings of a graph: colouring i has the digits of i to base q, vertex 0 the last."""

    graph: Graph

    @cached_property
    def colours(self) -> Ints:
        """(q^N, N)."""
        q, count = self.graph.colors, int(self.graph.vertices)
        return np.stack([np.arange(q**count) // q**v % q for v in range(count)], axis=1)

    @cached_property
    def energies(self) -> Ints:
        """E of each, (q^N,)."""
        c = self.colours
        return np.asarray(sum((c[:, i] == c[:, j]).astype(np.int64) for i, j in self.graph.edges))

    def moves(self, vertex: int) -> tuple[Ints, Ints, Ints]:
        """Return where each of the other colours leads, (q^N, q - 1), the conflicts n now, (q^N, 1), and m then."""
        q, now = self.graph.colors, self.colours[:, vertex]
        counts = self.conflicts(vertex)
        proposed = (now[:, None] + np.arange(1, q)) % q
        target = np.arange(len(now))[:, None] + (proposed - now[:, None]) * q**vertex
        each = np.arange(len(now))[:, None]
        return target, counts[each, now[:, None]], counts[each, proposed]

    def conflicts(self, vertex: int) -> Ints:
        """Return how many neighbours of a vertex have each colour, (q^N, q)."""
        starts, others, _ = self.graph.neighbours
        near = self.colours[:, others[starts[vertex] : starts[vertex + 1]]]
        return np.stack([(near == colour).sum(axis=1) for colour in range(self.graph.colors)], axis=1)


@dataclass(frozen=True)
class Boltzmann:
    """The law exp(-E/T) of numbers E."""

    energies: Ints

    def weights(self, inverse: float) -> Array:
        """Return the probabilities at 1/T."""
        exponent = -inverse * (self.energies - (self.energies.min() if inverse >= 0 else self.energies.max()))
        found = np.exp(np.maximum(exponent, -_COLDEST))
        return np.asarray(found / found.sum())

    def mean(self, inverse: float) -> float:
        """Return <E> at 1/T."""
        return float(self.weights(inverse) @ self.energies)

    def variance(self, inverse: float) -> float:
        """Return Var E at 1/T."""
        return float(self.weights(inverse) @ (self.energies - self.mean(inverse)) ** 2)

    def inverse_temperature(self, energy: float) -> float:
        """Return 1/T at which <E> is this energy (T_E of F125)."""
        from scipy.optimize import brentq

        if not self.energies.min() < energy < self.energies.max():
            return float(np.inf if energy <= self.energies.min() else -np.inf)
        low, high = -1.0, 1.0
        while self.mean(high) > energy and high < _COLDEST:
            high *= 2
        while self.mean(low) < energy and low > -_COLDEST:
            low *= 2
        if (self.mean(low) - energy) * (self.mean(high) - energy) > 0:
            return float(np.copysign(np.inf, high + low))
        return float(brentq(lambda u: self.mean(u) - energy, low, high, xtol=1e-15, rtol=1e-15))

"""The exact law of a small graph: all its colourings, and the stationary vector of the chain on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import Array, Ints
from ...errors import InvalidInput
from ...theory.markov import MarkovChain
from .graph import Graph
from .moves import Move, SGDLike
from .proposals import Proposals
from .shared import SharedSweep
from .states import Boltzmann, States

__all__ = ["ExactLaw", "law_of", "relaxation"]


@dataclass(frozen=True)
class ExactLaw:
    """The stationary state of a move on a graph whose colourings are listed (F122); energies at the ends of sweeps.

    `stationary`, (q^N,), `proposals` by their conflicts, and what has the `entropy_production` per proposal.
    """

    states: States
    stationary: Array
    proposals: Proposals
    chain: MarkovChain | None

    @property
    def entropy_production(self) -> float:
        """In nats per proposal (F124); infinite where a batch is kept for a sweep."""
        return float("inf") if self.chain is None else self.chain.entropy_production

    @property
    def reversible(self) -> bool:
        """Whether every current is zero, to rounding."""
        return self.chain is not None and self.chain.reversible

    @cached_property
    def boltzmann(self) -> Boltzmann:
        """The law exp(-E/T) on the same states."""
        return Boltzmann(self.states.energies)

    @cached_property
    def energy(self) -> float:
        """<E>."""
        return float(self.stationary @ self.states.energies)

    @cached_property
    def variance(self) -> float:
        """Var E."""
        return float(self.stationary @ (self.states.energies - self.energy) ** 2)

    @cached_property
    def inverse_temperature(self) -> float:
        """1/T_E."""
        return self.boltzmann.inverse_temperature(self.energy)

    @cached_property
    def fluctuation_ratio(self) -> float:
        """X = Var E over that of exp(-E/T_E)."""
        return self.variance / self.boltzmann.variance(self.inverse_temperature)

    def divergence(self, inverse: float) -> float:
        """Return the Kullback-Leibler divergence of the stationary law from exp(-E/T), in nats."""
        p, b = self.stationary, self.boltzmann.weights(inverse)
        there = p > 0
        return float(np.sum(p[there] * np.log(p[there] / b[there]) - p[there] + b[there])) + float(b[~there].sum())


def law_of(graph: Graph, move: Move) -> ExactLaw:
    """Return the exact law of a move on a graph that fits (F122)."""
    states = States(graph)
    if isinstance(move, SGDLike) and move.shared:
        sweep = SharedSweep(states, move)
        return ExactLaw(states, sweep.stationary, sweep.proposals, None)
    table = move.acceptance(int(graph.degrees.max()))
    chain, made = chain_of(states, move, table), np.zeros_like(table)
    befores = chain.vectors[:-1] if move.sequential else chain.vectors[:1] * int(graph.vertices)
    for vertex, before in enumerate(befores):
        made += _proposed(states, vertex, before, len(table))
    proposals = Proposals.by(made / len(befores), table)
    return ExactLaw(states, chain.stationary, proposals, chain)


def relaxation(states: States, move: Move, sweeps: int) -> Array:
    """Return <E> at the ends of the first sweeps from random colours, (sweeps,)."""
    law, found = np.full(len(states.energies), 1 / len(states.energies)), np.empty(sweeps)
    turn: Callable[[Array], Array]
    if isinstance(move, SGDLike) and move.shared:
        turn = SharedSweep(states, move).swept
    else:
        turn = chain_of(states, move, move.acceptance(int(states.graph.degrees.max()))).turned
    for sweep in range(sweeps):
        for _ in range(1 if move.sequential else int(states.graph.vertices)):
            law = turn(law)
        found[sweep] = law @ states.energies
    return found


def chain_of(states: States, move: Move, table: Array) -> MarkovChain:
    """Return the chain of single visits: their average over the vertices, or one after another."""
    count = int(states.graph.vertices)
    if move.sequential:
        _refuse_lonely(states.graph)
        return MarkovChain.of(*(_visits(states, [vertex], table) for vertex in range(count)))
    return MarkovChain.of(_visits(states, range(count), table))


def _refuse_lonely(graph: Graph) -> None:
    """Refuse several vertices without an edge where they change in step: of two colours, each visit takes the other."""
    lonely = np.flatnonzero(graph.degrees == 0)
    if graph.colors == 2 and len(lonely) > 1:
        first = ", ".join(map(str, lonely[:3].tolist())) + ", .." * (len(lonely) > 3)
        raise InvalidInput(
            f"{len(lonely):,} vertices have no edge ({first}): of two colours, visits in order give all of them the "
            f"other one, and whether two are alike depends on the start for ever. They have no energy: leave them out, "
            f"or use order='random'."
        )


def _visits(states: States, vertices: Any, table: Array) -> Any:
    """The transition matrix of a visit of one of the vertices."""
    from scipy.sparse import coo_array

    size, others = len(states.energies), states.graph.colors - 1
    here = np.arange(size)
    rows, columns, values, stay = [here], [here], [], np.ones(size)
    for vertex in vertices:
        target, n, m = states.moves(vertex)
        chance = table[n, m] / (others * len(vertices))
        rows.append(np.repeat(here, others))
        columns.append(target.ravel())
        values.append(chance.ravel())
        stay -= chance.sum(axis=1)
    entries = np.concatenate([np.maximum(stay, 0), *values])
    return coo_array((entries, (np.concatenate(rows), np.concatenate(columns))), shape=(size, size)).tocsr()


def _proposed(states: States, vertex: int, before: Array, size: int) -> Array:
    """The share of proposals at a vertex by (n, m), (k, k)."""
    _, n, m = states.moves(vertex)
    kinds: Ints = (n * size + m).ravel()
    weights = np.repeat(before / m.shape[1], m.shape[1])
    return np.asarray(np.bincount(kinds, weights, size * size).reshape(size, size), dtype=float)

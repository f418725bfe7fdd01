"""One batch for a sweep: both ends of an edge see the same flag, which is averaged over exactly.

Vertices are visited in order. Beside the colouring the law holds the flags of edges of which one end has been visited
and the other has not: a flag is drawn at the first visit, and summed over after the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from ..._arrays import Array, Ints
from ...errors import InvalidInput
from ...theory.markov import divergence, stationary_of
from .moves import Move, SGDLike
from .proposals import Proposals
from .states import States

__all__ = ["SharedSweep", "affordable", "joint_size"]

_MOST = 2**22  # numbers in the joint law of colours and flags
_WHOLE = 1.5e8  # in those that begin at every colouring, which the entropy production needs
_NOTHING = 1e-14
_CHUNK = 2**22  # of them that are held at once


def affordable(states: States, move: Move) -> str:
    """Return why the exact law of a move with one batch for a sweep is not computed; nothing where it is."""
    if not move.sequential:
        return (
            "one batch for a sweep is averaged over exactly where vertices are visited in order, order='sequential'; "
            "with order='random' every batch would have to be listed. fluctua.simulate runs it"
        )
    if joint_size(states) > _MOST:
        return (
            f"one batch for a sweep leaves up to {_widest(states)} flags open between two visits, too many to average "
            f"over. Give the vertices other numbers, so that neighbours are near, or use fluctua.simulate"
        )
    return ""


def joint_size(states: States) -> float:
    """Return how many numbers the joint law of colours and flags has."""
    return len(states.energies) * 2.0 ** _widest(states)


def _widest(states: States) -> int:
    """Most edges of which one end has been visited and the other has not, or is visited now."""
    low, high = np.sort(states.graph.edges, axis=1).T
    return max(int(((low <= v) & (high >= v)).sum()) for v in range(int(states.graph.vertices)))


@dataclass(frozen=True)
class SharedSweep:
    """The chain of whole sweeps, and its stationary state."""

    states: States
    move: SGDLike

    def __post_init__(self) -> None:
        """Refuse what cannot be averaged over."""
        if reason := affordable(self.states, self.move):
            raise InvalidInput(f"{reason}.")

    @cached_property
    def stationary(self) -> Array:
        """The law at the ends of sweeps, (q^N,)."""
        return stationary_of(self.swept, len(self.states.energies))

    @cached_property
    def proposals(self) -> Proposals:
        """Of a visit in the stationary state."""
        size = int(self.states.graph.degrees.max()) + 1
        tally = np.zeros((2, size * size))
        self.swept(self.stationary, tally=tally)
        made, taken = tally.reshape(2, size, size) / int(self.states.graph.vertices)
        return Proposals(made, taken)

    @cached_property
    def entropy_production(self) -> float:
        """Per proposal: of sweeps seen at their ends, against sweeps in the reversed order (F124); NaN if too many.

        Whoever sees the flags too finds moves that cannot be taken back.
        """
        size, order = len(self.states.energies), range(int(self.states.graph.vertices))
        if size * joint_size(self.states) > _WHOLE:
            return float("nan")
        there = self.stationary[:, None] * self._matrix(order)
        back = self.stationary[:, None] * self._matrix(order[::-1])
        return divergence(there, back.T) / len(order)

    @property
    def reversible(self) -> bool:
        """Whether sweeps seen at their ends produce no entropy, to rounding."""
        return bool(abs(self.entropy_production) <= _NOTHING)

    def swept(self, law: Array, order: Sequence[int] | None = None, tally: Array | None = None) -> Array:
        """Return laws, (..., q^N), after a sweep; `tally` gathers proposals, made and taken, by their conflicts."""
        flags: list[int] = []
        seen: set[int] = set()
        for vertex in range(int(self.states.graph.vertices)) if order is None else order:
            starts, others, edges = self.states.graph.neighbours
            own = range(starts[vertex], starts[vertex + 1])
            for k in own:
                if others[k] not in seen:
                    law = np.stack([law * (1 - self.move.batch), law * self.move.batch], axis=-1)
                    flags.append(int(edges[k]))
            law, flags = self._visited(law, flags, vertex, [int(edges[k]) for k in own], tally)
            closed = [flags.index(int(edges[k])) for k in own if others[k] in seen]
            law = law.sum(axis=tuple(place - len(flags) for place in closed))
            flags = [edge for place, edge in enumerate(flags) if place not in closed]
            seen.add(int(vertex))
        return law

    def _visited(
        self, law: Array, flags: list[int], vertex: int, own: list[int], tally: Array | None
    ) -> tuple[Array, list[int]]:
        """Move a vertex by the flags of its own edges, which are the last afterwards."""
        rest = [edge for edge in flags if edge not in own]
        moved = [flags.index(edge) - len(flags) for edge in own]
        law = np.moveaxis(law, moved, range(-len(own), 0))
        shape = law.shape
        flat = law.reshape(*shape[: law.ndim - len(flags)], 2 ** len(rest), 2 ** len(own))
        return self._moved(flat, vertex, tally).reshape(shape), [*rest, *own]

    def _moved(self, law: Array, vertex: int, tally: Array | None) -> Array:
        """Return laws (..., q^N, rest, own) after a visit of the vertex."""
        target, now, then = self.states.moves(vertex)
        fewer, more = self._in_batch(vertex, target)
        others = target.shape[1]
        out, flows = law.copy(), np.zeros((len(target), others))
        for k in range(others):
            accepted = more[:, k] < fewer if self.move.strict else more[:, k] <= fewer
            flow = law * (accepted / others)[:, None, :]
            out -= flow
            out[..., target[:, k], :, :] += flow
            if tally is not None:
                flows[:, k] = flow.sum(axis=(-2, -1))
        if tally is not None:
            size = int(np.sqrt(tally.shape[1]))
            kinds = (now * size + then).ravel()
            made = np.repeat(law.sum(axis=(-2, -1)) / others, others)
            tally += [np.bincount(kinds, each, size * size) for each in (made, flows.ravel())]
        return out

    def _in_batch(self, vertex: int, target: Ints) -> tuple[Ints, Ints]:
        """Conflicts in the batch now, (q^N, F), and of each other colour, (q^N, q - 1, F), for all F flags."""
        starts, others, _ = self.states.graph.neighbours
        near, colours = others[starts[vertex] : starts[vertex + 1]], self.states.colours
        bits = np.array(list(product((0, 1), repeat=len(near))), np.int64).T
        now = (colours[:, near] == colours[:, [vertex]]).astype(np.int64) @ bits
        then = [(colours[:, near] == colours[target[:, k], vertex][:, None]) @ bits for k in range(target.shape[1])]
        return now, np.stack(then, axis=1)

    def _matrix(self, order: Sequence[int]) -> Array:
        """The transition matrix of a sweep, a few rows at a time."""
        size = len(self.states.energies)
        rows = max(1, int(_CHUNK / joint_size(self.states)))
        whole = np.eye(size)
        return np.concatenate([self.swept(whole[k : k + rows], order) for k in range(0, size, rows)])

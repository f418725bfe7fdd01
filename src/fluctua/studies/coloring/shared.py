"""One batch for a sweep: both ends of an edge see the same flag, which is averaged over exactly.

Vertices are visited in order. Beside the colouring the law holds the flags of edges of which one end has been visited
and the other has not: a flag is drawn at the first visit, and summed over after the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from ..._arrays import Array, Ints
from ...errors import InvalidInput
from ...theory.markov import stationary_of
from .moves import Move, SGDLike
from .proposals import Proposals
from .states import States

__all__ = ["SharedSweep", "affordable", "joint_size"]

_MOST = 2**22  # numbers in the joint law of colours and flags


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
    """The chain of whole sweeps, and its stationary state (F127).

    A move that lowers the energy of a batch cannot be taken back while the batch is kept: colours and batch together
    produce entropy without bound.
    """

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

    def swept(self, law: Array, tally: Array | None = None) -> Array:
        """Return the law, (q^N,), after a sweep; `tally` gathers proposals, made and taken, by their conflicts."""
        flags: list[int] = []
        seen: set[int] = set()
        for vertex in range(int(self.states.graph.vertices)):
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
            seen.add(vertex)
        return law

    def _visited(
        self, law: Array, flags: list[int], vertex: int, own: list[int], tally: Array | None
    ) -> tuple[Array, list[int]]:
        """Move a vertex by the flags of its own edges, which are the last afterwards."""
        rest = [edge for edge in flags if edge not in own]
        moved = [flags.index(edge) - len(flags) for edge in own]
        law = np.moveaxis(law, moved, range(-len(own), 0))
        shape = law.shape
        flat = law.reshape(len(law), 2 ** len(rest), 2 ** len(own))
        return self._moved(flat, vertex, tally).reshape(shape), [*rest, *own]

    def _moved(self, law: Array, vertex: int, tally: Array | None) -> Array:
        """Return the law, (q^N, rest, own), after a visit of the vertex."""
        target, chances, kinds = self._moves[vertex]
        out, flows = law.copy(), np.zeros(target.shape)
        for k in range(target.shape[1]):
            flow = law * chances[:, k, None, :]
            out -= flow
            out[target[:, k]] += flow
            if tally is not None:
                flows[:, k] = flow.sum(axis=(-2, -1))
        if tally is not None:
            made = np.repeat(law.sum(axis=(-2, -1)) / target.shape[1], target.shape[1])
            tally += [np.bincount(kinds, each, tally.shape[1]) for each in (made, flows.ravel())]
        return out

    @cached_property
    def _moves(self) -> list[tuple[Ints, Array, Ints]]:
        """Of each vertex: where other colours lead, (q^N, q - 1); the chance of each for all flags, (..., F); kinds."""
        found, size = [], int(self.states.graph.degrees.max()) + 1
        for vertex in range(int(self.states.graph.vertices)):
            target, now, then = self.states.moves(vertex)
            fewer, more = self._in_batch(vertex, target)
            accepted = more < fewer[:, None] if self.move.strict else more <= fewer[:, None]
            found.append((target, accepted / target.shape[1], (now * size + then).ravel()))
        return found

    def _in_batch(self, vertex: int, target: Ints) -> tuple[Ints, Ints]:
        """Conflicts in the batch now, (q^N, F), and of each other colour, (q^N, q - 1, F), for all F flags."""
        starts, others, _ = self.states.graph.neighbours
        near, colours = others[starts[vertex] : starts[vertex + 1]], self.states.colours
        bits = np.array(list(product((0, 1), repeat=len(near))), np.int64).T
        now = (colours[:, near] == colours[:, [vertex]]).astype(np.int64) @ bits
        q = self.states.graph.colors
        proposed = (colours[:, [vertex]] + np.arange(1, q)) % q
        then = [(colours[:, near] == proposed[:, [k]]).astype(np.int64) @ bits for k in range(target.shape[1])]
        return now, np.stack(then, axis=1)

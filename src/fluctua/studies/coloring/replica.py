"""One replica at a time: what a worker does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import AnyArray, Array, Ints
from ...simulation.kept import Pack
from ...simulation.workers import Clock
from .graph import Graph
from .moves import Move, SGDLike

__all__ = ["Replica", "run_replica"]

_VISITS = 2**21  # between two looks at whether to stop


def run_replica(one: Replica, item: tuple[int, np.random.Generator], clock: Clock) -> Pack:
    """Run one of them."""
    return one.run(item, clock)


@dataclass(frozen=True)
class Replica:
    """What the workers share."""

    graph: Graph
    move: Move
    flags: bool
    unseen: int
    sweeps: int
    times: Ints
    starts: Ints | None

    def run(self, item: tuple[int, np.random.Generator], clock: Clock) -> Pack:
        """Return the means of E and E^2, the curve, proposals made and taken, and the last colouring."""
        number, rng = item
        count, q = int(self.graph.vertices), self.graph.colors
        first = rng.integers(q, size=count) if self.starts is None else self.starts[number]
        colours = first.astype(np.min_scalar_type(2 * q))
        size = int(self.graph.degrees.max()) + 1
        seen: list[AnyArray] = [np.zeros((size, size), np.int64) for _ in range(2)]
        energy = int(self.graph.energy(colours))
        before, energy = self._sweep(colours, rng, energy, self.unseen, [np.zeros_like(each) for each in seen], clock)
        after, energy = self._sweep(colours, rng, energy, self.sweeps, seen, clock)
        curve = np.concatenate([before, after])[self.times - 1]
        return np.array([after.mean(), np.square(after).mean()]), curve, *seen, colours

    def _sweep(
        self, colours: AnyArray, rng: np.random.Generator, energy: int, sweeps: int, seen: list[AnyArray], clock: Clock
    ) -> tuple[Array, int]:
        """Sweep in parts, and return the energies at the ends of sweeps."""
        energies, count = np.empty(sweeps), int(self.graph.vertices)
        part = max(1, _VISITS // count)
        for first in range(0, sweeps, part):
            place = energies[first : first + part]
            self._march(colours, rng, (count, self.graph.colors, self.move.sequential, energy), seen, place)
            energy = int(place[-1])
            clock.done += len(place) - 1
            clock.tick()
        return energies, energy

    def _march(
        self,
        colours: AnyArray,
        rng: np.random.Generator,
        plan: tuple[int, int, bool, int],
        seen: list[AnyArray],
        energies: Array,
    ) -> None:
        from .compiled import march_by_flags, march_by_table  # noqa: PLC0415  (numba is slow to load)

        move, both = self.move, tuple(seen)
        if isinstance(move, SGDLike) and (self.flags or move.shared):
            flags = np.zeros(len(self.graph.edges), np.bool_)
            asked = float(move.batch), move.shared, bool(move.strict), flags
            march_by_flags(colours, rng, plan, self._near, asked, both, energies)
        else:
            march_by_table(colours, rng, plan, self._near, self._table, both, energies)

    @cached_property
    def _near(self) -> tuple[AnyArray, ...]:
        return tuple(each.astype(np.int32) for each in self.graph.neighbours)

    @cached_property
    def _table(self) -> Array:
        return self.move.acceptance(int(self.graph.degrees.max()))

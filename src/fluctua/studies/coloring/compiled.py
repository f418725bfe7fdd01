"""Visits of vertices, compiled: one replica at a time, a sweep of N visits after another."""

from __future__ import annotations

import numpy as np

from ..._arrays import AnyArray, Array, Bools, Ints
from ...simulation.compiled_cache import compiled

__all__ = ["march_by_flags", "march_by_table"]


@compiled
def march_by_table(
    colours: AnyArray,
    rng: np.random.Generator,
    plan: tuple[int, int, bool, int],
    near: tuple[AnyArray, AnyArray, AnyArray],
    table: Array,
    seen: tuple[Ints, Ints],
    energies: Array,
) -> None:
    """Sweep, accept by acc(n, m) of the table, and write the energy after each sweep.

    `plan`: vertices, colours, whether vertices are visited in order, and the energy at the beginning. `seen`: proposals
    made and taken, by conflicts now and then.
    """
    count, q, ordered, energy = plan
    (starts, others, _), (made, taken) = near, seen
    for sweep in range(len(energies)):
        for visit in range(count):
            place = rng.random() * (q - 1) if ordered else rng.random() * count * (q - 1)
            choice = int(place)
            vertex = visit if ordered else choice // (q - 1)
            now = colours[vertex]
            new = (now + 1 + choice % (q - 1)) % q
            n = m = 0
            for k in range(starts[vertex], starts[vertex + 1]):
                other = colours[others[k]]
                n += other == now
                m += other == new
            made[n, m] += 1
            chance = table[n, m]
            if chance >= 1.0 or rng.random() < chance:
                taken[n, m] += 1
                colours[vertex] = new
                energy += m - n
        energies[sweep] = energy


@compiled
def march_by_flags(
    colours: AnyArray,
    rng: np.random.Generator,
    plan: tuple[int, int, bool, int],
    near: tuple[AnyArray, AnyArray, AnyArray],
    asked: tuple[float, bool, bool, Bools],
    seen: tuple[Ints, Ints],
    energies: Array,
) -> None:
    """Sweep with a flag for every edge: drawn at each visit, or, where they are shared, once in a sweep.

    `asked`: the share of the edges in a batch, whether flags are shared for a sweep, whether the energy of the batch
    has to fall, and a place for the flags.
    """
    count, q, ordered, energy = plan
    (starts, others, edges), (made, taken) = near, seen
    batch, shared, strict, flags = asked
    for sweep in range(len(energies)):
        if shared:
            for k in range(len(flags)):
                flags[k] = rng.random() < batch
        for visit in range(count):
            place = rng.random() * (q - 1) if ordered else rng.random() * count * (q - 1)
            choice = int(place)
            vertex = visit if ordered else choice // (q - 1)
            now = colours[vertex]
            new = (now + 1 + choice % (q - 1)) % q
            n = m = change = 0
            for k in range(starts[vertex], starts[vertex + 1]):
                other = colours[others[k]]
                before, after = other == now, other == new
                if before or after:
                    n += before
                    m += after
                    if flags[edges[k]] if shared else rng.random() < batch:
                        change += 1 if after else -1
            made[n, m] += 1
            if change < 0 or (change == 0 and not strict):
                taken[n, m] += 1
                colours[vertex] = new
                energy += m - n
        energies[sweep] = energy

"""Chains in more than one dimension: all runs step together, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..._arrays import Array, Ints
from ..._validate.values import real_array
from ...errors import InvalidInput
from .chain import Langevin, moves

__all__ = ["march_together"]

_FAR = 1e8  # a place beyond it has run away


def march_together(
    chain: Langevin,
    steps: int,
    unseen: int,
    root: np.random.SeedSequence,
    runs: int,
    start: Any,
    progress: Callable[[float], None],
) -> tuple[dict[str, Array], Array]:
    """Return the averages of every coordinate, its square, g, g x and g x^2, and the last places."""
    x = np.tile(_start(start, chain.dimension), (runs, 1))
    rng = np.random.Generator(np.random.PCG64DXSM(root))
    sums, total, there = np.zeros((4, *x.shape)), np.zeros(runs), np.arange(runs)
    for k in range(unseen + steps):
        mean, deviation = moves(chain, x[there])
        if k >= unseen:
            g = deviation**2 / (2 * chain.temperature * chain.lr)
            total[there] += g
            sums[:, there] += np.stack([y * power for y in (1.0, g[:, None]) for power in (x[there], x[there] ** 2)])
        noise = rng.standard_normal(x.shape)
        x[there] = mean + deviation[:, None] * noise[there]
        there = there[(np.abs(x[there]) < _FAR).all(axis=1)]
        if not len(there):
            break
        progress((k + 1) / (unseen + steps))
    x, sums, total = (_of_those(there, each, axis) for each, axis in ((x, 0), (sums, 1), (total, 0)))
    means = {"E g": total / steps}
    for axis in range(chain.dimension):
        place = f"x{axis + 1}"
        names = f"E {place}", f"E {place}^2", f"E g {place}", f"E g {place}^2"
        means |= {name: each[:, axis] / steps for name, each in zip(names, sums, strict=True)}
    return means, x


def _of_those(there: Ints, values: Array, axis: int) -> Array:
    """NaN for the runs that have gone."""
    gone = np.setdiff1d(np.arange(values.shape[axis]), there)
    values = values.copy()
    values[(slice(None),) * axis + (gone,)] = np.nan
    return values


def _start(given: Any, dimension: int) -> Array:
    if given is None:
        return np.zeros(dimension)
    found = np.asarray(real_array("start", given, ndim=1, shape=f"({dimension},)"), dtype=float)
    if len(found) != dimension:
        raise InvalidInput(f"start must have shape ({dimension},), got {found.shape}.")
    return found

"""The thermal noise of a sampler's steps: normal numbers of each replica's own, and their factors.

They come from a stream beside that of the batches, so that neither depends on how many steps are taken at a time, and a
run without thermal noise has the batches that it always had.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._arrays import AnyArray, Array, DType
from ..errors import InvalidInput
from ..recipe.sgd import Recipe

__all__ = ["Heat", "Kicks", "factors_of", "few", "refuse_heat", "root_rows"]

Kicks = tuple[AnyArray, AnyArray] | None
"""Standard normal numbers, (replicas, steps, c, d), and their factors f, (steps, k); None where there is no noise."""

_NUMBERS = 2**18  # held at once


def factors_of(sgd: Recipe, begin: int, steps: int, dtype: DType) -> AnyArray | None:
    """Return f of s' = B s + e g + f xi (F90), (steps, k), from step `begin` on; None where there is no such noise."""
    if not sgd.tempered:
        return None
    return sgd.step.thermal_along(sgd.rates(np.arange(begin, begin + steps)), begin).astype(dtype)


def refuse_heat(sgd: Recipe, reason: str) -> None:
    """Refuse a recipe with thermal noise; `reason` begins the text."""
    if sgd.tempered:
        raise InvalidInput(f"{reason}, and {sgd.OPTIMISER} has thermal noise of its own. Use fluctua.SGD.")


class Heat:
    """The streams of normal numbers of some replicas."""

    def __init__(self, rngs: list[np.random.Generator]) -> None:
        self._rngs = [_beside(rng) for rng in rngs]

    def numbers(self, part: slice, steps: int, shape: tuple[int, ...], dtype: DType) -> AnyArray:
        """Return the numbers of the next steps of the replicas in `part`, (replicas, steps, *shape)."""
        rngs = self._rngs[part]
        out = np.empty((len(rngs), steps, *shape), dtype)
        for rng, each in zip(rngs, out, strict=True):
            rng.standard_normal(dtype=dtype, out=each)
        return out


def _beside(rng: np.random.Generator) -> np.random.Generator:
    """Return a generator that depends on the replica's alone."""
    seed: Any = rng.bit_generator.seed_seq
    child = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, 0))
    return np.random.Generator(type(rng.bit_generator)(child))


def few(steps: int, each: int) -> Iterator[slice]:
    """Cut steps so that so many numbers a step fit into what is held at once."""
    block = max(1, _NUMBERS // max(each, 1))
    return (slice(begin, min(begin + block, steps)) for begin in range(0, steps, block))


def root_rows(curvatures: Array, modes: AnyArray) -> Array:
    """Return r rows whose mean of x x^T is U diag(a) U^T: a full batch of them is a full batch of the samples."""
    a = np.maximum(curvatures, 0.0)
    return np.asarray(np.sqrt(len(a) * a)[:, None] * modes.T)

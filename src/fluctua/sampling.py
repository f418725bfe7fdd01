"""Batch indices: drawn by NumPy in every path, and data to whatever engine uses them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ._validate import positive_int
from .sgd import SGD

__all__ = ["Draws", "draw_batches", "generators", "seed_sequence"]

Indices = NDArray[np.int64]
Rng = np.random.Generator | np.random.SeedSequence | int | None
_BLOCK = 256  # steps whose batches are drawn at once,
_BLOCK_INDICES = 2**20  # if they are no more indices than this


def seed_sequence(rng: Rng) -> np.random.SeedSequence:
    """Return the root of a run's randomness; None draws fresh entropy, which the result records."""
    if isinstance(rng, np.random.SeedSequence):
        return rng
    if isinstance(rng, np.random.Generator):
        return np.random.SeedSequence([int(word) for word in rng.integers(2**32, size=4)])
    if rng is not None:
        positive_int("rng (the seed)", rng, minimum=0, maximum=np.inf)
    return np.random.SeedSequence(rng)


def generators(root: np.random.SeedSequence, replicas: int) -> list[np.random.Generator]:
    """Return one independent generator per replica; a replica's stream depends on its number alone."""
    children = (np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, i)) for i in range(replicas))
    return [np.random.Generator(np.random.PCG64DXSM(child)) for child in children]


class Draws:
    """The randomness of a group of replicas: their generators, and the batches drawn from them.

    Batches are drawn in blocks of a fixed number of steps, so that they do not depend on how many are taken at a time.
    """

    def __init__(self, rngs: list[np.random.Generator], samples: int, sgd: SGD) -> None:
        self.rngs, self.samples, self.sgd = rngs, samples, sgd
        self._block = max(1, min(_BLOCK, _BLOCK_INDICES // sgd.batch_size))
        self._waiting = np.empty((0, len(rngs), sgd.batch_size), np.int64)

    def batches(self, steps: int) -> Iterator[Indices]:
        """Yield the indices of the next batches in runs of steps, (steps, replicas, b)."""
        while steps:
            if not len(self._waiting):
                each = [draw_batches(rng, self.samples, self.sgd, self._block) for rng in self.rngs]
                self._waiting = np.stack(each, axis=1)
            taken, self._waiting = self._waiting[:steps], self._waiting[steps:]
            steps -= len(taken)
            yield taken


def draw_batches(rng: np.random.Generator, samples: int, sgd: SGD, steps: int) -> Indices:
    """Return the sample indices of `steps` independent batches, (steps, b)."""
    if sgd.sampling == "with_replacement":
        return rng.integers(samples, size=(steps, sgd.batch_size))
    if 2 * sgd.batch_size <= samples:
        return _distinct(rng, samples, sgd.batch_size, steps)
    left_out = _distinct(rng, samples, samples - sgd.batch_size, steps)
    kept = np.ones((steps, samples), dtype=bool)
    np.put_along_axis(kept, left_out, False, axis=1)
    return np.nonzero(kept)[1].reshape(steps, sgd.batch_size)


def _distinct(rng: np.random.Generator, samples: int, size: int, rows: int) -> Indices:
    """Rows of `size` distinct indices, every subset equally likely.

    Repeated entries are drawn again until none is left. No index is treated differently from another, so the law of
    the final set is unchanged by relabelling the samples: it is uniform over subsets.
    """
    chosen = rng.integers(samples, size=(rows, size))
    pending = np.arange(rows)
    while pending.size and size:
        batch = np.sort(chosen[pending], axis=1)
        repeated = np.zeros(batch.shape, dtype=bool)
        repeated[:, 1:] = batch[:, 1:] == batch[:, :-1]
        batch[repeated] = rng.integers(samples, size=int(repeated.sum()))
        chosen[pending] = batch
        pending = pending[repeated.any(axis=1)]
    return chosen

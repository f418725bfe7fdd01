"""Batch indices: drawn by NumPy in every path, and data to whatever engine uses them."""

from __future__ import annotations

import math
from ast import literal_eval
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from .._arrays import AnyArray, Ints
from .._validate.sizes import refuse_bytes
from .._validate.values import positive_int
from ..recipe.sampling import Epochs
from ..recipe.sgd import Recipe
from .thermal import Heat, Kicks, few

__all__ = ["Draws", "Parts", "draw_batches", "generators", "kept_seed", "seed_sequence", "thermal_parts"]

Indices = Ints
Parts = Iterator[tuple[slice, Kicks]]
"""The steps of a run, part by part, and the thermal noise of each."""
Rng = np.random.Generator | np.random.SeedSequence | int | None
_LARGEST_SEED = 2.0**256
_BLOCK = 256  # steps whose batches are drawn at once,
_BLOCK_INDICES = 2**20  # if they are no more indices than this
_WHOLE_INDICES = 2**14  # of full batches that are held at once


def seed_sequence(rng: Rng) -> np.random.SeedSequence:
    """Return the root of a run's randomness; None draws fresh entropy, which the result records."""
    if isinstance(rng, np.random.SeedSequence):
        return rng
    if isinstance(rng, np.random.Generator):
        return np.random.SeedSequence([int(word) for word in rng.integers(2**32, size=4)])
    if rng is not None:
        positive_int("rng (the seed)", rng, minimum=0, maximum=_LARGEST_SEED)
    return np.random.SeedSequence(rng)


def kept_seed(entropy: str, spawn_key: Sequence[int]) -> np.random.SeedSequence:
    """Return the seed that a file kept: whole numbers, and nothing that NumPy would take for some."""
    read = literal_eval(entropy)
    words = [*(read if isinstance(read, list | tuple) else [read]), *spawn_key]
    if any(type(word) is not int or word < 0 for word in words):
        raise ValueError(f"its seed {entropy!r}, {spawn_key!r} holds what is no whole number")
    return np.random.SeedSequence(read, spawn_key=tuple(spawn_key))


def generators(root: np.random.SeedSequence, replicas: int) -> list[np.random.Generator]:
    """Return one independent generator per replica; a replica's stream depends on its number alone."""
    children = (np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, i)) for i in range(replicas))
    return [np.random.Generator(np.random.PCG64DXSM(child)) for child in children]


class Draws:
    """The randomness of a group of replicas: their generators, and the batches drawn from them.

    Neither the batches nor what is drawn next depend on how many steps are taken at a time.
    """

    def __init__(self, rngs: list[np.random.Generator], samples: int, sgd: Recipe) -> None:
        self.rngs, self.samples, self.sgd = rngs, samples, sgd
        kind = _Epochs if sgd.epochs else _Whole if sgd.batch_size is None else _Independent
        held = len(rngs) * kind.held(samples, sgd)
        refuse_bytes(f"batches of {sgd.batch_size} for {len(rngs)} replicas", 24.0 * held, "Use a smaller batch_size.")
        self._source = kind(rngs, samples, sgd)

    @cached_property
    def heat(self) -> Heat:
        """The thermal noise of the replicas."""
        return Heat(self.rngs)

    def kicks(self, factors: AnyArray, part: slice, steps: int, shape: tuple[int, ...]) -> Parts:
        """Yield the thermal noise of the next steps of the replicas in `part`, on weights of a shape, in runs of steps.

        `factors` are f, (steps, k).
        """
        for now in few(steps, len(self.rngs[part]) * math.prod(shape)):
            numbers = self.heat.numbers(part, now.stop - now.start, shape, factors.dtype)
            yield now, (numbers, factors[now])

    def batches(self, steps: int) -> Iterator[Indices]:
        """Yield the indices of the next batches in runs of steps, (steps, replicas, b).

        The batches of a run are of one size: the smaller last batch of an epoch is a run of one step.
        """
        while steps:
            run = self._source.take(steps)
            steps -= len(run)
            yield run


def thermal_parts(draws: Draws, factors: AnyArray | None, part: slice, steps: int, shape: tuple[int, ...]) -> Parts:
    """Return `Draws.kicks`; without factors there is no thermal noise, and all steps are one part."""
    return iter([(slice(0, steps), None)]) if factors is None else draws.kicks(factors, part, steps, shape)


class _Whole:
    """Every row in every step: nothing is drawn."""

    def __init__(self, rngs: list[np.random.Generator], samples: int, sgd: Recipe) -> None:
        del sgd
        self._all = np.broadcast_to(np.arange(samples), (max(1, _WHOLE_INDICES // samples), len(rngs), samples))

    def take(self, most: int) -> Indices:
        """Return the batches of the next steps, at most so many."""
        return self._all[:most]

    @staticmethod
    def held(samples: int, sgd: Recipe) -> int:
        """Indices of a replica that are held at once."""
        del sgd
        return max(_WHOLE_INDICES, samples)


class _Independent:
    """Batches drawn anew for every step, in blocks of a fixed number of steps."""

    def __init__(self, rngs: list[np.random.Generator], samples: int, sgd: Recipe) -> None:
        self.rngs, self.samples, self.sgd = rngs, samples, sgd
        self._waiting = np.empty((0, len(rngs), sgd.batch_size), np.int64)

    def take(self, most: int) -> Indices:
        """Return the batches of the next steps, at most so many."""
        if not len(self._waiting):
            each = [draw_batches(rng, self.samples, self.sgd, _block(self.sgd)) for rng in self.rngs]
            self._waiting = np.stack(each, axis=1)
        taken, self._waiting = self._waiting[:most], self._waiting[most:]
        return taken

    @staticmethod
    def held(samples: int, sgd: Recipe) -> int:
        """Indices of a replica that are held at once."""
        del samples
        return _block(sgd) * sgd.batch_size


class _Epochs:
    """The samples in an order of each replica's own, cut into batches.

    An order is drawn when its epoch begins; held is one epoch's, in the narrowest type: 8 MB for 64 replicas on MNIST.
    """

    def __init__(self, rngs: list[np.random.Generator], samples: int, sgd: Recipe) -> None:
        self.rngs, self.sizes, self.most = rngs, sgd.batch_sizes(samples), _block(sgd)
        self.ends = np.cumsum(self.sizes)
        self.orders = np.empty((len(rngs), samples), np.min_scalar_type(samples - 1))
        self.orders[:] = np.arange(samples)
        assert isinstance(sgd.sampler, Epochs)
        self.shuffles = sgd.sampler.shuffles  # still to come
        self.step = 0  # within the epoch

    def take(self, most: int) -> Indices:
        """Return the batches of the next steps, at most so many and all of one size."""
        if self.step == 0 and self.shuffles:
            self._shuffle()
        first, size = self.step, self.sizes[self.step]
        alike = int(np.count_nonzero(self.sizes[first:] == size))
        last = first + min(most, alike, self.most)
        self.step = last % len(self.sizes)
        run = self.orders[:, self.ends[first] - size : self.ends[last - 1]].reshape(len(self.rngs), -1, size)
        return np.ascontiguousarray(run.swapaxes(0, 1), np.int64)

    @staticmethod
    def held(samples: int, sgd: Recipe) -> int:
        """Indices of a replica that are held at once."""
        del sgd
        return samples

    def _shuffle(self) -> None:
        for order, rng in zip(self.orders, self.rngs, strict=True):
            order[:] = rng.permutation(len(order))
        self.shuffles -= 1


def _block(sgd: Recipe) -> int:
    """Steps whose batches are held at once."""
    return max(1, min(_BLOCK, _BLOCK_INDICES // sgd.batch_size))


def draw_batches(rng: np.random.Generator, samples: int, sgd: Recipe, steps: int) -> Indices:
    """Return the sample indices of `steps` independent batches, (steps, b)."""
    sgd.refuse_epochs("draw_batches draws every batch by itself")
    chance, size = sgd.sampler.probabilities(samples), (steps, sgd.batch_size)
    if chance is not None:
        reached = np.cumsum(chance)
        return np.searchsorted(reached / reached[-1], rng.random(size), side="right")
    if not sgd.sampler.distinct:
        return rng.integers(samples, size=size)
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

"""Orders of one shuffled epoch: all of them where they are few, otherwise random ones with their weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

__all__ = ["GROUPS", "Orders", "distinct_epochs", "draw_orders", "list_orders"]

Array = NDArray[np.float64]
GROUPS = 16
"""Parts that random orders are drawn in; their spread is the error bar."""
_UNIFORM = 0.5  # share of the draws of the last batch that knows nothing of the inputs


@dataclass(frozen=True)
class Orders:
    """Orders of the samples in one epoch, and the probability that each stands for.

    Attributes
    ----------
    samples : ndarray, (m, sum of the sizes)
        The samples in their order, batch after batch.
    weights : ndarray, (m,)
        Their sum is 1.
    listed : bool
        Whether these are all orders that differ, so that averages over them are exact.
    """

    samples: NDArray[np.int64]
    weights: Array
    listed: bool

    def groups(self) -> list[Orders]:
        """Return the random orders in `GROUPS` parts that were drawn independently."""
        parts = np.split(np.arange(len(self.weights)), GROUPS)
        return [Orders(self.samples[one], self.weights[one] / self.weights[one].sum(), False) for one in parts]


def distinct_epochs(sizes: NDArray[np.int64], samples: int, most: int) -> int | None:
    """Return the number of ordered partitions of the samples into batches of `sizes`; None if more than `most`."""
    count, left = 1, samples
    for size in sizes.tolist():
        count, left = count * comb(left, size), left - size
        if count > most:
            return None
    return count


def list_orders(sizes: NDArray[np.int64], samples: int) -> Orders:
    """Return all epochs that differ: orders inside a batch do not count."""
    listed = np.array(list(_epochs(sizes.tolist(), tuple(range(samples)))), np.int64)
    return Orders(listed, np.full(len(listed), 1 / len(listed)), True)


def _epochs(sizes: list[int], left: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    if not sizes:
        yield ()
        return
    for batch in combinations(left, sizes[0]):
        rest = tuple(i for i in left if i not in batch)
        for after in _epochs(sizes[1:], rest):
            yield batch + after


def draw_orders(sizes: NDArray[np.int64], leverage: Array, count: int, seed: np.random.SeedSequence) -> Orders:
    """Return `count` random orders, a multiple of 2 `GROUPS`, with the weights that make their averages unbiased.

    Where the last batch is smaller, what an epoch does to a large weight is decided by who is in it, and the rare cases
    decide. So one of its samples, the anchor, is drawn by half uniformly and by half in proportion to `leverage`, evenly
    through each group; with l samples J in the batch, N in all and q the anchor's distribution the order's weight is
    then l / (N sum of q over J). Otherwise each order comes with its reverse.

    Parameters
    ----------
    sizes : ndarray, (n,)
        Batch sizes.
    leverage : ndarray, (N,)
        Not negative; what a sample alone does in the last batch.
    count : int
    seed : SeedSequence
    """
    rngs = [np.random.Generator(np.random.PCG64DXSM(one)) for one in seed.spawn(GROUPS)]
    if sizes[-1] == sizes[0]:
        drawn = [_with_reverses(rng, count // GROUPS, len(leverage), int(sizes.sum())) for rng in rngs]
        return Orders(np.concatenate(drawn), np.full(count, 1 / count), False)
    chance = _UNIFORM / len(leverage) + (1 - _UNIFORM) * leverage / leverage.sum()
    samples = np.concatenate([_anchored(rng, count // GROUPS, chance, int(sizes[-1])) for rng in rngs])
    weights = sizes[-1] / (len(leverage) * chance[samples[:, -sizes[-1] :]].sum(axis=1))
    return Orders(samples, weights / weights.sum(), False)


def _with_reverses(rng: np.random.Generator, count: int, samples: int, used: int) -> NDArray[np.int64]:
    half = rng.permuted(np.tile(np.arange(samples), (count // 2, 1)), axis=1)[:, :used]
    return np.concatenate([half, half[:, ::-1]])


def _anchored(rng: np.random.Generator, count: int, chance: Array, last: int) -> NDArray[np.int64]:
    """Orders whose last batch holds an anchor, drawn systematically from `chance`."""
    places = (rng.permutation(count) + rng.random()) / count
    anchors = np.minimum(np.searchsorted(np.cumsum(chance), places), len(chance) - 1)
    out = rng.permuted(np.tile(np.arange(len(chance)), (count, 1)), axis=1)
    where = np.argmax(out == anchors[:, None], axis=1)  # the anchor changes places with the last
    out[np.arange(count), where] = out[:, -1]
    out[:, -1] = anchors
    return np.asarray(out)

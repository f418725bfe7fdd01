"""Orders of one epoch, which F58 and F59 average over: all where few differ, otherwise random ones, weighted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np

from ..._arrays import Array, Ints
from ...problem.least_squares import LeastSquares
from ...recipe.sgd import Recipe

__all__ = ["Orders", "chosen_orders", "distinct_epochs", "draw_orders", "list_orders", "random_orders"]

_LISTED = 50_000  # epochs that are listed, at most
_FLOPS, _FEWEST, _MOST = 5e9, 128, 2048  # for one learning rate; random orders, at least and at most
_NUMBERS = 2e7  # of samples in all orders that are held
_ENTROPY = 20_407  # of the random orders: always the same, so that results are functions of their arguments
_GROUPS = 16  # of orders, each a sample by itself: their spread is the error of what has no closed form
_COVERED, _STRETCHED = 1.2, 4  # pairs of orders for each sample, where a single one is left over; and flops for that


@dataclass(frozen=True, eq=False)
class Orders:
    """Orders of the samples in one epoch, and the probability that each stands for.

    Random ones come in antithetic pairs, i and i + m/2: in the second the batches of full size are reversed, and what
    is odd under that, in flat modes most of the noise, cancels.

    Attributes
    ----------
    samples : ndarray, (m, sum of the sizes)
        The samples in their order, batch after batch.
    weights : ndarray, (m,)
        Their sum is 1.
    listed : bool
        Whether these are all epochs that differ, so that averages over them are exact.
    strata : ndarray, (m/2,), optional
        The sample left over in each pair, where every sample is, in fixed numbers of pairs.
    """

    samples: Ints
    weights: Array
    listed: bool
    strata: Ints | None = None

    def groups(self) -> list[Orders]:
        """Return 16 samples of orders, pair by pair in turn, that have nothing in common."""
        pairs = np.arange(len(self.weights)).reshape(2, -1)
        chosen = [pairs[:, first::_GROUPS].ravel() for first in range(min(_GROUPS, pairs.shape[1]))]
        return [Orders(self.samples[one], self.weights[one] / self.weights[one].sum(), False) for one in chosen]

    def error(self, values: Array) -> float:
        """Return the standard error of the average of `values`, one for each order."""
        if self.listed:
            return 0.0
        pairs = values.reshape(2, -1).mean(axis=0)
        shares = self.weights.reshape(2, -1).sum(axis=0)
        if self.strata is None:
            deviations = shares * (pairs - shares @ pairs)
            return float(np.sqrt(np.sum(deviations**2) * len(pairs) / (len(pairs) - 1)))
        counts = np.bincount(self.strata)
        means = np.bincount(self.strata, pairs) / counts
        squares = np.bincount(self.strata, (pairs - means[self.strata]) ** 2)
        relative = squares.sum() / np.sum((counts - 1) * means**2)  # stands for the strata of one pair
        variances = np.where(counts > 1, squares / np.maximum(counts - 1, 1), relative * means**2)
        return float(np.sqrt(np.sum(variances / counts))) / len(counts)


def chosen_orders(problem: LeastSquares, sgd: Recipe) -> Orders | None:
    """Return all epochs where few differ, else as many random ones as are affordable; None if that is too few."""
    if problem.samples != problem.population:
        return None
    sizes, size = sgd.batch_sizes(problem.samples), problem.rank * sgd.step.slots
    flops = 4 * problem.samples * problem.rank * size + 40 * size**3  # of an order: its epoch, and the eigenvector
    held = _NUMBERS / problem.samples
    if distinct_epochs(sizes, problem.samples, int(min(_LISTED, _FLOPS / flops, held))) is not None:
        return _listed(tuple(sizes.tolist()), problem.samples)
    count = int(min(_FLOPS / flops, _MOST, held)) // 2 * 2
    covering = 2 * int(np.ceil(_COVERED * problem.samples))
    if sizes[-1] == 1 and count < covering < min(_STRETCHED * _FLOPS / flops, held):
        count = covering
    if count < _FEWEST:
        return None
    return random_orders(problem, sgd, count, np.random.default_rng(_ENTROPY))


def random_orders(problem: LeastSquares, sgd: Recipe, count: int, rng: np.random.Generator) -> Orders:
    """Return `count` random orders of the recipe, an even number; see `draw_orders`."""
    return draw_orders(sgd.batch_sizes(problem.samples), _chance(problem, sgd), count, rng)


def _chance(problem: LeastSquares, sgd: Recipe) -> Array:
    """How often a sample is in the last batch, (N,): evenly, as it amplifies, and as it makes noise, a third each."""
    square = np.einsum("ij,ij->i", problem.projections, problem.projections, dtype=np.float64)
    noise = square * problem.minimum(sgd.weight_decay).squared_residuals
    parts = [each for each in (np.ones_like(square), square**2, noise) if each.any()]
    return np.asarray(np.mean([each / each.sum() for each in parts], axis=0))


def distinct_epochs(sizes: Ints, samples: int, most: int) -> int | None:
    """Return the number of ordered partitions of the samples into batches of `sizes`; None if more than `most`."""
    count, left = 1, samples
    for size in sizes.tolist():
        count, left = count * comb(left, size), left - size
        if count > most:
            return None
    return count


@lru_cache(maxsize=4)
def _listed(sizes: tuple[int, ...], samples: int) -> Orders:
    return list_orders(np.array(sizes, np.int64), samples)


def list_orders(sizes: Ints, samples: int) -> Orders:
    """Return all epochs that differ: orders inside a batch do not count."""
    listed = np.array(list(_epochs(sizes.tolist(), tuple(range(samples)))), np.int64)
    return Orders(listed, np.full(len(listed), 1 / len(listed)), True)


def _epochs(sizes: list[int], left: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    if not sizes:
        yield ()
        return
    for batch in combinations(left, sizes[0]):
        chosen = set(batch)
        rest = tuple(i for i in left if i not in chosen)
        for after in _epochs(sizes[1:], rest):
            yield batch + after


def draw_orders(sizes: Ints, chance: Array, count: int, rng: np.random.Generator) -> Orders:
    """Return `count` random orders, an even number, with the weights that make their averages unbiased.

    Where the last batch is smaller, what an epoch does is decided by who is in it, and by rare cases. A single sample
    is left over in a fixed number of pairs, at least one, the more the larger its `chance`. Otherwise one sample of the
    last batch, the anchor, is drawn from `chance`: with l samples J in the batch, N in all and q the chances, the
    order's weight is l / (N sum of q over J).

    Parameters
    ----------
    sizes : ndarray, (n,)
        Batch sizes.
    chance : ndarray, (N,)
        Positive, of sum 1.
    count : int
        How many, an even number.
    rng : Generator
        What draws them.
    """
    half, samples = count // 2, len(chance)
    drawn = rng.permuted(np.tile(np.arange(samples), (half, 1)), axis=1)
    regular, last = int(sizes[sizes == sizes[0]].sum()), int(sizes[-1])
    if last == sizes[0]:
        return Orders(_with_reverses(drawn[:, :regular], regular), np.full(2 * half, 0.5 / half), False)
    if last == 1 and half >= _COVERED * samples:
        counts = 1 + np.diff(_dealt(chance, half - samples, rng), prepend=0)
        strata = np.repeat(np.arange(samples), counts)
        weights = 0.5 / (samples * counts[strata])
        return Orders(_with_reverses(_ending(drawn, strata), regular), np.tile(weights, 2), False, strata)
    anchors = np.repeat(np.arange(samples), np.diff(_dealt(chance, half, rng), prepend=0))
    drawn = _ending(drawn, anchors)
    weights = 1 / chance[drawn[:, regular:]].sum(axis=1)
    return Orders(_with_reverses(drawn, regular), np.tile(weights, 2) / (2 * weights.sum()), False)


def _dealt(chance: Array, count: int, rng: np.random.Generator) -> Ints:
    """How many of `count` draws the first samples got together, (N,): systematically, each its share to within one."""
    return np.append(np.floor(np.cumsum(chance)[:-1] * count + rng.random()).astype(np.int64), count)


def _with_reverses(drawn: Ints, regular: int) -> Ints:
    """The orders, and again with the first `regular` samples backwards."""
    return np.concatenate([drawn, np.hstack([drawn[:, :regular][:, ::-1], drawn[:, regular:]])])


def _ending(drawn: Ints, anchors: Ints) -> Ints:
    """The orders, in each of which the anchor has changed places with the last."""
    where, each = np.argmax(drawn == anchors[:, None], axis=1), np.arange(len(drawn))
    drawn[each, where] = drawn[:, -1]
    drawn[:, -1] = anchors
    return drawn

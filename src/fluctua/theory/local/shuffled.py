r"""How much of its variance a mode keeps in shuffled epochs: the rest of an epoch takes back what its batches did.

Samples of one epoch are drawn without replacement of N, so that the gradients of two of its batches have the covariance
-C/(N - 1), that of a batch of b_n has the variance C (N/b_n - 1)/(N - 1), and those of other epochs share nothing. With
G_n, what a unit of gradient noise has moved the weight n steps later, the variance j steps into an epoch is

    C/(N - 1) sum over epochs of [ N sum_n G_n^2/b_n - (sum_n G_n)^2 ]

of the steps n in each epoch, over C (N/b - 1)/(N - 1) sum_n G_n^2 of independent batches. A last batch that is smaller
counts by its own size: its samples weigh more, and no other batch takes that back. It is exact for noise that does not
feel the weights.
"""

from __future__ import annotations

import numpy as np

from ..._arrays import Array, Ints
from ...recipe.sgd import Recipe

__all__ = ["kept_share"]

_POSITIONS = 16  # in the middle of as many parts of an epoch: the mean over them is that over the epoch to 1 %


def kept_share(curvatures: Array, sgd: Recipe, population: int, position: int | None = None) -> Array:
    """Return the variance of each mode in epochs of so many samples over that with independent batches, (r,).

    Parameters
    ----------
    curvatures : ndarray, (r,)
        Above 0, weight decay included; at a rate that is stable in each mode.
    sgd : Recipe
        At its lr, held, of shuffled epochs.
    population : int
        Samples, N.
    position : int, optional
        Steps into an epoch, 0 or m at its end; by default the mean over an epoch.
    """
    sizes = sgd.batch_sizes(population)
    batches, least = len(sizes), population / sizes[0] - 1
    if not least:  # a batch is all samples
        return np.zeros_like(curvatures)
    moved, push = sgd.step.transition(sgd.lr, curvatures), sgd.step.at(sgd.lr)[1]
    k = len(push)
    summed = np.linalg.inv(np.eye(k) - moved)
    alone = _balanced(moved, np.broadcast_to(np.outer(push, push), moved.shape))[:, 0, 0]
    epoch, smaller = _power(moved, batches), population / sizes[-1] - population / sizes[0]
    whole = (np.eye(k) - epoch) @ summed
    shares = np.zeros_like(curvatures)
    places = _places(batches, position)
    for place in places.tolist():
        late = _power(moved, place)
        first = ((np.eye(k) - late) @ summed @ push)[:, 0]
        before, since = (_balanced(epoch, _square(each @ push)) for each in (late, _power(moved, place % batches)))
        taken = first**2 + (whole @ before @ whole.swapaxes(1, 2))[:, 0, 0]
        shares += ((least + 1) * alone + smaller * since[:, 0, 0] - taken) / (least * alone)
    return np.clip(shares / len(places), 0.0, None)


_power = np.linalg.matrix_power


def _square(pushes: Array) -> Array:
    return pushes[:, :, None] * pushes[:, None]


def _places(batches: int, position: int | None) -> Ints:
    if position is not None:
        return np.array([position % batches or batches])
    if batches <= _POSITIONS:
        return np.arange(1, batches + 1)
    return np.round((np.arange(_POSITIONS) + 0.5) / _POSITIONS * batches).astype(np.int64)


def _balanced(moved: Array, source: Array) -> Array:
    """X of X = A X A^T + source, (r, k, k)."""
    k = moved.shape[-1]
    pairs = np.einsum("rab,rcd->racbd", moved, moved).reshape(-1, k * k, k * k)
    found = np.linalg.solve(np.eye(k * k) - pairs, source.reshape(-1, k * k, 1))
    return np.asarray(found.reshape(-1, k, k))

r"""How much of its variance a mode keeps in shuffled epochs: the rest of an epoch takes back what its batches did.

The m batches of an epoch add up to the same gradient always, so that two of them correlate by -1/(m - 1), and those of
other epochs do not. With G_n, what a unit of gradient noise has moved the weight n steps later, the variance j steps
into an epoch is

    m/(m - 1) sum over epochs of [ sum_n G_n^2 - (sum_n G_n)^2 / m ]

of the steps n in each epoch, over sum_n G_n^2 of independent batches. It is exact for noise that does not feel the
weights, in epochs of equal batches, many samples long.
"""

from __future__ import annotations

import numpy as np

from ..._arrays import Array, Ints
from ...recipe.sgd import Recipe

__all__ = ["kept_share"]

_POSITIONS = 16  # in the middle of as many parts of an epoch: the mean over them is that over the epoch to 1 %


def kept_share(curvatures: Array, sgd: Recipe, batches: int, position: int | None = None) -> Array:
    """Return the variance of each mode in epochs of so many batches over that with independent ones, (r,).

    Parameters
    ----------
    curvatures : ndarray, (r,)
        Above 0, weight decay included; at a rate that is stable in each mode.
    sgd : Recipe
        At its lr, held.
    batches : int
        Of an epoch, m.
    position : int, optional
        Steps into an epoch, 0 or m at its end; by default the mean over an epoch.
    """
    if batches < 2:
        return np.zeros_like(curvatures)
    moved, push = sgd.step.transition(sgd.lr, curvatures), sgd.step.at(sgd.lr)[1]
    k = len(push)
    summed = np.linalg.inv(np.eye(k) - moved)
    alone = _balanced(moved, np.broadcast_to(np.outer(push, push), moved.shape))[:, 0, 0]
    epoch = np.linalg.matrix_power(moved, batches)
    whole = (np.eye(k) - epoch) @ summed
    shares = np.zeros_like(curvatures)
    places = _places(batches, position)
    for place in places.tolist():
        late = np.linalg.matrix_power(moved, place)
        first = ((np.eye(k) - late) @ summed @ push)[:, 0]
        reached = (late @ push)[:, :, None]
        before = _balanced(epoch, reached @ reached.swapaxes(1, 2))
        taken = first**2 + (whole @ before @ whole.swapaxes(1, 2))[:, 0, 0]
        shares += batches / (batches - 1) * (1 - taken / (batches * alone))
    return np.clip(shares / len(places), 0.0, None)


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

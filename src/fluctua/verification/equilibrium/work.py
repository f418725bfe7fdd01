r"""The work between two windows of a run, and its error bar: what continuing would buy, without one evaluated loss.

Windows A = (t/2, 3t/4] and B = (3t/4, t] have m blocks each. Block j has the mean weights w_j, taken before each step,
and the mean gradient g_j of the batches. The loss that the mean weights lose between A and B is (F80)

    W = 1/2 (w_A - w_B) . (g_A + g_B),

exactly for a quadratic loss. All that follows is linear in the products w_i . g_j, which is all that a look keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._arrays import Array

__all__ = ["BLOCKS", "DOUBLING", "Reading", "degrees", "pairings", "reading", "sketch_error"]

BLOCKS = 8
"""Blocks in a window, m."""
DOUBLING = 2.3
"""Gain of the next doubling of the run, in units of W, at most.

It is 2.04 for a loss that falls as the logarithm of time, 2.28 for one that falls as time to the power of 0.3, and less
than 1 for an exponential. A loss that falls linearly gains 3: such a run has hardly begun.
"""
_SECOND = 6.0  # variance of a second difference of independent numbers, in units of theirs


@dataclass(frozen=True)
class Reading:
    """What a look reads off two windows; numbers, or arrays over runs.

    Attributes
    ----------
    work : float or ndarray
        W (F80), in units of the loss.
    floor : float or ndarray
        F, the unit.
    parts : tuple of float or ndarray
        Standard errors of W from the noise of the blocks, and from folding (F85).
    floor_error : float or ndarray
        Standard error of F.
    degrees : float
        Degrees of freedom of `floor_error`.
    """

    work: Any
    floor: Any
    parts: tuple[Any, Any]
    floor_error: Any
    degrees: float

    @property
    def work_error(self) -> Any:
        """Standard error of W."""
        return np.sqrt(sum(np.square(each) for each in self.parts))

    @property
    def gain(self) -> Any:
        """What the next doubling of the run would lower the loss by, in units of the loss, and at most."""
        return DOUBLING * self.work

    @property
    def gain_error(self) -> Any:
        """Standard error of the gain."""
        return DOUBLING * self.work_error

    def error(self, delta: float) -> tuple[Any, Any]:
        """Return the standard error of the gain less delta F, and its degrees of freedom by Satterthwaite (F85).

        The noise of W is of one kind in both windows, and has the degrees of both.
        """
        own = 2 * degrees(BLOCKS)
        squares = [*(DOUBLING**2 * np.square(each) for each in self.parts), np.square(delta * self.floor_error)]
        total = sum(squares)
        lost = sum(np.square(one) / many for one, many in zip(squares, (own, np.inf, self.degrees), strict=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.sqrt(total), np.where(lost > 0, np.square(total) / lost, own)


def degrees(blocks: int) -> float:
    """Return the degrees of freedom of a variance from the second differences of so many blocks.

    Neighbouring differences are correlated by -2/3, and the next but one by 1/6.
    """
    count = blocks - 2
    return count**2 / (count + 2 * (count - 1) * (2 / 3) ** 2 + 2 * (count - 2) / 6**2)


def pairings(weights: Any, gradients: Any) -> Array:
    """Return the products w_i . g_j of all blocks, (..., 2m, 2m), from both, (..., 2m, P), in float64.

    The mean of the weights over the blocks is taken off first: no difference of weights depends on it.
    """
    weights, gradients = np.asarray(weights, np.float64), np.asarray(gradients, np.float64)
    weights = weights - weights.mean(axis=-2, keepdims=True)
    return np.asarray(weights @ gradients.swapaxes(-1, -2))


def reading(products: Any, floors: Any, *, local: bool = False, sketch: Any = 0.0, samples: Any = None) -> Reading:
    """Return W (F80), F, for Adam the local one (F84), and their error bars (F85).

    Parameters
    ----------
    products : array
        w_i . g_j, (..., 2m, 2m), of blocks in the order of time; weights may be relative to any point.
    floors : array
        Mean over each block of the samples of the floor, (..., 2m); where `local`, of 1/2 w . g, with the weights
        relative to the same point as in `products`.
    local : bool
        Whether the unit is the local one (F84).
    sketch : float or array
        Standard error of W from a sketch of the vectors.
    samples : array, optional
        The same samples of the floor in shorter blocks, (..., n), of which its error is better known; not where
        `local`.
    """
    products, floors = np.asarray(products, np.float64), np.asarray(floors, np.float64)
    first, second = _windows(_influences(products))
    unit = _windows(_local(products, floors))[1] if local else floors
    short = unit if samples is None or local else np.asarray(samples, np.float64)
    parts = np.sqrt(_variance(first) + _variance(second)), sketch
    return Reading(0.5 * _work(products), unit.mean(-1), parts, np.sqrt(_variance(short)), degrees(short.shape[-1]))


def sketch_error(step_square: Any, gradient_square: Any, product: Any, width: float) -> Any:
    """Return the standard error of W from a sketch to `width` numbers: of 1/2 a . b, with |a|^2, |b|^2 and a . b."""
    return 0.5 * np.sqrt((step_square * gradient_square + np.square(product)) / width)


def _windows(values: Any) -> tuple[Any, Any]:
    """Blocks of A and of B, along the last axis."""
    half = values.shape[-1] // 2
    return values[..., :half], values[..., half:]


def _signs(blocks: int) -> Array:
    """Weights of the blocks in w_A - w_B."""
    return np.repeat([1.0, -1.0], blocks // 2) / (blocks // 2)


def _sides(products: Array) -> tuple[Array, Array]:
    """For each block w_j . (g_A + g_B) and (w_A - w_B) . g_j."""
    blocks = products.shape[-1]
    return products.sum(-1) * (2 / blocks), np.einsum("i,...ij->...j", _signs(blocks), products)


def _work(products: Array) -> Array:
    """(w_A - w_B) . (g_A + g_B)."""
    return np.asarray(_sides(products)[1].sum(-1) * (2 / products.shape[-1]))


def _influences(products: Array) -> Array:
    """What each block adds to W, to first order: W moves by a block's change over m (F85)."""
    own, gone = _sides(products)
    signs = np.sign(_signs(products.shape[-1]))
    return np.asarray(0.5 * (signs * own + gone))


def _variance(values: Array) -> Array:
    """Variance of the mean of blocks, from second differences: a trend inside a window is no noise (F85)."""
    curved = np.diff(values, 2, axis=-1)
    return np.asarray(np.square(curved).mean(-1) / (_SECOND * values.shape[-1]))


def _local(products: Array, floors: Array) -> Array:
    """Samples of the local unit (F84): their mean over B is 1/2 (<w . g> - w_B . g_B)."""
    half = products.shape[-1] // 2
    last = products[..., half:, half:]
    whole = last.mean((-1, -2))[..., None]
    crossed = products[..., :, half:].mean(-1) + products[..., half:, :].mean(-2)
    return np.asarray(floors - 0.5 * (crossed - whole))

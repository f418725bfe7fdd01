"""W* of more inputs than can be decomposed: conjugate gradients, and how far its loss is from the least one at most."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..._arrays import AnyArray, Array
from ..._half import Rows
from ..modes import rounding
from ..moments import blocks
from .curvature import Curvature

__all__ = ["Found", "minimised"]

_ENOUGH = 1e-14  # of the loss, that it may be above the least one: C is then good to its root, as modes are
_STEPS, _ROUNDS = 1_000, 6
_SHIFT = 10.0  # roundings added to A, which is then positive to its last digit

Map = Callable[[Array], Array]


class Found(NamedTuple):
    """What was found of W*.

    Attributes
    ----------
    weights : ndarray, (c, d)
    residuals : ndarray, (N, c)
    squares : ndarray, (N,)
        Of the residuals, summed over outputs.
    above : float
        What the loss at `weights` is above the least one at most (F150).
    """

    weights: Array
    residuals: AnyArray
    squares: Array
    above: float


def minimised(
    data: tuple[Rows, AnyArray], curvature: Curvature, modes: tuple[Array, Array], slope: Array | None, decay: float
) -> Found:
    r"""Minimise the loss with weight decay, by its own gradient over all samples.

    The loss lies above the least one by g . H^-1 g/2, g its gradient: exactly known in the leading modes, and elsewhere
    at most |g|^2 over twice the least curvature, that of the weight decay and of what is not rounding (F150).

    Parameters
    ----------
    data : (Rows, ndarray)
        Inputs, (N, d), and targets, (N, c).
    curvature : Curvature
        A.
    modes : (ndarray, ndarray)
        The leading curvatures, (k,), and modes, (d, k).
    slope : ndarray, (c, d), or None
        -<y x^T>, where it is known.
    decay : float
        Gamma.

    Notes
    -----
    Cost: a Cholesky decomposition and a few products where A is a matrix; elsewhere some 10 to 1,000 products of A with
    c vectors, as the flat curvatures spread. Two passes over the samples or three.
    """
    h, u = modes
    rounded = rounding(curvature.size) * float(h[0])
    least = decay + rounded
    weights = np.zeros((data[1].shape[1], curvature.size))
    solve = _solver(curvature, modes, decay, rounded)
    best: Found | None = None
    last = np.inf
    for number in range(_ROUNDS):
        residuals, squares, gradient = _looked_at(data, weights, slope if number == 0 else None)
        gradient += decay * weights
        inside = gradient @ u
        outside = float(np.sum(gradient**2) - np.sum(inside**2))
        above = 0.5 * (float(np.sum(inside**2 / (h + decay))) + max(outside, 0.0) / least)
        if best is None or above < best.above:
            best = Found(weights, residuals, squares, above)
        loss = 0.5 * (float(squares.mean()) + decay * float(np.sum(weights**2)))
        if number and (above <= _ENOUGH * loss or above > 0.5 * last):
            break
        last, weights = above, weights - solve(gradient.T).T
    assert best is not None
    return best


def _looked_at(data: tuple[Rows, AnyArray], weights: Array, slope: Array | None) -> tuple[AnyArray, Array, Array]:
    """Residuals, their squares, and <r x^T>."""
    inputs, targets = data
    residuals, squares = np.empty(targets.shape, inputs.dtype), np.empty(len(targets))
    gradient = np.zeros_like(weights)
    for rows in blocks(*inputs.shape) if slope is None else ():
        x = inputs[rows].astype(np.float64)
        r = x @ weights.T - targets[rows]
        residuals[rows], squares[rows] = r, np.einsum("ij,ij->i", r, r)
        gradient += r.T @ x
    if slope is None:
        return residuals, squares, gradient / len(inputs)
    return -targets, np.square(targets, dtype=np.float64).sum(axis=1), slope.copy()


def _solver(curvature: Curvature, modes: tuple[Array, Array], decay: float, rounded: float) -> Map:
    """A map from g, (d, c), to H^-1 g, nearly."""
    matrix = curvature.matrix
    rough = _deflated(modes, decay) if matrix is None else _factored(matrix, decay + _SHIFT * rounded)

    def solve(gradient: Array) -> Array:
        return _conjugate_gradients(lambda v: curvature.times(v) + decay * v, rough, gradient, rounded)

    return solve


def _factored(matrix: Array, shift: float) -> Map:
    from scipy.linalg import cho_factor, cho_solve

    shifted = matrix.copy()
    shifted.flat[:: len(matrix) + 1] += shift
    factor = cho_factor(shifted, lower=True, overwrite_a=True, check_finite=False)

    def rough(vectors: Array) -> Array:
        return np.asarray(cho_solve(factor, vectors, check_finite=False))

    return rough


def _deflated(modes: tuple[Array, Array], decay: float) -> Map:
    h, u = modes
    flat = 1 / (h[-1] + decay)

    def rough(vectors: Array) -> Array:
        shares = u.T @ vectors
        return np.asarray(flat * vectors + u @ ((1 / (h + decay) - flat)[:, None] * shares))

    return rough


def _conjugate_gradients(times: Map, rough: Map, right: Array, flat: float) -> Array:
    """Solve H x = right for each column, until what is left could raise no loss visibly."""
    found, left = np.zeros_like(right), right.copy()
    ahead = rough(left)
    along, product = ahead.copy(), np.sum(left * ahead, axis=0)
    enough = 1e-8 * float(np.sum(product))  # g . H^-1 g
    for _ in range(_STEPS):
        if float(np.sum(left**2)) / flat <= enough or not product.any():
            break
        image = times(along)
        share = _over(product, np.sum(along * image, axis=0))
        found += share * along
        left -= share * image
        ahead = rough(left)
        before, product = product, np.sum(left * ahead, axis=0)
        along = ahead + _over(product, before) * along
    return found


def _over(above: Array, below: Array) -> Array:
    """Quotient; zero where a column is done."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)

"""W* of more inputs than can be decomposed: conjugate gradients, and how far its loss is from the least one at most."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..._arrays import AnyArray, Array
from ..._half import Rows
from ..modes import rounding
from ..moments import blocks
from .curvature import Curvature
from .solving import Solver

__all__ = ["Found", "minimised"]

_ENOUGH = 1e-14  # of the loss, that it may be above the least one: C is then good to its root, as modes are
_SHARE = 0.25  # of that, which conjugate gradients may leave: their residual is recalled, not seen
_ROUNDS = 6


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
    products : int
        Products of A with c vectors that it took.
    """

    weights: Array
    residuals: AnyArray
    squares: Array
    above: float
    products: int = 0


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
    solve = Solver(curvature, modes, decay, rounded)
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
        last, weights = above, weights - solve(gradient.T, _SHARE * _ENOUGH * loss).T
    assert best is not None
    return best._replace(products=solve.products)


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

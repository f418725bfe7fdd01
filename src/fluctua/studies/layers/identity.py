"""The step identity of the balance, checked on one replica in plain NumPy (F108)."""

from __future__ import annotations

import numpy as np

from ..._arrays import Array
from ...recipe.sgd import SGD
from ...simulation.batches import Draws, Rng, generators, seed_sequence
from .frame import balance_of
from .net import TwoLayer

__all__ = ["identity_error"]


def identity_error(net: TwoLayer, sgd: SGD, steps: int, rng: Rng = None) -> float:
    """Return the largest deviation from Bal' - Bal = lr^2 (G2^T G2 - G1 G1^T) over a run, in units of the largest Bal.

    G is the gradient of the batch, at the weights before the step. The identity holds for any rate, batch and start;
    without momentum, weight decay and residual connections nothing but rounding is left.

    Parameters
    ----------
    net : TwoLayer
        At the start.
    sgd : SGD
        The recipe.
    steps : int
        Of the run.
    rng : numpy.random.Generator, int or None
        Of its batches.
    """
    x, first, second = net.samples.inputs, net.first, net.second
    y = x @ net.problem.minimum().mode_weights.T - net.samples.residuals
    worst, scale = 0.0, net.frame.scale
    for batches in Draws(generators(seed_sequence(rng), 1), len(x), sgd).batches(steps):
        for rows in batches[:, 0]:
            one, two = _gradient(first, second, x[rows], y[rows])
            after = first - sgd.lr * one, second - sgd.lr * two
            moved = balance_of(*after) - balance_of(first, second)
            worst = max(worst, float(np.abs(moved - sgd.lr**2 * balance_of(one, two)).max()))
            first, second = after
    return worst / scale


def _gradient(first: Array, second: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Mean gradient of a batch."""
    hidden = x @ first.T
    error = (hidden @ second.T - y) / len(x)
    return second.T @ error.T @ x, error.T @ hidden

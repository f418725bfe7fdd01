r"""How far SGD's weights of a linear denoiser fluctuate, level by level (F143, F144).

At a level the denoiser of x = a x0 + sigma eps is least squares: inputs x of the variances v, targets x0. Inputs are
Gaussian and drawn afresh, so that the residual does not depend on them, and the source closes: of an output with unit
residual variance

    S = Phi o kappa (v + v^2 S + tau v),   tau = sum_p v_p S_p,

elementwise in the modes. Output k has the residual variance rho_k = s_k sigma^2/v_k, and rho_k S.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from ..._arrays import Array
from ...errors import InvalidInput
from ...kernels.momentum import step_kernel
from ...recipe.sgd import SGD

__all__ = ["LARGEST", "NOISES", "WeightNoise", "WeightTheory", "hold_stable", "noise_after", "stationary_noise"]

WeightTheory = Literal["exact", "discrete", "langevin", "no_noise"]
NOISES: tuple[WeightTheory, ...] = ("exact", "discrete", "langevin", "no_noise")
LARGEST = 1e120
"""Of a variance: its square, and sums of those, are numbers still."""


class WeightNoise(NamedTuple):
    """Moments of the weights about the best ones, W - W*, at each of n levels.

    Attributes
    ----------
    square : ndarray, (n, d, d)
        E of the square of the weight of output k (rows) on input p (columns).
    mean : ndarray, (n, d)
        E of the weight of each mode on itself; 0 in the stationary state, as are all others.
    """

    square: Array
    mean: Array


def stationary_noise(variances: Array, sgd: SGD, theory: WeightTheory) -> Array:
    """Return S of unit residual variance at each level, (n, d), of inputs with `variances` v, (n, d).

    Raises
    ------
    InvalidInput
        Where the weights have no stationary variance.
    """
    kappa = 1 / sgd.batch_size
    if theory == "no_noise":
        return np.zeros_like(variances)
    if theory == "langevin":
        return np.full_like(variances, 0.5 * kappa * sgd.step.effective_lr(sgd.lr))
    phi = _phi(variances, sgd, sgd.lr)
    if theory == "discrete":
        return phi * kappa * variances
    gain = _gain(variances, phi, kappa)
    hold_stable(variances, sgd)
    per_residual = gain / variances
    return np.asarray(per_residual / (1 - gain.sum(axis=1, keepdims=True)))


def _phi(variances: Array, sgd: SGD, lr: float) -> Array:
    kernel = step_kernel(variances.ravel(), sgd.step, lr, diagonal=True)
    return np.asarray(kernel.stationary_variances).reshape(variances.shape)


def _gain(variances: Array, phi: Array, kappa: float) -> Array:
    """Return v S of a unit source: kappa Phi v^2/(1 - kappa Phi v^2)."""
    fed = kappa * phi * variances**2
    return np.asarray(fed / (1 - fed))


def _stable(variances: Array, sgd: SGD, lr: float) -> bool:
    if lr >= sgd.step.later.mean_limit(variances.max()):
        return False
    kappa, phi = 1 / sgd.batch_size, _phi(variances, sgd, lr)
    if (kappa * phi * variances**2 >= 1).any():
        return False
    return bool((_gain(variances, phi, kappa).sum(axis=1) < 1).all())


def hold_stable(variances: Array, sgd: SGD) -> None:
    """Refuse a recipe whose weights grow without bound at a level of `variances`, (n, d).

    Raises
    ------
    InvalidInput
        With the largest lr that would do.
    """
    if not _stable(variances, sgd, sgd.lr):
        _refuse_unstable(variances, sgd)


def _refuse_unstable(variances: Array, sgd: SGD) -> None:
    low, high = 0.0, sgd.lr
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _stable(variances, sgd, middle) else (low, middle)
    raise InvalidInput(
        f"lr = {sgd.lr:g} with batches of {sgd.batch_size} is too large for a denoiser of these data: at some level "
        f"the variance of its weights grows without bound. Use lr < {0.9999 * low:.4g}, or a larger batch."
    )


def noise_after(variances: Array, residuals: Array, sgd: SGD, steps: int, begun: Array | None) -> WeightNoise:
    """Return the moments after a number of steps, from the best weights or from W - W* = diag(`begun`).

    Parameters
    ----------
    variances, residuals : ndarray, (n, d)
        v of the inputs, and rho of the outputs.
    sgd : SGD
        The recipe.
    steps : int
        Of training at each level.
    begun : ndarray, (n, d), or None
        W - W* at the start; None for the best weights, from which all outputs fluctuate alike.

    Raises
    ------
    InvalidInput
        Where the weights grow beyond all numbers.
    """
    levels, features = variances.shape
    outputs = 1 if begun is None else features
    scale = np.ones((levels, 1)) if begun is None else residuals
    slots = sgd.step.slots
    mean = np.zeros((levels, features, slots))
    square = np.zeros((levels, outputs, features, slots, slots))
    if begun is not None:
        mean[..., 0] = begun
        every = np.arange(features)
        square[:, every, every, 0, 0] = begun**2
    with np.errstate(all="ignore"):
        for number in range(steps):
            motion, push = (sgd.step.later if number else sgd.step.first).at(sgd.lr)
            moves = motion + variances[..., None, None] * np.multiply.outer(push, np.eye(slots)[0])
            mean = np.einsum("lpij,lpj->lpi", moves, mean)
            square = _moved(square, moves, push, variances, scale, 1 / sgd.batch_size)
    if not (abs(square) < LARGEST).all():
        _refuse_unstable(variances, sgd)
    shown = square[..., 0, 0]
    return WeightNoise(shown * residuals[..., None] if begun is None else shown, mean[..., 0])


def _moved(square: Array, moves: Array, push: Array, v: Array, scale: Array, kappa: float) -> Array:
    """Second moments of (V, memory) of every weight after one step; the batch's noise enters all of its output's."""
    weight = square[..., 0, 0]
    felt = np.einsum("lp,lop->lo", v, weight) + scale
    source = kappa * (v[:, None] ** 2 * weight + v[:, None] * felt[..., None])
    if len(push) == 1:
        return np.asarray((moves[:, None, :, 0, 0] ** 2 * weight + push[0] ** 2 * source)[..., None, None])
    kept = np.einsum("lpij,lopjk,lpmk->lopim", moves, square, moves, optimize=True)
    return np.asarray(kept + source[..., None, None] * np.multiply.outer(push, push))

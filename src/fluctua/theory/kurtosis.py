"""How far the mean of a batch is from Gaussian: its excess kurtosis, exactly, for independent batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arrays import Array
from ..problem.least_squares import LeastSquares
from ..recipe.sgd import Recipe

__all__ = ["excess_kurtosis", "jackknife", "mean_of_noisy", "smallest_noise"]


def excess_kurtosis(problem: LeastSquares, sgd: Recipe) -> Array:
    r"""Excess kurtosis of the batch gradient at W* (F16), per output and mode, (c, r): 0 if Gaussian, NaN without any.

    With m2, m4 the central moments of the per-sample gradient r_ik z_ip: (m4/m2^2 - 3)/b with replacement. Without,
    the fourth moment of a sum T of b distinct values among N follows by counting which of its four factors coincide:
    with p_j the chance that j given samples are all in the batch,
    E T^4 = S4 (p1 - 7 p2 + 12 p3 - 6 p4) + S2^2 (3 p2 - 6 p3 + 3 p4) and E T^2 = S2 (p1 - p2), S_j = N m_j.

    Notes
    -----
    Cost: four GEMMs, 8 N c r flops.
    """
    sgd.refuse_epochs("the kurtosis is that of a batch drawn independently")
    problem = sgd.seen(problem)
    m2, m4 = _central_moments(problem, sgd.weight_decay)
    full = sgd.sampling_factor(problem.samples) == 0  # a full batch has no noise at all
    m2[(m2 <= smallest_noise(problem)) | full] = np.nan
    if not sgd.sampler.distinct:
        return np.asarray((m4 / m2**2 - 3) / sgd.batch_size)
    n, b = problem.samples, sgd.batch_size
    chance = np.cumprod([max(b - j, 0) / max(n - j, 1) for j in range(4)])
    fourth = n * m4 * (chance @ [1, -7, 12, -6]) + (n * m2) ** 2 * (chance @ [0, 3, -6, 3])
    spread = n * m2 * (chance[0] - chance[1])
    spread[spread <= 0] = np.nan  # a batch of all samples
    return np.asarray(fourth / spread**2 - 3)


def _central_moments(problem: LeastSquares, weight_decay: float) -> tuple[Array, Array]:
    """Second and fourth central moments over draws of rho_i r_ik z_ip, (c, r) each, rho_i the samples' importance."""
    minimum = problem.minimum(weight_decay)
    raw = np.zeros((4, problem.outputs, problem.rank))
    for rows in problem.blocks(problem.rank):
        r, z = minimum.residuals[rows].astype(np.float64), problem.projections[rows].astype(np.float64)
        rho = np.ones(len(r)) if problem.importance is None else problem.importance[rows]
        for power in range(4):
            raw[power] += (rho[:, None] ** power * r ** (power + 1)).T @ z ** (power + 1) / problem.samples
    first, second, third, fourth = raw
    return second - first**2, fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4


def smallest_noise(problem: LeastSquares) -> Array:
    """Return what rounding makes of a variance of the noise that is zero, per mode, (r,)."""
    scale = float(np.mean(np.square(problem.targets, dtype=np.float64)))
    return np.asarray(problem.precision**2 * scale * problem.curvatures)


def mean_of_noisy(values: Array, axes: tuple[int, ...]) -> Array:
    """Return the mean over what is not NaN, as a kurtosis is without noise; NaN where nothing is left."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nansum(values, axis=axes) / np.sum(~np.isnan(values), axis=axes))


def jackknife(second: Array, fourth: Array, over_modes: bool = False) -> tuple[Any, Any]:
    """Return the excess kurtosis averaged over outputs (and modes), and its error.

    From moments per replica, (R, c, r), which are NaN where there is no noise.
    """
    axes = (-2, -1) if over_modes else (-2,)
    replicas = len(second)

    def statistic(m2: Array, m4: Array) -> Array:
        return mean_of_noisy(m4 / m2**2 - 3, axes)

    value = statistic(second.mean(axis=0), fourth.mean(axis=0))
    left_out = statistic((second.sum(axis=0) - second) / (replicas - 1), (fourth.sum(axis=0) - fourth) / (replicas - 1))
    return value, np.sqrt((replicas - 1) * np.var(left_out, axis=0))

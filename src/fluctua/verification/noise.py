"""The gradient noise itself, measured along a training run: mean, covariance, memory, and how far from Gaussian.

If it has mean zero, covariance kappa (C + K[S]) and no memory, then SGD's second moments are those of a Langevin
process with the same drift; its higher moments show where SGD is not that process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .._validate.arguments import door
from .._validate.values import false_alarm_level, positive_int, resolution_share
from ..errors import InvalidInput
from ..problem.least_squares import LeastSquares
from ..recipe.sgd import Recipe
from ..simulation.batches import Draws, Rng, draw_batches, generators, seed_sequence
from ..simulation.identity import NoiseRun, Size
from ..simulation.needs import refuse_noise
from ..simulation.steppers import minibatch_in_modes, slots
from ..theory.answers import predict
from ..theory.kurtosis import excess_kurtosis, jackknife, mean_of_noisy
from .noise_found import GradientNoise
from .noise_sums import LAGS, NoiseSums

__all__ = ["gradient_noise"]

STEEPEST = 10
"""Modes averaged in the picture of kurtosis against batch size."""
_STATEMENTS = 3
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_GROUPS, _DRAWS = 20, 100  # batches drawn at W* for each batch size


def gradient_noise(
    problem: LeastSquares,
    sgd: Recipe,
    *,
    steps: int = 1000,
    replicas: int = 32,
    rng: Rng = None,
    level: float = 0.01,
    resolution: float = 0.05,
    progress: Callable[[float], None] | None = None,
) -> GradientNoise:
    r"""Run SGD from W* and measure the noise of every batch gradient, against theory.

    Theory, for independent batches: mean zero; covariance kappa (C + K[S]) (F4, F5); uncorrelated in time,
    because each batch is drawn anew; excess kurtosis of a batch mean, (m4/m2^2 - 3)/b with replacement (F16).

    Parameters
    ----------
    problem : LeastSquares
        The data.
    sgd : SGD
        The recipe, with independent batches at a constant rate.
    steps, replicas : int
        Length and number of the runs.
    rng : numpy.random.Generator, int or None
        None takes fresh entropy; the result records it either way.
    level : float
        Family-wise false-alarm probability of the three statements together.
    resolution : float
        Relative error of the covariance that the runs must be able to reject to count as sharp.
    progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    GradientNoise
        Variances, correlations and kurtoses of the noise, and the statements' p-values.

    Raises
    ------
    InvalidInput
        Before any run, for arguments out of range, epochs, a schedule, or where there is no noise.
    UnstableSGD
        Before any run, beyond the stability limit.
    NotConverged
        Before any run, if the stationary state was not found to the accuracy stated.

    Notes
    -----
    Cost: as `simulate` in one thread, in float64, plus about 25 c r operations per replica and step, and for
    S c r^2, of which large problems do a share.

    False alarms, measured over 300 to 900 seeds with 8, 32 and 128 replicas of 12 and 60 samples, up to 0.8 of the
    stability limit: each statement in 0.3 % on average for the 1/3 % that level 1 % gives it, all in 0.2 to 1.3 %.
    "covariance" is rarer near the limit, where the spread between replicas has more than the mean's error in it.

    The predicted kurtosis is the one at W*. Along the run the fluctuation of the weights changes it: at 0.02 of the
    limit by 3 % in the median mode (wine and diabetes, b 8), at half of it by 44 to 59 % and in single modes up to 5
    times; at b = 1 on few samples even its sign (docs/validity.md).

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> noise = fl.gradient_noise(problem, fl.SGD(lr=0.05, batch_size=8), steps=200, replicas=16, rng=5, level=1e-6)
    >>> noise.holds("memory")
    True
    """
    door(problem, sgd, progress=progress)
    problem = sgd.seen(problem)
    level, resolution = false_alarm_level(level), resolution_share(resolution)
    _check(problem, sgd, steps, replicas)
    root = seed_sequence(rng)
    run, draws = root.spawn(2)
    sums = NoiseSums(problem, sgd, replicas)
    batches = Draws(generators(run, replicas), problem.samples, sgd)
    state = np.zeros((slots(sgd), replicas, problem.outputs, problem.rank))
    advance = minibatch_in_modes(problem, sgd)
    for step in range(steps):
        before = state.copy()
        advance(state, batches, 1, step)
        sums.add(before, state)
        if progress:
            progress(step / steps)
    sizes = np.array([b for b in _BATCH_SIZES if b < problem.samples])
    steep = np.array([_steep(problem, replace(sgd, batch_size=int(b)), draws) for b in sizes])
    averages: dict[str, Any] = sums.averages()
    return GradientNoise(
        **averages,
        **dict(zip(("steep_kurtoses", "steep_errors", "steep_predicted"), steep.T, strict=True)),
        batch_sizes=sizes,
        p_values=sums.p_values(),
        level=level,
        resolution=resolution,
        detectable=sums.detectable(level / _STATEMENTS),
        identity=NoiseRun(sgd, steps, replicas, str(root.entropy), Size.of(problem, sgd.weight_decay)).to_dict(),
    )


def _check(problem: LeastSquares, sgd: Recipe, steps: int, replicas: int) -> None:
    positive_int("steps", steps, minimum=LAGS + 1)
    positive_int("replicas", replicas, minimum=2)
    refuse_noise(problem, sgd, steps, replicas, LAGS)
    sgd.refuse_epochs("the noise is compared with that of independent batches, which has no memory")
    if sgd.sampling_factor(problem.samples) == 0:
        raise InvalidInput("a full batch without replacement has no gradient noise. Use a smaller batch_size.")
    if sgd.schedule is not None:
        raise InvalidInput("the noise is measured at a constant learning rate; leave the schedule out.")
    problem.minimum(sgd.weight_decay).refuse_interpolation()
    predict(problem, sgd)  # refuses an unstable recipe


def _steep(problem: LeastSquares, sgd: Recipe, draws: np.random.SeedSequence) -> tuple[float, float, float]:
    """Excess kurtosis at W* averaged over the steepest modes: measured, its error, predicted."""
    z, r = problem.projections[:, :STEEPEST], problem.minimum(sgd.weight_decay).residuals
    mean = -sgd.weight_decay * problem.minimum(sgd.weight_decay).mode_weights[:, :STEEPEST]
    predicted = excess_kurtosis(problem, sgd)[:, :STEEPEST]
    if problem.importance is not None:
        r = r * problem.importance[:, None]
    second, fourth = [], []
    for rng in generators(draws, _GROUPS):
        batches = draw_batches(rng, problem.samples, sgd, _DRAWS)
        noise = np.matmul(r[batches].transpose(0, 2, 1), z[batches]).astype(np.float64) / sgd.batch_size - mean
        second.append(np.where(np.isnan(predicted), np.nan, np.mean(noise**2, axis=0)))
        fourth.append(np.mean(noise**4, axis=0))
    value, error = jackknife(np.array(second), np.array(fourth), over_modes=True)
    return float(value), float(error), float(mean_of_noisy(predicted, (0, 1)))

"""The precision of a simulation: float32 where its rounding stays below what the runs themselves do, float64 elsewhere.

A step is lost where it is below half the spacing of the floats about the weight that it moves. About W* weights are as
small as their fluctuation, and no step is. From another start, or at rates that have become small, V may be large
against a step, lr h V in a flat direction; what is lost there adds up, unless the noise of the batches moves the weight
by more than the spacing in every step: rounding is then as often up as down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from .._arrays import Array, DType
from .._validate.values import shown
from ..errors import InvalidInput
from ..kernels.time_varying import refuse_long
from ..problem.least_squares import LeastSquares, magnitude
from ..problem.start import Start
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from .steppers import Dynamics

__all__ = ["asked_dtype", "simulation_dtype"]

_SPACING = float(np.finfo(np.float32).eps)
_CLEAR = 2.0  # spacings that a step has to have, for what is lost up and down to balance
_LOST = 1e-5  # of a weight: what may be lost over a run
_SHIFT = 1e-3  # of a mode's variance: what rounded inputs may add, by the square of the shift of the optimum
_SEEN = 1e-3  # of the inputs in a mode: what rounding them may change
_MILD = 1e8  # a magnitude of which products of four stay in the range of float32, and so do their inverses
_NOTHING = 1e-6  # of the largest weight: what rounding leaves of one that does not move
_LACK = 0.1  # share of the batches
_ROWS = 256  # samples from which the noise of one weight is estimated


def simulation_dtype(
    dtype: DTypeLike | None,
    problem: LeastSquares,
    sgd: Recipe,
    steps: int,
    start: Start | None,
    average: Average | None,
    dynamics: Dynamics,
) -> DType:
    """Return `dtype`, or the precision that a run needs where it is None.

    float64 where float32 would lose steps that matter: from a start other than W*, or under a schedule, wherever more
    than 1e-5 of a weight's way is made in steps of less than 2 spacings of the floats about it (steps of its typical
    batch noise at W*); for an average from a start other than W*; and where float64 inputs, rounded, have another
    optimum, by more than 1e-3 of a mode's variance, or are others in a mode, by 1e-3 of it. And where the inputs or the
    weights are so large or small that their products leave the range of float32.

    Raises
    ------
    InvalidInput
        For another dtype than these two.

    Notes
    -----
    Cost: two passes over the data, 4 N d c flops.
    """
    if dtype is not None:
        return asked_dtype(dtype)
    if _leaves_the_range(problem, sgd, start):
        return np.dtype(np.float64)
    kappa = 0.0 if dynamics == "gd" else sgd.sampling_factor(problem.samples)
    needed = (
        (start is not None and average is not None)  # whose steps become as small as it remembers long
        or _loses_steps(problem, sgd, steps, start, kappa)
        or _loses_decay(problem, sgd, steps, start)
        or _moves_the_optimum(problem, sgd, steps, kappa)
        or _cancels(problem)
    )
    return np.dtype(np.float64 if needed else np.float32)


def _leaves_the_range(problem: LeastSquares, sgd: Recipe, start: Start | None) -> bool:
    """Whether data, or the weights on their way, are so large or small that float32 might not hold a step."""
    minimum = problem.minimum(sgd.weight_decay)
    x, r = magnitude(problem.inputs), magnitude(minimum.residuals)
    x *= 1.0 if problem.importance is None else float(np.sqrt(problem.importance.max()))
    pull = sgd.weight_decay * magnitude(minimum.weights)
    v = 0.0 if start is None else magnitude(start.displacement(problem.modes))
    return not 1 / _MILD <= x <= _MILD or 0 < r < 1 / _MILD**2 or max(r, v, pull) > _MILD


def asked_dtype(dtype: DTypeLike) -> DType:
    """Return the precision asked for; refused is all but float32 and float64."""
    try:
        found = np.dtype(dtype)
    except Exception:  # NumPy's word for what is no dtype depends on what it is
        found = None
    if found not in (np.float32, np.float64):
        raise InvalidInput(f"dtype must be float32 or float64, or None to let the run decide, got {shown(dtype)}.")
    return found


def _loses_steps(problem: LeastSquares, sgd: Recipe, steps: int, start: Start | None, kappa: float) -> bool:
    """Whether some weight makes more than `_LOST` of its way in steps below `_CLEAR` spacings."""
    rates, added = _sorted_rates(sgd, steps)
    way = sgd.step.effective_lr(1.0) * added
    if kappa and not (start is None and sgd.schedule is None):
        if problem.importance is not None:  # the typical noise of a weight is not that of its typical sample
            return True
        size, pull = _displacement(problem, sgd, float(rates[-1]), start, kappa)
        noise = np.sqrt(kappa) * _typical_noise(problem, sgd.weight_decay, _end(problem, sgd, float(way[-1]), start))
        seen = size / (1 - sgd.step.memory)  # in momentum the noise of a rare input fades in ever smaller steps
        return _loses(rates, way, size, pull, seen, noise)
    if start is not None and not kappa:  # no noise makes up for what is lost: every mode's own steps have to be seen
        size = np.abs(start.modes)
        pull = size * problem.minimum(sgd.weight_decay).curvatures
        largest = np.full_like(size, np.abs(start.displacement(problem.modes)).max())
        return _loses(rates, way, size, pull, largest, pull)
    return False


def _sorted_rates(sgd: Recipe, steps: int) -> tuple[Array, Array]:
    """Return the run's rates, the least first, and what the first 0, 1, ... of them add up to.

    A constant rate is there once, for all steps: no array is as long as the run.
    """
    if sgd.schedule is None:
        return np.array([sgd.lr]), np.array([0.0, sgd.lr * steps])
    refuse_long(steps)
    rates = np.sort(sgd.rates(np.arange(steps)))
    return rates, np.cumsum(np.concatenate([[0.0], rates]))


def _loses(rates: Array, way: Array, size: Array, pull: Array, seen: Array, step: Array) -> bool:
    """Whether something of a `size` with a gradient `pull` moves, by `step` x rate beside floats about `seen`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        slow = np.where(size > _NOTHING * size.max(), _CLEAR * _SPACING * seen / step, 0.0)
    return bool(np.any(way[np.searchsorted(rates, slow)] * pull > _LOST * size))


def _displacement(
    problem: LeastSquares, sgd: Recipe, rate: float, start: Start | None, kappa: float
) -> tuple[Array, Array]:
    """Size of every weight's V, and of its full gradient, (c, d): at the start, or of the fluctuation at `rate`."""
    minimum = problem.minimum(sgd.weight_decay)
    h = minimum.curvatures
    if start is None:
        spread = 0.5 * rate * kappa * np.diag(minimum.noise) / h
        size, pull = (np.sqrt(problem.modes**2 @ each)[None] for each in (spread, h**2 * spread))
        return size, pull
    pull = (start.modes * h) @ problem.modes.T + sgd.weight_decay * start.null
    return np.abs(start.displacement(problem.modes)), np.abs(pull)


def _end(problem: LeastSquares, sgd: Recipe, way: float, start: Start | None) -> Array | None:
    """About where the mean of V ends, (c, d), after the rates of its steps have added up to `way`."""
    if start is None:
        return None
    left = start.modes * np.exp(-way * problem.minimum(sgd.weight_decay).curvatures)
    return np.asarray(left @ problem.modes.T + np.exp(-way * sgd.weight_decay) * start.null)


def _typical_noise(problem: LeastSquares, weight_decay: float, v: Array | None) -> Array:
    """Median |(r + V x)_k x_j| over the samples that have a part in weight kj, (c, d): few loud ones do not make it."""
    out = np.zeros((problem.outputs, problem.features))
    some = np.unique(np.linspace(0, problem.samples - 1, _ROWS).astype(int))
    rare = ~problem.inputs[some].any(axis=0)
    for columns, rows in ((~rare, some), (rare, np.flatnonzero(problem.inputs[:, rare].any(axis=1)))):
        error = problem.minimum(weight_decay).residuals[rows].astype(np.float64)
        if v is not None:
            error += problem.inputs[rows] @ v.T
        x = np.abs(problem.inputs[rows][:, columns])
        for k, r in enumerate(np.abs(error).T):
            out[k, columns] = _median_of_present(np.maximum(r[:, None], np.finfo(float).tiny) * x)
    return out


def _median_of_present(values: Array) -> Array:
    """Median of the elements of each column that are not zero, the lower one of two; 0 without any."""
    present = np.count_nonzero(values, axis=0)
    if not len(values):
        return np.zeros(len(present))
    middle = np.minimum(len(values) - present + (present - 1) // 2, len(values) - 1)  # zeros are sorted to the front
    return np.asarray(np.where(present > 0, np.sort(values, axis=0)[middle, np.arange(len(present))], 0.0))


def _loses_decay(problem: LeastSquares, sgd: Recipe, steps: int, start: Start | None) -> bool:
    """Whether weight decay alone moves some weights, in steps that are lost: those whose input many batches lack."""
    if start is None or not sgd.weight_decay:
        return False
    lit = sum(np.count_nonzero(problem.inputs[rows], axis=0) for rows in problem.blocks(problem.features))
    lit = lit / problem.samples
    rates, way = _sorted_rates(sgd, steps)
    lost = sgd.weight_decay * float(way[np.searchsorted(rates * sgd.weight_decay, _CLEAR * _SPACING)])
    return bool(lost > _LOST and np.any((1 - lit) ** sgd.batch_size > _LACK))


def _cancels(problem: LeastSquares) -> bool:
    """Whether the columns of float64 inputs cancel in some mode to less than rounding to float32 leaves of it."""
    if problem.inputs.dtype == np.float32:
        return False
    rounding = _SPACING * np.linalg.norm(problem.spectrum.scale[:, None] * problem.modes, axis=0)
    return bool(np.any(rounding > _SEEN * np.sqrt(problem.curvatures)))


def _moves_the_optimum(problem: LeastSquares, sgd: Recipe, steps: int, kappa: float) -> bool:
    """Whether data rounded to float32 have a gradient at W* that shifts a mode by more than a share of its noise."""
    if problem.inputs.dtype == np.float32 or not kappa:
        return False
    minimum = problem.minimum(sgd.weight_decay)
    if minimum.interpolates:
        return False
    drive = sgd.weight_decay * minimum.weights
    for rows in problem.blocks(problem.features):
        x, r = (each[rows].astype(np.float32).astype(np.float64) for each in (problem.inputs, minimum.residuals))
        drive = drive + r.T @ x / problem.samples
    way = float(_sorted_rates(sgd, steps)[1][-1])
    reach = -np.expm1(-minimum.curvatures * way) / minimum.curvatures
    noise = 0.5 * sgd.lr * kappa * np.diag(minimum.noise) * reach
    return bool(np.any(np.sum((drive @ problem.modes * reach) ** 2, axis=0) > _SHIFT * noise))

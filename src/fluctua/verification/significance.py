"""When is a deviation more than sampling? Family-wise tests over replicas, and what they would have caught.

Replicas are independent, so a contrast (one number per replica) has a Student-t error bar (F17). Three
things are kept from feigning a deviation:

- *Skewness.* Variances are skewed: a low mean comes with a low spread, and t alone rejects a true theory two to three
  times too often. Hall's transformation of t, J. R. Statist. Soc. B 54, 221 (1992), takes out the skewness to second
  order; it is used where it makes a deviation smaller, never where it makes it larger.
- *A spread of the wrong size.* Where a contrast's spread goes with its mean, as that of a variance does, a low mean is
  judged by the spread that the tested theory foresees: the measured relative spread times the predicted mean.
- *Rounding.* No error bar is below that of the arithmetic. A contrast whose spread is rounding is held against a
  theory to that floor, and says nothing of what sampling would have caught.

The family is small and fixed beforehand: the excess loss, and the mean ratio of measured to predicted mode variance in
bands of modes. A band averages many modes, which brings its law near the normal, where t holds; single modes are
reported (z-rms) but do not decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from ..simulation.measurement import Measurement

__all__ = [
    "ROUNDING",
    "Comparison",
    "bands",
    "compare",
    "detectable_error",
    "family_p_value",
    "normal_scores",
    "p_values",
    "shift_caught",
    "unit_scores",
]

POWER = 0.95
"""Probability with which an error as large as the stated sharpness is caught."""
ROUNDING = {"float64": 1e-9, "float32": 1e-5}
_NOTHING = 1e-60  # of what was measured: a prediction below it is one of nothing, and ratios to it keep in range
"""Error bar below which a ratio of order one is rounding, by the precision of the run."""
_STEEPEST_BEND = 1.5  # of skewness times deviation: beyond it the transformation flattens, and is continued as a line
_HALVINGS = 40
_TWO_SIDED_95 = 1.959964  # normal score
_LAST_DIGITS = 100  # smallest numbers of the precision, by which a weight that small is off


@dataclass(frozen=True)
class Comparison:
    """One theory against one measurement.

    Attributes
    ----------
    p_value : float
        Family-wise (Bonferroni over the family of contrasts).
    detectable : float
        Smallest relative error of all variances that this run would reject with probability `POWER`; infinite where
        nothing fluctuates beyond rounding.
    z_excess_loss : float
        Excess loss, measured minus predicted, as a normal score.
    z_rms, inside_95 : float
        Over modes, one by one: root mean square of the normal scores, and the share within 1.96.
    frobenius_error, frobenius_sampling : float
        |S_measured - S_predicted| / |S_measured|, and what sampling alone would give.
    """

    p_value: float
    detectable: float
    z_excess_loss: float
    z_rms: float
    inside_95: float
    frobenius_error: float
    frobenius_sampling: float


def compare(
    measurement: Measurement, excess_loss: float, covariance: Array, level: float, allowance: float | Array = 0.0
) -> Comparison:
    """Test a predicted excess loss and covariance, (r, r) in the modes, against a measurement.

    `allowance` is the relative error that the theory states of itself, of all contrasts or of each, the loss and then
    the `bands`: a contrast off by less is not off.
    """
    with np.errstate(all="ignore"):  # a diverged run, or a law without a stationary state, compares as infinitely far
        return _compare(measurement, excess_loss, covariance, level, allowance)


def _compare(
    measurement: Measurement, excess_loss: float, covariance: Array, level: float, allowance: float | Array
) -> Comparison:
    dtype = measurement.run.dtype
    least = max(float(np.finfo(dtype).smallest_subnormal) ** 2, _NOTHING * _largest(measurement), 1e-300)
    predicted, excess_loss = np.maximum(np.diag(covariance), least), max(excess_loss, least)
    excess, rounding = measurement.replica_excess[:, None], _rounding(dtype, predicted)
    scores = unit_scores(measurement.replica_variances - predicted, rounding * predicted)
    family = _contrasts(measurement.replica_variances, measurement.replica_excess, excess_loss, predicted)
    floor = np.array([rounding.min(), *(rounding[band].mean() for band in bands(len(predicted)))])
    norm = np.linalg.norm(measurement.mode_covariance)
    return Comparison(
        p_value=family_p_value(_beyond(family - 1, allowance), floor, relative=True),
        detectable=detectable_error(family, level, floor, relative=True, allowance=allowance),
        z_excess_loss=float(unit_scores(excess - excess_loss, floor[0] * excess_loss)[0]),
        z_rms=float(np.sqrt(np.mean(scores**2))),
        inside_95=float(np.mean(np.abs(scores) < _TWO_SIDED_95)),
        frobenius_error=float(np.linalg.norm(measurement.mode_covariance - covariance) / norm),
        frobenius_sampling=float(measurement.covariance_error / norm),
    )


def _beyond(deviations: Array, allowance: float | Array) -> Array:
    """Deviations, (R, k), whose means are nearer to zero by what is allowed."""
    if not np.any(allowance):
        return deviations
    mean = np.nan_to_num(deviations.mean(axis=0))
    return np.asarray(deviations - np.clip(mean, -allowance, allowance))


def _largest(measurement: Measurement) -> float:
    """The largest variance or loss that was measured; 0 where a run diverged."""
    found = max(float(measurement.replica_variances.max()), float(measurement.replica_excess.max()))
    return found if np.isfinite(found) else 0.0


def bands(modes: int) -> list[slice]:
    """Bands of modes, steepest first: 1, 2, 4, ... modes wide, the last one taking a short rest along."""
    edges = [0]
    while edges[-1] + 2 ** len(edges) // 2 < modes:
        edges.append(edges[-1] + 2 ** len(edges) // 2)
    if len(edges) > 1 and modes - edges[-1] < (edges[-1] - edges[-2]):
        edges.pop()
    return [slice(a, b) for a, b in zip(edges, [*edges[1:], modes], strict=True)]


def _rounding(dtype: str, predicted: Array) -> Array:
    """Rounding of a measured over a predicted mode variance, (r,); weights near the smallest numbers stop short."""
    stop = _LAST_DIGITS * float(np.finfo(dtype).smallest_subnormal) / np.sqrt(predicted)
    return np.asarray(np.clip(ROUNDING[dtype] + 2 * stop + stop**2, 0.0, 1e300))


def _contrasts(variances: Array, excess: Array, excess_loss: float, predicted: Array) -> Array:
    """Measured over predicted, per replica: excess loss, then the mean over each band, (R, 1 + bands)."""
    ratios = np.where(variances == predicted, 1.0, variances / predicted)
    loss = np.where(excess == excess_loss, 1.0, excess / excess_loss)
    return np.stack([loss, *(ratios[:, band].mean(axis=1) for band in bands(len(predicted)))], axis=1)


def unit_scores(deviations: Array, floor: ArrayLike = 0.0) -> Array:
    """Return normal scores of the columns' means, (R, k) to (k,): Student-t brought to unit scale.

    `floor`, (k,) or one number, is the error bar of rounding in units of the columns.
    """
    with np.errstate(all="ignore"):
        mean, error = deviations.mean(axis=0), deviations.std(axis=0, ddof=1) / np.sqrt(len(deviations))
        statistic = _ratio(mean, np.maximum(error, floor))
    return normal_scores(statistic, len(deviations) - 1)


def normal_scores(statistic: Array, freedom: int) -> Array:
    """Return the normal scores of Student-t statistics."""
    from scipy.special import ndtri, stdtr  # scipy.stats would take a quarter of a second to import

    tail = -ndtri(stdtr(freedom, -np.abs(statistic)))
    return np.asarray(np.sign(statistic) * np.minimum(tail, 37.0))  # 37: where the tail underflows


def family_p_value(deviations: Array, floor: ArrayLike = ROUNDING["float64"], relative: ArrayLike = False) -> float:
    """Return the Bonferroni p-value that the columns of `deviations`, (R, k), all have mean zero."""
    return float(min(1.0, deviations.shape[1] * p_values(deviations, floor, relative).min()))


def p_values(deviations: Array, floor: ArrayLike = ROUNDING["float64"], relative: ArrayLike = False) -> Array:
    """Return the two-sided p-value that each column of `deviations`, (R, k), has mean zero.

    It is cautious, by the noise of the sample's own skewness: of Gaussian columns 0.66 % are below 1 % with 8 replicas,
    0.83 % with 32 (docs/testing.md).

    Parameters
    ----------
    deviations : ndarray, (R, k)
        Measured less predicted, in units of the predicted: numbers of order one.
    floor : float or ndarray, (k,)
        Standard error below which a column is rounding.
    relative : bool or ndarray, (k,)
        Whether a column is a ratio less one whose spread goes with its mean.
    """
    from scipy.special import stdtr

    replicas = len(deviations)
    with np.errstate(all="ignore"):
        mean, spread = deviations.mean(axis=0), deviations.std(axis=0, ddof=1)
        skew = _skewness(deviations, mean, spread)
        foreseen = np.where(np.asarray(relative) & (mean > -1), spread / np.clip(1 + mean, 1e-300, 1), spread)
        statistic = np.sqrt(replicas) * _bent(
            _ratio(mean, np.maximum(foreseen, np.sqrt(replicas) * np.asarray(floor))), skew, replicas
        )
    return np.asarray(2 * stdtr(replicas - 1, -np.where(np.isfinite(statistic), np.abs(statistic), np.inf)))


def _ratio(mean: Array, error: Array) -> Array:
    """Mean over error; 0 where both vanish, infinite where a replica diverged."""
    statistic = np.where((error == 0) & (mean == 0), 0.0, mean / error)
    return np.asarray(np.where(np.isfinite(statistic), statistic, np.inf))


def _skewness(values: Array, mean: Array, spread: Array) -> Array:
    """Sample skewness of the columns, corrected for their number; 0 where there is none."""
    replicas = len(values)
    if replicas < 3:
        return np.zeros_like(mean)
    third = np.mean((values - mean) ** 3, axis=0) * replicas**2 / ((replicas - 1) * (replicas - 2))
    return np.asarray(np.nan_to_num(third / spread**3, nan=0.0, posinf=0.0, neginf=0.0))


def _bent(score: Array, skew: Array, replicas: int) -> Array:
    """Hall's transformation of mean over spread, toward zero only.

    y + g y^2/3 + g^2 y^3/27 + g/(6 R), increasing in y; beyond |g y| = `_STEEPEST_BEND` it goes on with the factor
    that it has reached there, so that what is far off stays so: no |y| shrinks to less than 0.58 of it.
    """
    most = _STEEPEST_BEND / np.maximum(np.abs(score), 1e-300)
    g = np.clip(skew, -most, most)
    bent = score * (1 + g * score / 3 + (g * score) ** 2 / 27) + g / (6 * replicas)
    toward = np.where(np.sign(bent) == np.sign(score), np.minimum(np.abs(bent), np.abs(score)), 0.0)
    return np.asarray(np.where(np.isfinite(score), np.sign(score) * toward, score))


def detectable_error(
    family: Array,
    level: float,
    floor: ArrayLike = ROUNDING["float64"],
    relative: ArrayLike = False,
    allowance: ArrayLike = 0.0,
) -> float:
    """Return the smallest relative error of every variance that the family rejects with probability `POWER`.

    `family` holds, per replica, each contrast's ratio of measured to predicted. A theory wrong by a factor 1 + e
    shifts every mean ratio by e, up or down; the sharpest contrast alone, by the noncentral t, bounds the power from
    below. Contrasts whose spread is rounding are left out, and so are those without a positive mean; infinite if none
    is left. What is allowed of a contrast comes on top.
    """
    replicas = len(family)
    with np.errstate(all="ignore"):
        mean, spread = family.mean(axis=0), family.std(axis=0, ddof=1)
        seen = (spread > np.sqrt(replicas) * np.asarray(floor)) & (mean > 0)
        if not seen.any():
            return float("inf")
        skew = _skewness(family, mean, spread)
        critical, shift = shift_caught(level / family.shape[1], replicas - 1)
        luck, bar = (shift - critical) / np.sqrt(replicas), critical / np.sqrt(replicas)
        up, down = ((luck + _unbent(sign * bar, skew, replicas)) * spread / mean for sign in (1, -1))
        down = np.where(np.asarray(relative), np.where(down < 1, down / (1 - down), np.inf), down)
        errors = np.where(seen, np.maximum(up, down) + np.asarray(allowance), np.inf)
    return float(np.min(errors))


def _unbent(score: float, skew: Array, replicas: int) -> Array:
    """How large mean over spread has to be, with the sign of `score`, for `_bent` to be as large as it."""
    low, high = np.zeros_like(skew), np.full_like(skew, 2 * abs(score) + 1)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        below = np.abs(_bent(np.sign(score) * middle, skew, replicas)) < abs(score)
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(high)


@lru_cache
def shift_caught(level: float, freedom: int) -> tuple[float, float]:
    """Return the t at which a two-sided test at `level` rejects, and how many errors off it does so with `POWER`.

    By the noncentral t on one side: the normal distribution averaged over the law of the spread, at its quantiles.
    """
    from scipy.optimize import brentq
    from scipy.special import chdtri, ndtr, stdtrit

    critical = -float(stdtrit(freedom, level / 2))
    nodes, weights = np.polynomial.legendre.leggauss(256)
    spreads = np.sqrt(chdtri(freedom, 0.5 * (1 - nodes)) / freedom)

    def power(shift: float) -> float:
        return float(0.5 * weights @ ndtr(shift - critical * spreads))

    return critical, float(brentq(lambda shift: power(shift) - POWER, 0.0, critical * spreads.max() + 10.0))

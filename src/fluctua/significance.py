"""When is a deviation more than sampling? Family-wise tests over replicas, and what they would have caught.

Replicas are independent, so a contrast (one number per replica) has a Student-t error bar and nothing else is
assumed (theory.md section 8). The family is small and fixed beforehand: the excess loss, and the mean ratio of measured
to predicted mode variance in bands of modes. A band averages many modes, which brings its law near the
normal, where t holds; single modes are reported (z-rms) but do not decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .measurement import Measurement

__all__ = ["Comparison", "bands", "compare", "detectable_error", "family_p_value", "normal_scores", "unit_scores"]

Array = NDArray[np.float64]
POWER = 0.95
"""Probability with which an error as large as the stated sharpness is caught."""


@dataclass(frozen=True)
class Comparison:
    """One theory against one measurement.

    Attributes
    ----------
    p_value : float
        Family-wise (Bonferroni over the family of contrasts).
    detectable : float
        Smallest relative error of all variances that this run would reject with probability `POWER`.
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


def compare(measurement: Measurement, excess_loss: float, covariance: Array, level: float) -> Comparison:
    """Test a predicted excess loss and covariance, (r, r) in the modes, against a measurement."""
    with np.errstate(all="ignore"):  # a diverged run, or a law without a stationary state, compares as infinitely far
        return _compare(measurement, excess_loss, covariance, level)


def _compare(measurement: Measurement, excess_loss: float, covariance: Array, level: float) -> Comparison:
    predicted = np.diag(covariance)
    scores = unit_scores(measurement.replica_variances - predicted)
    family = _contrasts(measurement, excess_loss, predicted)
    norm = float(np.linalg.norm(measurement.mode_covariance))
    return Comparison(
        p_value=family_p_value(family - 1),
        detectable=detectable_error(family, level),
        z_excess_loss=float(unit_scores(measurement.replica_excess[:, None] - excess_loss)[0]),
        z_rms=float(np.sqrt(np.mean(scores**2))),
        inside_95=float(np.mean(np.abs(scores) < 1.959964)),
        frobenius_error=float(np.linalg.norm(measurement.mode_covariance - covariance)) / norm,
        frobenius_sampling=measurement.covariance_error / norm,
    )


def bands(modes: int) -> list[slice]:
    """Bands of modes, steepest first: 1, 2, 4, ... modes wide, the last one taking a short rest along."""
    edges = [0]
    while edges[-1] + 2 ** len(edges) // 2 < modes:
        edges.append(edges[-1] + 2 ** len(edges) // 2)
    if len(edges) > 1 and modes - edges[-1] < (edges[-1] - edges[-2]):
        edges.pop()
    return [slice(a, b) for a, b in zip(edges, [*edges[1:], modes], strict=True)]


def unit_scores(deviations: Array) -> Array:
    """Return normal scores of the columns' means, (R, k) to (k,): Student-t brought to unit scale."""
    return normal_scores(*_student(deviations))


def normal_scores(statistic: Array, freedom: int) -> Array:
    """Return the normal scores of Student-t statistics."""
    from scipy.stats import norm, t

    tail = norm.isf(t.sf(np.abs(statistic), freedom))
    return np.asarray(np.sign(statistic) * np.minimum(tail, 37.0))  # 37: where the tail underflows


def detectable_error(family: Array, level: float) -> float:
    """Return the smallest relative error of every variance that the family rejects with probability `POWER`.

    `family` holds, per replica, each contrast's ratio of measured to predicted. A theory wrong by a factor 1 + e
    shifts every mean ratio by e; the sharpest contrast alone, by the noncentral t, bounds the power from below.
    """
    from scipy.stats import t

    freedom = len(family) - 1
    shift = _needed_shift(float(t.isf(level / (2 * family.shape[1]), freedom)), freedom)
    relative = family.std(axis=0, ddof=1) / np.sqrt(len(family)) / family.mean(axis=0)
    return float(shift * relative.min())


def _needed_shift(critical: float, freedom: int) -> float:
    """Return the noncentrality at which Student's t is above `critical` with probability `POWER`.

    (Z + shift)/s > critical, s^2 chi-squared over its freedom: a sum over Z, which few replicas and small levels, where
    series for the noncentral t fail, leave smooth.
    """
    from scipy.optimize import brentq
    from scipy.special import chdtr, chdtri, ndtr

    if not np.isfinite(critical):
        return float("inf")
    edges = np.linspace(-9.0, 9.0, 4097)
    places, weights = 0.5 * (edges[1:] + edges[:-1]), np.diff(ndtr(edges))

    def lacking(shift: float) -> float:
        ratio = np.maximum(places + shift, 0.0) / critical
        return float(weights @ chdtr(freedom, freedom * ratio**2)) - POWER

    most = critical * np.sqrt(chdtri(freedom, 0.1 * (1 - POWER)) / freedom) + 9.0
    return float(brentq(lacking, 0.0, most))


def _contrasts(measurement: Measurement, excess_loss: float, predicted: Array) -> Array:
    """Measured over predicted, per replica: excess loss, then the mean over each band, (R, 1 + bands)."""
    ratios = measurement.replica_variances / predicted
    columns = [
        measurement.replica_excess / excess_loss,
        *(ratios[:, band].mean(axis=1) for band in bands(len(predicted))),
    ]
    return np.stack(columns, axis=1)


def family_p_value(deviations: Array) -> float:
    """Return the Bonferroni p-value that the columns of `deviations`, (R, k), all have mean zero."""
    from scipy.stats import t

    statistic, freedom = _student(deviations)
    return float(min(1.0, deviations.shape[1] * 2 * t.sf(np.abs(statistic), freedom).min()))


def _student(deviations: Array) -> tuple[Any, int]:
    """The t statistic of each column; 0 for identical replicas that agree, infinite where a replica diverged."""
    replicas = len(deviations)
    with np.errstate(all="ignore"):
        mean, error = deviations.mean(axis=0), deviations.std(axis=0, ddof=1) / np.sqrt(replicas)
        statistic = np.where((error == 0) & (mean == 0), 0.0, mean / error)
    return np.where(np.isfinite(statistic), statistic, np.inf), replicas - 1

"""Finite time in the local picture: its quadratic followed from W*, or from a start that is near it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array, Ints
from ..._validate.starts import start_weights
from ...errors import InvalidInput, UnstableRates
from ...kernels.constant import Kernel
from ...kernels.time_varying import Course, course, refuse_long
from ...problem.softmax.descent import Place
from ...problem.softmax.optimum import HeadMinimum
from ..reshuffling.course_run import CourseRun
from ..reshuffling.followed import FollowedRun
from ..reshuffling.transient import EPOCHS_RTOL, Epochs
from ..transient import Relaxation, SourceOf
from .balance import Balance
from .head_shuffle import twin_epochs
from .ladder import FEEDING, LocalRung

__all__ = [
    "LocalStart",
    "followed",
    "left_outside",
    "mean_of",
    "motion",
    "read_start",
    "refuse_incomplete",
    "warn_unstable_rates",
]

_ROUNDING = 1e-12
_FAR = 0.3  # relative distance of the quadratic's loss at the start from the true one, from which it is no picture


@dataclass(frozen=True, eq=False)
class LocalStart:
    """V(0) = W(0) - W*, without spread.

    Attributes
    ----------
    modes : ndarray, (r,)
    null : float
        Square of the rest, which weight decay alone moves.
    """

    modes: Array
    null: float

    @property
    def at_optimum(self) -> bool:
        """Whether it is W* in all that the data can move, to rounding."""
        return bool(np.abs(self.modes).max(initial=0.0) < _ROUNDING * (1 + np.sqrt(self.null)))


def read_start(minimum: HeadMinimum, start: ArrayLike | str) -> LocalStart | None:
    """Return a start: "optimum" (None), "zero", or weights, (c, d).

    Raises
    ------
    InvalidInput
        For other shapes, and so far from W* that the quadratic's loss there is off by more than 30 %.
    """
    weights = start_weights(start, minimum.weights.shape)
    if weights is None:
        return None
    problem = minimum.problem
    theta = problem.reduced(weights)
    vector = minimum.picture.into(theta - minimum.place.theta)
    outside = float(np.sum((weights - problem.expanded(theta)) ** 2))
    _refuse_far(minimum, theta, vector)
    return LocalStart(vector, outside)


def _refuse_far(minimum: HeadMinimum, theta: Array, vector: Array) -> None:
    quadratic = float(0.5 * minimum.picture.curvatures @ vector**2)
    true = Place(minimum.place.head, theta).loss - minimum.loss
    if abs(quadratic - true) > _FAR * abs(true) + 1e-9 * abs(minimum.loss):
        raise InvalidInput(
            f"start is too far from W* for a local picture: its loss is {true:.4g} above that of W*, and the quadratic "
            f"says {quadratic:.4g}, off by more than {_FAR:.0%}. Start nearer to W* (start='optimum'), or simulate "
            f"the approach."
        )


def motion(balance: Balance, rung: LocalRung, curvatures: Array, steps: int) -> Kernel | Course:
    """What the first `steps` steps do to a pair of modes."""
    schedule = balance.sgd.schedule
    if schedule is None and (rung == "langevin" or balance.sgd.step.begins_alike):
        return balance.kernel(curvatures, rung)
    if schedule is None:
        return course(curvatures, balance.sgd, None, steps)
    if rung == "langevin":
        raise InvalidInput("schedules are of steps: use theory='multiplicative' or 'discrete', not continuous time.")
    schedule.refuse_beyond(steps)
    return course(curvatures, balance.sgd, None, steps)


def refuse_incomplete(balance: Balance) -> None:
    """Refuse finite time where modes are left out: how fast noise fills them is not known."""
    if not balance.picture.complete:
        size = balance.minimum.place.theta.size
        raise InvalidInput(
            f"this head has {size:,} modes, of which the {balance.picture.rank} steepest are known, and how fast the "
            f"noise fills the others is not: there is no law at finite time. Use the stationary numbers, a "
            f"simulation, or fewer inputs, such as their leading components."
        )


def followed(
    balance: Balance, rung: LocalRung, start: LocalStart | None, last: int, rtol: float
) -> Relaxation | FollowedRun:
    """Return the run of the quadratic over `last` steps (F78)."""
    picture, source = balance.picture, balance.source
    mean = None if start is None else start.modes[None]
    if balance.sgd.epochs and source.kappa > 0:
        return _in_epochs(balance, rung, mean, last, rtol)
    covariance = np.zeros((picture.rank,) * 2) if mean is None else mean.T @ mean

    def felt(s: Array, drifted: Array | None) -> Array:
        found = source.noise + source.feedback(s) if s.any() else source.noise
        return found if drifted is None else found + source.kappa * picture.crossed(drifted[0])

    feeds = rung in FEEDING and source.kappa > 0
    source_of: SourceOf | Array = felt if feeds else source.noise
    kernel = motion(balance, rung, picture.curvatures, last)
    tolerance = max(rtol, 10 * picture.precision)
    return Relaxation(kernel, source_of, source.noise, covariance, mean, tolerance, picture.curvatures)


def _in_epochs(balance: Balance, rung: LocalRung, mean: Array | None, last: int, rtol: float) -> FollowedRun:
    feels, shuffle = rung in FEEDING, balance.epochs
    if shuffle is None or not feels or mean is not None:
        shuffle = twin_epochs(balance.picture, balance.sgd, feels=feels, near=mean is None)
    if balance.sgd.schedule is None:
        return Epochs(shuffle, mean, max(rtol, EPOCHS_RTOL))
    way = motion(balance, rung, balance.picture.curvatures, last)
    assert isinstance(way, Course)
    return CourseRun(shuffle, way, mean, max(rtol, EPOCHS_RTOL))


def mean_of(run: Relaxation | FollowedRun, start: LocalStart | None, steps: Sequence[int]) -> Array:
    """E V averaged over `steps`, (r,): what is left of the start, and where shuffled epochs displace it."""
    if isinstance(run, FollowedRun):
        return np.asarray(run.means(steps)[0])
    drifted = run.kernel.drift(np.array(steps)).mean(axis=0)
    return np.zeros_like(drifted) if start is None else np.asarray(start.modes * drifted)


def left_outside(balance: Balance, rung: LocalRung, start: LocalStart | None, steps: Ints) -> Array:
    """Loss at `steps` of the part of the start that the data cannot move, (n,)."""
    gamma = balance.sgd.weight_decay
    if start is None or not start.null * gamma:
        return np.zeros(len(steps))
    way = motion(balance, rung, np.array([gamma]), int(steps.max()))
    return np.asarray(0.5 * gamma * start.null * way.drift(steps)[..., 0] ** 2)


def warn_unstable_rates(balance: Balance, steps: int) -> None:
    """Warn with `UnstableRates` where a schedule's rate is above the limit of the quadratic."""
    schedule = balance.sgd.schedule
    if schedule is None or steps == 0:
        return
    schedule.refuse_beyond(steps)
    refuse_long(steps)
    rates = balance.sgd.rates(np.arange(steps))
    above = np.flatnonzero(rates > balance.limit) if rates.any() else np.empty(0, np.int64)
    if above.size:
        first = int(above[0])
        found = UnstableRates(first, int(above[-1]), above.size, float(rates[first]), balance.limit)
        warnings.warn(found, stacklevel=3)

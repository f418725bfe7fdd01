"""The stationary state of a law: solved, refused where there is none, and doubted where it is uncertain."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial

import numpy as np

from .._arrays import Array
from ..errors import NotConverged, UncertainFloor, UnstableSGD
from .fixed_points import NoStationaryState
from .law import Law
from .moments import Moments
from .quiet import may_grow_unseen
from .reshuffling.contraction import steps_contract
from .reshuffling.measured import MeasuredEpochs
from .reshuffling.measured_average import MeasuredAverage
from .reshuffling.stationary import Cycle
from .stability import max_stable_lr, mean_stable_lr
from .subsampled import error_between_groups
from .triangle import positive

__all__ = ["at_rest"]

_DOUBTFUL, _NEAR_LIMIT = 0.1, 0.9  # relative error of a floor, and share of the limit, from which a warning says so


def at_rest(law: Law, *, check: bool = False) -> Moments:
    """Return the stationary S and E V; with a schedule at `lr`, held.

    Raises
    ------
    UnstableSGD
        If there is none, and `check`; otherwise S is infinite there.
    NotConverged
        If it was not found to the accuracy stated.
    """
    try:
        return _independent(law) if law.cycle is None else _shuffled(law, law.cycle)
    except (NoStationaryState, NotConverged) as missing:
        if isinstance(missing, NotConverged) and law.sgd.lr < _limit(law):
            raise
        if check:
            raise _refusal(law) from missing
        return Moments(np.full((law.problem.rank,) * 2, np.inf))


def _limit(law: Law) -> float:
    """The largest stable learning rate on this rung of the ladder."""
    return (max_stable_lr if law.feeds_back else mean_stable_lr)(law.problem, law.sgd)


def _refusal(law: Law) -> UnstableSGD:
    """What to raise where no stationary state was found: the limit decides whether there is none."""
    limit = _limit(law)
    why = law.sgd.step.later.instability(law.sgd.lr, law.minimum.curvatures)
    return UnstableSGD(law.sgd.lr, limit, larger_batch=law.source.kappa > 0, epochs=law.shuffle is not None, why=why)


def _shuffled(law: Law, cycle: Cycle) -> Moments:
    """Stationary S and E V of shuffled epochs, measured where the expansion is seen to be off."""
    if law.measured is not None:
        found = Moments(*law.settled_in_epochs(None))
        _doubt(law)
        return replace(found, error=partial(_sampled, law, found.covariance))
    if law.epochs is not None:
        _doubt(law)
    if not law.kernel.contracts:
        raise NoStationaryState
    if law.feeds_back and law.minimum.interpolates and _grows(law):
        raise NoStationaryState  # where there is no noise nothing else would tell
    found = Moments(*law.settled_in_epochs(None))
    if law.feeds_back and not cycle.contracts and not law.affordable:
        _check_limit(law)
    return found


def _sampled(law: Law, covariance: Array) -> float | None:
    """The standard error of the stationary excess loss, where epochs are listed or measured."""
    found = law.resting
    if not isinstance(found, MeasuredEpochs | MeasuredAverage) or not np.isfinite(covariance).all():
        return None
    return found.error * 0.5 * float(law.minimum.curvatures @ np.diag(covariance))


def _grows(law: Law) -> bool:
    """Whether shuffled epochs are beyond their limit, which takes long to find and is asked for last."""
    return not steps_contract(law.problem, law.sgd) and law.sgd.lr >= max_stable_lr(law.problem, law.sgd)


def _doubt(law: Law) -> None:
    """Warn where random epochs tell the floor no better than to some ten per cent."""
    assert law.epochs is not None
    if law.epochs.error > _DOUBTFUL:
        how = "measured with" if law.measured else "an expansion, checked with"
        _warn(UncertainFloor(law.sgd.lr, f"{how} random epochs to {law.epochs.error:.0%}"), 7)


def _check_limit(law: Law) -> None:
    """Far beyond the limit the balance may have a solution that is not one, and close below it the expansion is off."""
    limit = max_stable_lr(law.problem, law.sgd)
    if law.sgd.lr >= limit:
        raise NoStationaryState
    if law.overshoots or law.sgd.lr > _NEAR_LIMIT * limit:
        _warn(UncertainFloor(law.sgd.lr, "an expansion, and the data are too large for measuring epochs instead"))


def _warn(message: UserWarning, depth: int = 6) -> None:
    warnings.warn(message, stacklevel=depth)


def _independent(law: Law) -> Moments:
    """Stationary S, or the average's, where batches are independent."""
    if not law.kernel.contracts:
        raise NoStationaryState
    if may_grow_unseen(law):
        _refuse_beyond_limit(law)
    covariance = law.settled
    if law.kernel.components > 1 and not _positive(covariance):
        _refuse_beyond_limit(law)
    return Moments(law.shown(covariance), error=partial(_of_some_samples, law))


def _of_some_samples(law: Law) -> float | None:
    """The standard error of the stationary excess loss, where K is averaged over some of the samples."""
    if law.problem.feedback_samples is None or not law.feeds_back:
        return None
    h = law.minimum.curvatures
    return error_between_groups(
        law.problem,
        law.sgd.weight_decay,
        lambda one: float(0.5 * h @ np.diag(at_rest(replace(law, problem=one)).covariance)),
    )


def _refuse_beyond_limit(law: Law) -> None:
    """Raise `NoStationaryState` where the balance cannot tell: the learning rate is at the limit or beyond.

    Without noise at W* its solution is S = 0 at any learning rate, and rounding may make a small variance negative.
    """
    if law.feeds_back and law.sgd.lr >= max_stable_lr(law.problem, law.sgd):
        raise NoStationaryState


def _positive(covariance: Array) -> bool:
    """Whether no direction has a negative variance: beyond the limit the balance has a solution, but not such a one.

    The map Phi o K keeps positive matrices positive, so its leading left eigenvector Y is one, and with a leading
    eigenvalue above 1 the solution has tr(Y S) < 0.
    """
    return positive(covariance, 1e-9)

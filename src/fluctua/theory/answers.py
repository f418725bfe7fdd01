"""Predictions: the ladder of theories, stationary and at finite time, and the learning curve."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from .._validate.arguments import door
from .._validate.values import choice, positive_int, real_number
from ..errors import NotConverged, UncertainFloor, UnstableSGD
from ..problem.least_squares import LeastSquares
from ..problem.start import Start
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from . import fixed_points as stationary
from .ladder import RUNGS, Rung
from .law import Law
from .prediction import Prediction
from .quiet import may_grow_unseen
from .readings import outside, refuse_curve
from .reshuffling.contraction import steps_contract
from .reshuffling.followed import overflown
from .reshuffling.stationary import Cycle
from .stability import max_stable_lr, mean_stable_lr, warn_unstable

__all__ = ["Prediction", "learning_curve", "predict", "refuse_beyond_limit"]

_DOUBTFUL, _NEAR_LIMIT = 0.1, 0.9  # relative error of a floor, and share of the limit, from which a warning says so


def predict(
    problem: LeastSquares,
    sgd: Recipe,
    *,
    theory: Rung = "exact",
    average: Average | None = None,
    check_stability: bool = True,
) -> Prediction:
    r"""Predict the stationary fluctuation of SGD around the optimum; `.after(steps)` gives it at finite time.

    Solves F1, H S + S H - eta H S H = eta kappa (C + K[S]), or a rung below it (F7):

    ===========  ============================================================================
    exact        F1: any learning rate, any batch size, any data; independent batches
    discrete     K dropped: the noise does not feel the fluctuation
    langevin     and continuous time, H S + S H = eta kappa C, the source paper's form
    hessian      and C replaced by 2 L(W*) A
    equilibrium  S = c T H^-1, one temperature chosen to match the exact excess loss
    ===========  ============================================================================

    With sampling="shuffle" the state is averaged over the positions of an epoch (docs/shuffle.md); `.at` gives one.
    There "exact" lists all epochs where at most 50,000 differ, and is an expansion in r/N, modes over samples,
    elsewhere: 0.2 % off on digits, see docs/shuffle.md. Where it may be far off, because a small last batch overshoots
    or near the stability limit, random epochs are measured too, and taken where they differ significantly. Schedules,
    averages and dampening are covered as elsewhere (F62 to F64); each epoch is then followed by itself. S, about W*,
    includes the square of a mean of O(eta), and the rungs in continuous time do not exist.

    Parameters
    ----------
    problem : LeastSquares
        The data.
    sgd : SGD
        The recipe.
    theory : str
        Rung of the ladder, from the table.
    average : EMA or RunningAverage, optional
        Predict this average of the weights along the run instead of the weights: V is then the average less W*.
    check_stability : bool
        If False, a recipe beyond the stability limit gives infinite stationary values instead of an exception;
        `.after` stays exact. With a schedule that is so too: the stationary values are those at `lr`, held.

    Returns
    -------
    Prediction
        The stationary state; `.after(steps)` gives finite times.

    Raises
    ------
    InvalidInput
        For arguments out of range, for batches larger than the data, and for what the law of shuffled epochs does not
        cover.
    UnstableSGD
        If no stationary state exists (F12), or the expansion of shuffled epochs fails close to the
        limit and they are too large to measure; the text says which.
    NotConverged
        If the stationary state was not found to the accuracy stated.

    Warns
    -----
    UncertainFloor
        In shuffled epochs, where the floor may be off by more than 10 % and nothing affordable tells.

    Notes
    -----
    Cost: 4 N r^2 flops per application of K, 3 to 10 of them; the lower rungs need none but C. Shuffled epochs: some
    200 of them for each of 3 to 10 rounds; beyond a million numbers in the projected inputs most are over some samples.

    References
    ----------
    Han, Park, Lee and Han, Phys. Rev. E 104, 034126 (2021), arXiv:2106.02220: the theorem for small eta.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> prediction = fl.predict(problem, fl.SGD(lr=0.05, batch_size=8))
    >>> print(f"{prediction.excess_loss:.7f}")
    0.0093549
    >>> print(f"{prediction.after(100).excess_loss:.4f}")
    0.0088
    >>> shuffled = fl.predict(problem, fl.SGD(lr=0.05, batch_size=8, sampling="shuffle"))
    >>> print(f"{shuffled.excess_loss:.4f}; after the smaller last batch, of 5, {shuffled.at(0).excess_loss:.4f}")
    0.0083; after the smaller last batch, of 5, 0.0114
    """
    door(problem, sgd, average=average, check_stability=check_stability)
    choice("theory", theory, RUNGS)
    law = Law(problem, sgd, theory, average)
    mean: Array | None = None
    try:
        covariance, mean = _independent(law) if law.cycle is None else _shuffled(law, law.cycle)
    except (stationary.NoStationaryState, NotConverged) as missing:
        if isinstance(missing, NotConverged) and sgd.lr < _limit(law):
            raise
        if check_stability and sgd.schedule is None:
            raise _refusal(law) from missing
        covariance = np.full((problem.rank,) * 2, np.inf)
    prediction = Prediction(law, covariance, mode_mean=mean)
    return prediction if theory != "equilibrium" else prediction.equilibrated()


def learning_curve(
    problem: LeastSquares,
    sgd: Recipe,
    steps: int,
    *,
    start: ArrayLike | str = "zero",
    theory: Rung = "exact",
    average: Average | None = None,
    rtol: float = 1e-4,
) -> Array:
    """Return E L(W_t) - L(W*) at every step t = 0..steps, (steps + 1,): exact, no fitting (F9).

    Parameters
    ----------
    problem : LeastSquares
        The data.
    sgd : SGD
        The recipe. It need not be stable: the curve of a diverging run is as exact as any other.
    steps : int
        The last step.
    start : "zero", "optimum" or array_like, (c, d)
        W(0), without spread.
    theory : str
        Rung of the ladder, as in `predict`.
    average : EMA or RunningAverage, optional
        The loss of this average of the weights, instead of the weights'.
    rtol : float
        Relative accuracy asked of every mode's variance; from 1e-4 on, the default, the loss is held to 1e-6 or finer.

    Returns
    -------
    ndarray, (steps + 1,)
        Excess losses from t = 0 on, in units of the squared targets.

    Raises
    ------
    InvalidInput
        For arguments out of range, and if so many steps do not fit into memory.
    NotConverged
        If the limit that a schedule's rates are compared with was not found to the accuracy stated.

    Warns
    -----
    UnstableRates
        Where a schedule's rate is above the stability limit at some step.

    Notes
    -----
    Cost: passes over the samples, 4 N r^2 flops each, and time and memory in proportion to the steps. On digits with
    lr 0.05 and b = 8 they were 96 for 200 steps and 205 for 20,000; with rtol 1e-2, 24 for 2,000.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> curve = fl.learning_curve(problem, fl.SGD(lr=0.05, batch_size=8), steps=200)
    >>> print(curve[[0, 1, 10, 100, 200]].round(6))
    [0.345059 0.31284  0.236022 0.070483 0.042923]
    """
    door(problem, sgd, average=average)
    choice("theory", theory, RUNGS)
    law = Law(problem, sgd, theory, average)
    last, tolerance = positive_int("steps", steps, minimum=0), real_number("rtol", rtol, above=0.0)
    refuse_curve(last)
    begin = Start.at(law.minimum, start)
    warn_unstable(problem, sgd, last, feeds_back=law.feeds_back)
    relaxation = law.relaxation(None if begin is None else begin.modes, last, tolerance)
    curve = relaxation.average([last], 0.5 * law.minimum.curvatures)[1]
    return np.asarray(overflown(curve) + outside(law, begin, np.arange(last + 1)))


def _limit(law: Law) -> float:
    """The largest stable learning rate on this rung of the ladder."""
    return (max_stable_lr if law.feeds_back else mean_stable_lr)(law.problem, law.sgd)


def _refusal(law: Law) -> UnstableSGD:
    """What to raise where no stationary state was found: the limit decides whether there is none."""
    limit = _limit(law)
    full = law.sgd.batch_size >= law.problem.population
    return UnstableSGD(law.sgd.lr, limit, larger_batch=not full, epochs=law.shuffle is not None)


def _shuffled(law: Law, cycle: Cycle) -> tuple[Array, Array]:
    """Stationary S and E V of shuffled epochs, measured where the expansion is seen to be off."""
    if law.measured is not None:
        found = law.settled_in_epochs(None)
        _doubt(law)
        return found
    if law.epochs is not None:
        _doubt(law)
    if not law.kernel.contracts:
        raise stationary.NoStationaryState
    if law.feeds_back and law.minimum.interpolates and _grows(law):
        raise stationary.NoStationaryState  # where there is no noise nothing else would tell
    found = law.settled_in_epochs(None)
    if law.feeds_back and not cycle.contracts and not law.affordable:
        _check_limit(law)
    return found


def _grows(law: Law) -> bool:
    """Whether shuffled epochs are beyond their limit, which takes long to find and is asked for last."""
    return not steps_contract(law.problem, law.sgd) and law.sgd.lr >= max_stable_lr(law.problem, law.sgd)


def _doubt(law: Law) -> None:
    """Warn where random epochs tell the floor no better than to some ten per cent."""
    assert law.epochs is not None
    if law.epochs.error > _DOUBTFUL:
        how = "measured with" if law.measured else "an expansion, checked with"
        _warn(UncertainFloor(law.sgd.lr, f"{how} random epochs to {law.epochs.error:.0%}"), 5)


def _check_limit(law: Law) -> None:
    """Far beyond the limit the balance may have a solution that is not one, and close below it the expansion is off."""
    limit = max_stable_lr(law.problem, law.sgd)
    if law.sgd.lr >= limit:
        raise stationary.NoStationaryState
    if law.overshoots or law.sgd.lr > _NEAR_LIMIT * limit:
        _warn(UncertainFloor(law.sgd.lr, "an expansion, and the data are too large for measuring epochs instead"))


def _warn(message: UserWarning, depth: int = 4) -> None:
    warnings.warn(message, stacklevel=depth)


def _independent(law: Law) -> tuple[Array, None]:
    """Stationary S, or the average's, where batches are independent."""
    if not law.kernel.contracts:
        raise stationary.NoStationaryState
    if may_grow_unseen(law):
        refuse_beyond_limit(law)
    covariance = law.solve(law.noise, steps=None, rtol=law.problem.precision)
    if law.kernel.components > 1 and not _positive(covariance):
        refuse_beyond_limit(law)
    return (covariance if law.average is None else law.averaged(covariance)), None


def refuse_beyond_limit(law: Law) -> None:
    """Raise `NoStationaryState` where the balance cannot tell: the learning rate is at the limit or beyond.

    Without noise at W* its solution is S = 0 at any learning rate, and rounding may make a small variance negative.
    """
    if law.feeds_back and law.sgd.lr >= max_stable_lr(law.problem, law.sgd):
        raise stationary.NoStationaryState


def _positive(covariance: Array) -> bool:
    """Whether no direction has a negative variance: beyond the limit the balance has a solution, but not such a one.

    The map Phi o K keeps positive matrices positive, so its leading left eigenvector Y is one, and with a leading
    eigenvalue above 1 the solution has tr(Y S) < 0.
    """
    lowest, *_, highest = np.linalg.eigvalsh(covariance) if len(covariance) > 1 else [covariance[0, 0]] * 2
    return bool(lowest >= -1e-9 * abs(highest))

"""What `predict` and `max_stable_lr` do with softmax and logistic heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._validate.arguments import door
from ..._validate.values import choice
from ...errors import InvalidInput, NotConverged, OutsideBowl
from ...problem.device_products import on_device
from ...problem.softmax.base import Head
from ...recipe.averages import Average
from ...recipe.sgd import Recipe
from ..answers import predict
from ..fixed_points import NoStationaryState
from ..reshuffling.covered import refuse_beyond_shuffling
from ..stability import max_stable_lr
from ..stable_limit import StableLimit
from .balance import Balance, LocalState
from .ladder import LOCAL_RUNGS, LocalRung
from .prediction import LocalPrediction, bowl_of

__all__ = ["limit_of_head", "predict_head", "stationary_state"]


@predict.register(Head)
def predict_head(
    problem: Head,
    sgd: Recipe,
    *,
    theory: LocalRung | None = None,
    average: Average | None = None,
    check_stability: bool = True,
    device: Any = None,
) -> LocalPrediction:
    r"""Predict the stationary fluctuation of SGD around the optimum of a softmax or logistic head.

    Solves F74, H S + S H - eta H S H = eta kappa (C + K[S] + X[S]), or a rung of it:

    ==============  =========================================================================
    langevin        C alone, in continuous time: the excess loss is eta kappa tr(C)/4
    discrete        C alone, in steps
    multiplicative  and K[S]: the curvature differs between samples, so that noise feels S
    anharmonic      and X[S]: third derivatives, and the mean that they displace
    closure         all derivatives, averaged over a Gaussian law of the weights
    ==============  =========================================================================

    Without `theory` the rung is "anharmonic", and the floor is refused where its anharmonicity u is above 30 %.

    Parameters
    ----------
    problem : Softmax or Logistic
        The data.
    sgd : SGD
        The recipe. With sampling="shuffle" S is averaged over an epoch, from what its batches take back of each other.
    theory : str, optional
        Rung of the ladder, from the table.
    average : None
        Averages of the weights are not covered.
    check_stability : bool
        If False, nothing is refused: the floor of a rung is given wherever it has one, and is infinite elsewhere.
    device : None
        Devices are not covered.

    Returns
    -------
    LocalPrediction
        The stationary state; `.after(steps)` gives finite times.

    Raises
    ------
    InvalidInput
        For arguments out of range, for data that can be separated without weight decay, and for what is not covered.
    OutsideBowl
        Where u is above 30 %, or the learning rate above the limit.
    NotConverged
        If the optimum or the stationary state was not found to the accuracy stated.

    Notes
    -----
    Cost: 4 N c^2 d^2 flops per application of K and X, in blocks, about 20 of them for u; `check_stability=False` does
    without where a lower rung is asked for. Above 2,000 modes the steepest alone are followed (F79).
    """
    door(sgd=sgd, average=average, check_stability=check_stability)
    problem = on_device(problem, device)
    if theory is not None:
        choice("theory", theory, LOCAL_RUNGS)
    _refuse_uncovered(sgd, average, theory)
    balance = Balance(problem, sgd)
    rung: LocalRung = "anharmonic" if theory is None else theory
    if check_stability and bowl_of(balance.anharmonicity) == "outside":
        raise OutsideBowl(sgd.lr, balance.limit, balance.anharmonicity)
    return LocalPrediction(balance, rung, stationary_state(balance, rung))


def stationary_state(balance: Balance, rung: LocalRung) -> LocalState:
    """Return the state of a rung, infinite where there is none."""
    try:
        return balance.state(rung)
    except (NoStationaryState, NotConverged) as missing:
        if isinstance(missing, NotConverged) and np.isfinite(balance.anharmonicity):
            raise
        r = balance.picture.rank
        return LocalState(np.full((r, r), np.inf), np.zeros(r), np.inf)


@max_stable_lr.register(Head)
def limit_of_head(problem: Head, sgd: Recipe) -> StableLimit:
    r"""Return the rate up to which the quadratic picture at the optimum has a stationary state (F76).

    For a head it is a crossover and no end: above it the weights live outside the bowl, where the cross-entropy is
    linear, and fluctuate widely without diverging.

    Parameters
    ----------
    problem : Softmax or Logistic
        The data.
    sgd : SGD
        The recipe. All of it matters but its lr; shuffled epochs are given the rate of independent batches.

    Returns
    -------
    StableLimit
        A float that says how it was found.

    Raises
    ------
    InvalidInput
        For arguments of other types, and for epochs in one order.
    NotConverged
        Where the limit was not found.
    """
    door(sgd=sgd)
    _refuse_uncovered(sgd, None)
    return Balance(problem, sgd).limit


def _refuse_uncovered(sgd: Recipe, average: Average | None, theory: LocalRung | None = None) -> None:
    if average is not None:
        raise InvalidInput(
            f"average = {average!r}: averages of the weights are not covered for heads. Leave it out, and measure the "
            f"average in a run."
        )
    if sgd.epochs:
        refuse_beyond_shuffling(sgd, "langevin" if theory == "langevin" else "discrete")
    if sgd.epochs and theory == "closure":
        raise InvalidInput(
            "theory='closure' is of independent batches, and batches of shuffled epochs depend on each other. Use "
            "'anharmonic', or sampling='without_replacement', independent batches of the same size."
        )

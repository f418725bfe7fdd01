"""What `predict` and `max_stable_lr` do with problems in their leading modes."""

from __future__ import annotations

import warnings

import numpy as np

from ..._validate.arguments import door
from ..._validate.values import choice
from ...errors import InvalidInput, LooseBounds, UnstableSGD
from ...problem.leading.leading_modes import LeadingModes
from ...recipe.averages import Average
from ...recipe.sampling import WeightedSampling
from ...recipe.sgd import Recipe
from ..answers import predict
from ..stability import max_stable_lr
from ..stable_limit import StableLimit
from .prediction import LeadingPrediction
from .solved import Solved

__all__ = ["limit_of_leading", "predict_leading"]


@predict.register(LeadingModes)
def predict_leading(
    problem: LeadingModes,
    sgd: Recipe,
    *,
    theory: str = "exact",
    average: Average | None = None,
    check_stability: bool = True,
) -> LeadingPrediction:
    """Predict the stationary fluctuation of SGD around the optimum, with bounds, from the leading modes.

    Parameters
    ----------
    problem : LeadingModes
        The data.
    sgd : SGD
        The recipe: independent batches. Of a schedule the stationary state is that of `lr`, held; `.after` follows it.
    theory : {"exact"}
        The rungs below are of all modes.
    average : None
        Averages of the weights are not covered.
    check_stability : bool
        If False, nothing is refused and nothing warned of: beyond the stability limit bounds are infinite.

    Returns
    -------
    LeadingPrediction
        The stationary state; `.after` is of a run.

    Raises
    ------
    InvalidInput
        For arguments out of range, for batches larger than the data, and for what is not covered.
    UnstableSGD
        If the learning rate is above what the stability limit is at most.

    Warns
    -----
    LooseBounds
        Where no upper bound was found of the floor.

    Notes
    -----
    Cost: 6 N k^2 flops a round, as a rule 10 to 30 for each bound, more near the stability limit.
    """
    door(sgd=sgd, average=average, check_stability=check_stability)
    choice("theory", theory, ("exact",))
    _refuse_uncovered(problem, sgd, average)
    solved = Solved(problem, sgd)
    if check_stability and sgd.schedule is None and not np.isfinite(solved.floor_bounds[1]):
        limit = solved.limit
        if sgd.lr >= (limit.at_most or 0.0):
            raise UnstableSGD(sgd.lr, limit.at_most or 0.0, larger_batch=solved.noise.kappa > 0)
        warnings.warn(LooseBounds(sgd.lr, float(limit), limit.at_most or 0.0), stacklevel=3)
    return LeadingPrediction(solved)


@max_stable_lr.register(LeadingModes)
def limit_of_leading(problem: LeadingModes, sgd: Recipe) -> StableLimit:
    """Return a learning rate up to which runs are surely stable, with what the limit is at most (F153).

    Parameters
    ----------
    problem : LeadingModes
        The data.
    sgd : SGD
        The recipe. All of it matters but its lr.

    Returns
    -------
    StableLimit
        A lower bound of the limit; `.at_most` is the upper one.

    Raises
    ------
    InvalidInput
        For arguments of other types, and for what is not covered.
    NotConverged
        Where the limit of the leading modes was not found.

    Notes
    -----
    Cost: some 10 passes of 4 N k^2 flops for the upper bound, and as a rule 40 of 6 N k^2 for the lower one.
    """
    door(sgd=sgd)
    _refuse_uncovered(problem, sgd, None)
    return Solved(problem, sgd).limit


def _refuse_uncovered(problem: LeadingModes, sgd: Recipe, average: Average | None) -> None:
    """Refuse what the bounds do not hold for."""
    sgd.batch_sizes(problem.samples) if sgd.epochs else sgd.sampling_factor(problem.samples)
    given = {
        f"sampling = {sgd.sampling!r}": sgd.epochs or isinstance(sgd.sampling, WeightedSampling),
        "an average of the weights": average is not None,
    }
    for what, refused in given.items():
        if refused:
            raise InvalidInput(
                f"{what} is not covered by the bounds from leading modes, which are of independent batches, drawn "
                f"evenly. Use fluctua.LeastSquares, which has all modes."
            )

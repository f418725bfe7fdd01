"""Python's own exact noise floors, where they cost little."""

from __future__ import annotations

import warnings

from ...errors import FluctuaError, UncertainFloor
from ...problem.least_squares import LeastSquares
from ...recipe.sgd import Recipe
from ...theory.answers import predict

__all__ = ["known_floor"]

_MOST = 2e8  # samples times modes^2 up to which a prediction is asked for once more


def known_floor(problem: LeastSquares, sgd: Recipe) -> float:
    """Return the exact stationary excess loss of a recipe; NaN where it costs too much, and where there is none."""
    if problem.samples * problem.rank**2 > _MOST or problem.minimum(sgd.weight_decay).interpolates:
        return float("nan")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UncertainFloor)  # of a number that the page calls uncertain itself
            return predict(problem, sgd).excess_loss
    except FluctuaError:  # above the limit, or one order in every epoch
        return float("nan")

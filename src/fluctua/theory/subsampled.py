"""What averaging K over some of the samples costs: one standard error, from groups of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .._arrays import standard_error
from ..problem.least_squares import LeastSquares
from ..problem.start import Start
from ..problem.subsample import groups

if TYPE_CHECKING:
    from .law import Law

__all__ = ["error_after", "error_between_groups"]

_GROUPS = 8


def error_between_groups(problem: LeastSquares, weight_decay: float, value: Callable[[LeastSquares], float]) -> float:
    r"""Return one standard error of `value` of a problem whose K is averaged over some of its N samples.

    The m samples fall into 8 groups, of each of which the value is found as if they were all that K is averaged over:
    their spread over sqrt(8), times sqrt(1 - m/N). Infinite where a group has no finite value.

    Parameters
    ----------
    problem : LeastSquares
        Made with `feedback_samples`.
    weight_decay : float
        Of the recipe.
    value : callable
        Takes a problem.

    Notes
    -----
    Cost: what the value costs, once more.
    """
    found = np.array([value(one) for one in groups(problem, weight_decay, _GROUPS)])
    if not np.isfinite(found).all():
        return float("inf")
    return float(standard_error(found)) * float(np.sqrt(1 - problem.samples / problem.population))


def error_after(law: Law, steps: Sequence[int], start: Start | None, rtol: float) -> float | None:
    """Return that of an excess loss averaged over `steps`, from `start`; None where all samples count."""
    if law.problem.feedback_samples is None or not law.feeds_back:
        return None

    def value(one: LeastSquares) -> float:
        run = replace(law, problem=one).relaxation(None if start is None else start.modes, max(steps), rtol)
        return float(0.5 * law.minimum.curvatures @ np.diag(run.average(steps)[0]))

    return error_between_groups(law.problem, law.sgd.weight_decay, value)

"""How near a recipe is to the stability limit, and what that does to a verdict.

Near the limit the weights fluctuate with heavy tails: their fourth moments grow without bound before their second ones
do, so that the spread between replicas misses the rare large excursions that the mean is made of. A mean is then low
more often than any error bar says.
"""

from __future__ import annotations

import numpy as np

from .._validate.plain import Header
from ..errors import FluctuaError
from ..kernels.time_varying import refuse_long
from ..problem.least_squares import LeastSquares
from ..recipe.sgd import Recipe
from ..theory.stability import independent_batches, max_stable_lr, surely_stable

__all__ = ["NEAR", "heavy_tails", "share_of_limit"]

NEAR = 0.7
"""Share of the limit from which verdicts say that tails are heavy: below it their level holds."""


def share_of_limit(problem: LeastSquares, sgd: Recipe, steps: int) -> float | None:
    """Return the largest learning rate of the first `steps` steps over the largest stable one; None if it is small.

    Small is settled without the limit where `surely_stable` suffices. For shuffled epochs the limit is that of
    independent batches of the same size. Cost: some passes over the inputs, or `max_stable_lr`.
    """
    rate = sgd.lr
    if sgd.schedule is not None:
        refuse_long(steps)
        rate = float(np.max(sgd.rates(np.arange(steps))))
    if surely_stable(problem, independent_batches(sgd), rate / NEAR):
        return None
    try:
        return rate / max_stable_lr(problem, independent_batches(sgd))
    except FluctuaError:  # where no limit is known there is nothing to say
        return None


def heavy_tails(identity: Header) -> str:
    """Return what to keep in mind of the level of a verdict, as a clause; empty below `NEAR`, or where not known."""
    share = identity.get("share_of_limit")
    if share is None or not share > NEAR:
        return ""
    return (
        f"at {100 * share:.0f} % of the largest stable learning rate tails are heavy, and a true theory is called "
        f"wrong more often than stated: at a level of 1 %, in 1 to 5 % of the runs at 80 % of the limit, in 10 to "
        f"17 % at 90 %"
    )

"""A learning rate for those who gave none: stable on any data, from what is cheap."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..kernels.time_varying import refuse_long
from ..problem.least_squares import LeastSquares
from ..recipe.schedules import ArrayLR
from ..recipe.sgd import Recipe
from ..theory.source import Source
from ..theory.stability import independent_batches

__all__ = ["DefaultRate", "default_rate"]

_SHARE = 0.25


@dataclass(frozen=True)
class DefaultRate:
    """How a learning rate was found.

    Attributes
    ----------
    lr : float
        To one digit.
    mean, noise : float
        2/h_max, above which the mean of the weights diverges, and 2/(kappa R^2), which keeps their noise below the
        signal that it feeds on; R^2 is the largest |x|^2.
    slower : float
        What momentum and the schedule's peak divide by.
    """

    lr: float
    mean: float
    noise: float
    slower: float

    @property
    def words(self) -> str:
        """The way in words."""
        bounds = [(self.mean, "2/h_max"), (self.noise, "2/(kappa max |x|^2)")]
        (least, which), (more, other) = sorted(bounds, key=lambda bound: bound[0])
        slower = f"\nover {self.slower:.3g} for momentum and schedule" if self.slower != 1 else ""
        return f"default lr: 1/4 of {which} = {least:.3g}; {other} = {more:.3g} is more{slower}"


def default_rate(problem: LeastSquares, sgd: Recipe, steps: int | None = None) -> DefaultRate:
    r"""Return a learning rate at which the recipe `sgd` is stable in the mean square; its own lr is not looked at.

    A quarter of the lesser of 2/h_max and 2/(kappa R^2), with R^2 the largest |x|^2, divided by 1/(1 - momentum) and by
    the schedule's peak, then rounded to one digit, which adds a third at most. Plain SGD with independent batches is
    stable up to 2/(h_max + kappa R^2), because <|x|^2 x x^T> <= R^2 A: the rate is below two thirds of that. With
    momentum the variance grows by no more than the factor kappa R^2 max_p h_p Phi_pp, which is below a half here. Of
    epochs kappa is that of their smallest batch, drawn with replacement; in a fixed order any batch may repeat one
    sample's direction, and kappa is 1.

    Notes
    -----
    Cost: N d, beside the curvatures.
    """
    source = Source.of(problem, _worst(problem, sgd))
    mean = 2 / float(source.minimum.curvatures[0])
    noise = 2 / source.largest() if source.kappa else np.inf
    slower = sgd.step.effective_lr(1.0) * _peak(sgd, steps)
    return DefaultRate(float(f"{_SHARE * min(mean, noise) / slower:.0e}"), mean, noise, slower)


def _worst(problem: LeastSquares, sgd: Recipe) -> Recipe:
    """Return independent batches that fluctuate at least as much as those of the recipe."""
    if not sgd.epochs:
        return sgd
    sizes = sgd.batch_sizes(problem.population)
    if sgd.sampling == "shuffle" and len(set(sizes.tolist())) == 1:
        return independent_batches(sgd)
    size = int(sizes.min()) if sgd.sampling == "shuffle" else 1
    return replace(sgd, batch_size=size, sampling="with_replacement", drop_last=False)


def _peak(sgd: Recipe, steps: int | None) -> float:
    """Return the largest factor of the schedule, at least 1."""
    if sgd.schedule is None:
        return 1.0
    refuse_long(steps or 1)
    known = len(tuple(sgd.schedule.factors)) if isinstance(sgd.schedule, ArrayLR) else steps or 1
    return max(float(np.max(replace(sgd, lr=1.0).rates(np.arange(known)))), 1.0)

"""A learning rate for those who gave none: stable on any data, from what is cheap."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import InvalidInput
from ..kernels.time_varying import refuse_long
from ..problem.least_squares import LeastSquares
from ..problem.softmax.base import Head
from ..recipe.schedules import ArrayLR
from ..recipe.sgd import Recipe
from ..theory.source import Source
from ..theory.stability import independent_batches, max_stable_lr

__all__ = ["DefaultRate", "HeadRate", "default_rate", "default_rate_of_head"]

_SHARE = 0.25
_HEAD_SHARE = 0.1


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

    Raises
    ------
    InvalidInput
        Where the schedule has rates that do not depend on lr: a max_lr, and an eta_min above the rate found.

    Notes
    -----
    Cost: N d, beside the curvatures.
    """
    source = Source.of(problem, _worst(problem, sgd))
    mean = 2 / float(source.minimum.curvatures[0])
    noise = 2 / source.largest() if source.kappa else np.inf
    inertia = sgd.step.effective_lr(1.0)
    peak, own = _peaks(sgd, steps)
    _refuse_own(sgd, own, peak, _SHARE * min(mean, noise) / inertia)
    slower = inertia * max(peak, 1.0)
    return DefaultRate(float(f"{_SHARE * min(mean, noise) / slower:.0e}"), mean, noise, slower)


@dataclass(frozen=True)
class HeadRate:
    """How the learning rate of a head was found.

    Attributes
    ----------
    lr : float
        To one digit.
    limit : float
        The crossover beyond which the weights live outside the bowl.
    """

    lr: float
    limit: float

    @property
    def words(self) -> str:
        """The way in words."""
        return f"default lr: 1/10 of the crossover {self.limit:.3g}, where the local theory is good to a per cent"


def default_rate_of_head(problem: Head, sgd: Recipe) -> HeadRate:
    """Return a learning rate at which a head lives well inside its bowl; the recipe's own lr is not looked at."""
    limit = float(max_stable_lr(problem, sgd))
    return HeadRate(float(f"{_HEAD_SHARE * limit:.0e}"), limit)


def _worst(problem: LeastSquares, sgd: Recipe) -> Recipe:
    """Return independent batches that fluctuate at least as much as those of the recipe."""
    if not sgd.epochs:
        return sgd
    sizes = sgd.batch_sizes(problem.population)
    if sgd.sampling == "shuffle" and len(set(sizes.tolist())) == 1:
        return independent_batches(sgd)
    size = int(sizes.min()) if sgd.sampling == "shuffle" else 1
    return replace(sgd, batch_size=size, sampling="with_replacement", drop_last=False)


def _peaks(sgd: Recipe, steps: int | None) -> tuple[float, float]:
    """Return the schedule's largest factor of lr, and its largest rate at lr 0: that of an eta_min or a max_lr."""
    if sgd.schedule is None:
        return 1.0, 0.0
    refuse_long(steps or 1)
    known = np.arange(len(tuple(sgd.schedule.factors)) if isinstance(sgd.schedule, ArrayLR) else steps or 1)
    own = sgd.schedule.rates(0.0, known)
    return float(np.max(sgd.schedule.rates(1.0, known) - own)), float(np.max(own))


def _refuse_own(sgd: Recipe, own: float, peak: float, most: float) -> None:
    """Raise `InvalidInput` where rates of the schedule's own, in which lr has no part, leave none to be chosen."""
    if sgd.schedule is not None and (own > most or (own and not peak)):
        raise InvalidInput(
            f"{sgd.schedule.words} has rates up to {own:g} whatever lr is, and the default lr would be {most:.2g}: "
            f"give the learning rate, or leave its eta_min or max_lr out."
        )

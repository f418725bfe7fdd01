"""The largest step of a sampler whose draws are as wide as its target to within a few per cent, in every mode."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._validate.arguments import door
from .._validate.values import instance, real_number
from ..errors import InvalidInput, NotConverged, UnstableSGD
from ..problem.least_squares import LeastSquares
from ..recipe.langevin import Langevin
from .answers import predict
from .inflation_step import Limit, StepForInflation
from .stability import max_stable_lr

__all__ = ["lr_for_inflation"]

_HALVINGS, _BELOW = 200, 3  # of the limit, to find a step that is small enough; steps below it that are looked at
_ACCURACY, _EDGE = 1e-10, 1e-6  # of the step, relative; distance from the limit up to which it is sought
_BEYOND = 1e3  # where there is no law
_TOLD = 1e-3  # of the log inflation: what is farther from the factor is not limited by it


def lr_for_inflation(problem: LeastSquares, sampler: Langevin, inflation: float = 1.05) -> StepForInflation:
    r"""Return the largest step at which no mode's variance is off the target's by more than a factor `inflation`.

    Solves max over modes of S_pp/(c T/h_p), or of its inverse where a mode is too narrow, equal to `inflation` (F99).
    It is one number for all modes: the worst one limits the step, and the result says which.

    Parameters
    ----------
    problem : LeastSquares
        The data.
    sampler : SGLD, ULA, SGHMC, BAOA, BAOAB, ABOBA or OBABO
        All of it matters but its lr, temperature included, which minibatch noise is compared with.
    inflation : float
        Factor above 1: 1.05 is 5 %.

    Returns
    -------
    StepForInflation
        A float at which the worst mode is within the factor, never beyond it, with that mode and what limits the step.

    Raises
    ------
    InvalidInput
        For a recipe that is no sampler, a temperature of 0, a factor of 1 or less, and an improper posterior.
    NotConverged
        Where no step was found that is small enough.

    Notes
    -----
    The largest stable step is found first; from there steps are halved until the worst mode is within the factor, and
    the crossing is bracketed and found to a relative accuracy of 1e-10. Of the steps below three halvings are looked at
    too. Cost: some 20 to 30 solutions of the balance, each as long as `predict`.

    Examples
    --------
    >>> import fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    >>> sampler = fl.SGLD(lr=0.1, batch_size=1, temperature=0.1)
    >>> step = fl.lr_for_inflation(problem, sampler, 1.05)
    >>> print(f"{step:.7f}")
    0.0056253
    """
    instance("sampler", sampler, Langevin, "a sampler, as fluctua.SGLD(lr, batch_size, temperature)")
    door(problem, sampler, samplers=True)
    most = real_number("inflation", inflation, above=1.0)
    if not sampler.step.temperature:
        raise InvalidInput(
            f"sampler = {sampler!r} has no target to compare its draws with: its temperature is 0. Use a sampler with "
            f"a temperature, as fluctua.SGLD(lr, batch_size, temperature)."
        )
    limit = float(max_stable_lr(problem, sampler))
    search = _Search(problem, sampler, np.log(most), limit)
    lr, limited = search.found()
    worst, mode, curvature = search.worst(lr)
    return StepForInflation(lr, float(np.exp(worst)), mode, curvature, limited, limit)


class _Search:
    """The worst mode as a function of the step."""

    def __init__(self, problem: LeastSquares, sampler: Langevin, most: float, limit: float) -> None:
        self.problem, self.sampler, self.most, self.limit = problem, sampler, most, limit

    def worst(self, lr: float) -> tuple[float, int, float]:
        """Log of the inflation that is farthest from 1, the number of its mode and its curvature."""
        found = predict(self.problem, replace(self.sampler, lr=lr))
        inflation = np.log(found.inflation)
        mode = int(np.argmax(np.abs(inflation)))
        return float(inflation[mode]), mode + 1, float(found.curvatures[mode])

    def excess(self, place: float) -> float:
        """By how much the worst mode is beyond the factor, at a log step; much where the law has no answer."""
        lr = float(np.exp(place))
        if not self._taken(lr):
            return _BEYOND
        try:
            return min(abs(self.worst(lr)[0]) - self.most, _BEYOND)
        except (UnstableSGD, NotConverged):
            return _BEYOND

    def _taken(self, lr: float) -> bool:
        """Whether the recipe takes such a step."""
        try:
            replace(self.sampler, lr=lr)
        except InvalidInput:
            return False
        return True

    def found(self) -> tuple[float, Limit]:
        """The step, and what limits it."""
        from scipy.optimize import brentq

        high = float(np.log(self.limit) + np.log1p(-_EDGE))
        if self.excess(high) <= 0 and self._within(high):
            return float(np.exp(high)), "stability"
        low = self._small(high)
        high = min(low + np.log(2.0), high)
        if self.excess(high) > 0:
            low, high = self._bracketed(float(brentq(self.excess, low, high, xtol=_ACCURACY / 4, rtol=1e-15)), low)
        return float(np.exp(low)), "inflation" if self.excess(low) > -_TOLD else "recipe"

    def _bracketed(self, root: float, low: float) -> tuple[float, float]:
        """The root from its safe side, and the root."""
        for width in (0.0, _ACCURACY / 2, _ACCURACY, 10 * _ACCURACY, 1e3 * _ACCURACY):
            if self.excess(root - width) <= 0:
                return root - width, root
        return low, root

    def _small(self, high: float) -> float:
        """A log step that is small enough, with those below it."""
        for count in range(1, _HALVINGS):
            place = high - count * float(np.log(2.0))
            if self.excess(place) <= 0 and self._within(place):
                return place
        raise NotConverged("the step for an inflation", _HALVINGS, self.excess(place), 0.0, "Use a larger factor.")

    def _within(self, place: float) -> bool:
        """Whether smaller steps are within the factor, too."""
        return all(self.excess(place - count * float(np.log(2.0))) <= 0 for count in range(1, _BELOW + 1))

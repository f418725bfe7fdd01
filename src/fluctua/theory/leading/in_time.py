"""Numbers of a problem in its leading modes after some steps, with their bounds."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ..._results import ByValue
from ...errors import Unconverged
from ...problem.leading.leading_modes import LeadingModes
from ...problem.leading.tail import ENOUGH, LeadingMinimum
from ...recipe.sgd import Recipe
from ..control import loss_rtol
from ..readings import spelled
from ..transient import Relaxation
from .balances import Unbounded
from .drifting import Drifting
from .followed import Followed
from .pinched import Side
from .ranges import extremes, flat_curvatures, motion_of
from .solved import Solved, relative_error

__all__ = ["InTime"]

_SIDES: tuple[Side, Side] = (-1, 1)
_ROUGH = 0.5  # of the estimate, below which a lower bound is tried without K


@dataclass(frozen=True, eq=False)
class InTime(ByValue):
    """What `Solved` has, at some steps (F155, F156).

    Attributes
    ----------
    at_rest : Solved
        The stationary state of the same problem and recipe.
    steps : tuple of int
        Sorted; averaged over.
    start : Drifting or None
        W(0) less W*; None is W*.
    rtol : float
        Of the march through time.
    """

    at_rest: Solved
    steps: tuple[int, ...]
    start: Drifting | None
    rtol: float

    @property
    def problem(self) -> LeadingModes:
        """The data."""
        return self.at_rest.problem

    @property
    def sgd(self) -> Recipe:
        """The recipe."""
        return self.at_rest.sgd

    @property
    def minimum(self) -> LeadingMinimum:
        """W* and the noise there."""
        return self.at_rest.minimum

    @cached_property
    def _least(self) -> tuple[Array, float]:
        """A lower bound: with K, or without it where it is told of the state too roughly."""
        inside, beyond = self._followed(-1)
        if self._weighed(inside) > _ROUGH * self._weighed(self._estimate[0]):
            return inside, beyond
        alone = self._followed(-1, quiet=True)
        return alone if self._weighed(alone[0]) > self._weighed(inside) else (inside, beyond)

    @cached_property
    def _estimate(self) -> tuple[Array, float]:
        return self._followed(0)

    @cached_property
    def _most(self) -> tuple[Array, float]:
        return self._followed(1)

    def _spread(self, side: Side) -> tuple[Array, float]:
        """Spread of the weights in the leading modes, (k, k), and its loss beyond them."""
        return (self._estimate, self._most, self._least)[side]

    def _followed(self, side: Side, quiet: bool = False) -> tuple[Array, float]:
        off = self._moved[2] + float(np.sqrt(2 * self.minimum.above))
        run = Followed(self.at_rest, max(self.steps), self.start, side, self.rtol, off, quiet)
        try:
            inside, beyond = run.averaged(self.steps)
        except Unbounded:
            if side > 0:
                what, advice = f"the upper bound after {spelled(self.steps)} steps", "It is infinite. Use more modes."
                warnings.warn(Unconverged(what, run.passes, np.inf, advice), stacklevel=2)
            return self._nothing(side)
        if side > 0:
            beyond = self._loss_beyond(float((run.loudest * self.problem.lengths_left).mean()))
        return inside, beyond

    def _weighed(self, inside: Array) -> float:
        """Loss of a covariance in the leading modes."""
        return 0.5 * float(self.minimum.curvatures @ np.diag(inside))

    def _nothing(self, side: Side) -> tuple[Array, float]:
        """What is known where nothing was found."""
        least, k = side < 0, len(self.minimum.curvatures)
        return np.full((k, k), 0.0 if least else np.inf), 0.0 if least else np.inf

    def _loss_beyond(self, noise: float) -> float:
        """What noise of a trace beyond the leading modes makes of loss there, at most (F156)."""
        if not noise or max(self.steps) == 0:
            return 0.0
        h = flat_curvatures(self.problem.curvatures) + self.sgd.weight_decay
        kernel = motion_of(h, self.sgd, max(self.steps))
        fed, nothing = self.at_rest.noise.kappa * np.eye(len(h)), np.zeros((len(h),) * 2)
        answer = np.diag(Relaxation(kernel, fed, fed, nothing, None, self.rtol).average(self.steps)[0])
        return extremes(0.5 * h * answer * noise)[1]

    @cached_property
    def _moved(self) -> tuple[Array, float, float]:
        """Square of the mean in the leading modes, (k, k), its loss beyond, and what is uncertain of its root."""
        k = len(self.minimum.curvatures)
        if self.start is None:
            return np.zeros((k, k)), 0.0, 0.0
        last = max(self.steps)
        motion = self.start.motion(self.sgd, last)
        drift = self.start.second(self.steps, motion)
        inside = self.start.inside.T @ self.start.inside * drift[:k, :k]
        beyond = 0.5 * float(np.sum(np.sum(self.start.beyond**2, axis=0) * np.diag(drift)[k:]))
        return inside, beyond, self.start.uncertain(last, self.sgd, motion)

    def _loss(self, side: Side) -> float:
        """Excess loss: of the mean, and of the spread about it."""
        moved, drifting, off = self._moved
        inside, beyond = self._spread(side)
        spread = self._weighed(inside) + beyond
        if side:  # an estimate that was not found is infinite, and 0 times that is no number
            spread += side * loss_rtol(self.rtol) * abs(spread)
        doubt = off / float(np.sqrt(2.0)) + float(np.sqrt(self.minimum.above))
        root = max(float(np.sqrt(self._weighed(moved) + drifting)) + side * doubt, 0.0)
        return root**2 + max(spread, 0.0)

    @cached_property
    def floor(self) -> float:
        """Excess loss, were all modes beyond alike; within its bounds."""
        least, most = self.floor_bounds
        return float(np.clip(self._loss(0), least, most))

    @cached_property
    def floor_bounds(self) -> tuple[float, float]:
        """Excess loss, at least and at most."""
        return max(self._loss(-1), 0.0), self._loss(1)

    @cached_property
    def covariance(self) -> Array:
        """S in the leading modes, the square of the mean included, were all modes beyond alike, (k, k)."""
        return np.asarray(self._moved[0] + self._estimate[0])

    @cached_property
    def covariance_bounds(self) -> tuple[Array, Array]:
        """S in the leading modes: less the first and the second less it are positive; infinite where none was found."""
        least, most = (self._spread(side) for side in _SIDES)
        if self.start is not None and self.minimum.above > ENOUGH * self.minimum.loss:  # nor is W(0) less W* known
            return self._nothing(-1)[0], self._nothing(1)[0]
        timed = [self.rtol * np.diag(np.abs(np.diag(each))) for each, _ in (least, most)]
        return self._moved[0] + least[0] - timed[0], self._moved[0] + most[0] + timed[1]

    @cached_property
    def covariance_error(self) -> float:
        """The largest share by which the variance of any direction of the leading modes may be off."""
        return relative_error(self.covariance, *self.covariance_bounds)

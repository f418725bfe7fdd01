"""Numbers of a problem in its leading modes after some steps, with their bounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ..._results import ByValue
from ...kernels.momentum import step_kernel
from ...problem.leading.leading_modes import LeadingModes
from ...problem.leading.tail import LeadingMinimum
from ...recipe.sgd import Recipe
from ..control import loss_rtol
from ..transient import Relaxation
from .balances import Unbounded
from .drifting import Drifting
from .followed import Followed
from .pinched import Side
from .ranges import extremes, flat_curvatures
from .solved import Solved, relative_error

__all__ = ["InTime"]

_SIDES: tuple[Side, Side] = (-1, 1)
_FOUND = 1e-10  # what L(W*) may be above the least loss, relative, for upper bounds
_DRIFTED = 1e-3  # what the mean beyond the leading modes may be off, over the root of the loss, for bounds of the noise


@dataclass(frozen=True, eq=False)
class InTime(ByValue):
    """What `Solved` has, at some steps.

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
    def _runs(self) -> dict[Side, tuple[Array, float]]:
        return {}

    def _run(self, side: Side) -> tuple[Array, float]:
        """Spread of the weights in the leading modes, (k, k), and its loss beyond them."""
        if side not in self._runs:
            run = Followed(self.at_rest, self.start, side, self.rtol)
            try:
                inside, beyond = run.averaged(self.steps)
                if side > 0:
                    beyond = self._loss_beyond(float((run.loudest * self.problem.lengths_left).mean()))
            except Unbounded:
                inside, beyond = self._nothing(side)
            self._runs[side] = inside, beyond
        return self._runs[side]

    def _nothing(self, side: Side) -> tuple[Array, float]:
        k = len(self.minimum.curvatures)
        return np.full((k, k), 0.0 if side < 0 else np.inf), 0.0 if side < 0 else np.inf

    def _loss_beyond(self, noise: float) -> float:
        """What noise of a trace beyond the leading modes makes of loss there, at most (F156)."""
        if not noise or max(self.steps) == 0:
            return 0.0
        h = flat_curvatures(self.problem.curvatures) + self.sgd.weight_decay
        kernel = step_kernel(h, self.sgd.step, self.sgd.lr)
        fed, nothing = self.at_rest.noise.kappa * np.eye(len(h)), np.zeros((len(h),) * 2)
        answer = np.diag(Relaxation(kernel, fed, fed, nothing, None, self.rtol).average(self.steps)[0])
        return extremes(0.5 * h * answer * noise)[1]

    @cached_property
    def _moved(self) -> tuple[Array, float, float]:
        """Square of the mean in the leading modes, (k, k), its loss beyond, and what is uncertain of its root."""
        k = len(self.minimum.curvatures)
        if self.start is None:
            return np.zeros((k, k)), 0.0, 0.0
        drift = self.start.second(self.steps, self.sgd)
        inside = self.start.inside.T @ self.start.inside * drift[:k, :k]
        beyond = 0.5 * float(np.sum(np.sum(self.start.beyond**2, axis=0) * np.diag(drift)[k:]))
        return inside, beyond, self.start.uncertain(max(self.steps), self.sgd)

    def _loss(self, side: Side) -> float:
        """Excess loss: of the mean, and of the spread about it."""
        moved, drifting, off = self._moved
        inside, beyond = self._run(side)
        if self._vague:
            inside, beyond = (inside, beyond) if not side else self._nothing(side)
        spread = (0.5 * float(self.minimum.curvatures @ np.diag(inside)) + beyond) * (1 + side * loss_rtol(self.rtol))
        root = max(np.sqrt(drifting) + side * off / np.sqrt(2.0), 0.0)
        return 0.5 * float(self.minimum.curvatures @ np.diag(moved)) + root**2 + spread

    @property
    def _vague(self) -> bool:
        """Whether W* or the mean beyond the leading modes is not known well enough for bounds of the noise."""
        off = self.minimum.above > _FOUND * self.minimum.loss
        return bool(self.at_rest.noise.kappa) and (off or self._moved[2] > _DRIFTED * np.sqrt(self.minimum.loss))

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
        return np.asarray(self._moved[0] + self._run(0)[0])

    @cached_property
    def covariance_bounds(self) -> tuple[Array, Array]:
        """S in the leading modes: less the first and the second less it are positive; infinite where none was found."""
        least, most = (self._nothing(side)[0] if self._vague else self._run(side)[0] for side in _SIDES)
        timed = self.rtol * np.diag(np.diag(self._run(0)[0]))
        return self._moved[0] + least - timed, self._moved[0] + most + timed

    @cached_property
    def covariance_error(self) -> float:
        """The largest share by which the variance of any direction of the leading modes may be off."""
        return relative_error(self.covariance, *self.covariance_bounds)

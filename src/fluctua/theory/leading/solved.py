"""The stationary numbers of a problem in its leading modes: floor and covariance, each with its bounds."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from ..._arrays import Array
from ..._results import ByValue
from ...errors import UnstableRates
from ...kernels.time_varying import refuse_long
from ...problem.leading.leading_modes import LeadingModes
from ...problem.leading.tail import ENOUGH, LeadingMinimum
from ...recipe.sgd import Recipe
from ..source import BatchNoise
from ..stable_limit import StableLimit
from .balances import Balance, Unbounded
from .limits import Limits
from .pinched import Pinched, Residuals, State
from .ranges import Ranges, ranges_of

__all__ = ["Solved", "relative_error"]

_ROUNDED = 1e-14  # of the largest variance, which is none


@dataclass(frozen=True, eq=False)
class Solved(ByValue):
    """What follows from the leading modes, found where it is asked for.

    Attributes
    ----------
    problem : LeadingModes
    sgd : Recipe
    """

    problem: LeadingModes
    sgd: Recipe
    steps: ClassVar[None] = None
    """No step: the stationary state."""

    @property
    def at_rest(self) -> Solved:
        """Itself."""
        return self

    @cached_property
    def minimum(self) -> LeadingMinimum:
        """W* and the noise there."""
        return self.problem.minimum(self.sgd.weight_decay)

    @cached_property
    def noise(self) -> BatchNoise:  # type: ignore[type-arg]
        """Of a batch's gradient in the leading modes."""
        return BatchNoise(self.minimum.inside, self.sgd.sampler, self.sgd.batch_size)

    @cached_property
    def ranges(self) -> Ranges:
        """The kernel of a step."""
        decay, step, kappa = self.sgd.weight_decay, self.sgd.step, self.noise.kappa
        return ranges_of(self.problem.curvatures, decay, step, self.sgd.lr, kappa)

    @cached_property
    def _limits(self) -> Limits:
        return Limits(Pinched(self.problem), self.noise, self.sgd.weight_decay, self.sgd.step)

    @cached_property
    def most(self) -> float:
        """A learning rate that the limit does not exceed."""
        return self._limits.most()

    @cached_property
    def limit(self) -> StableLimit:
        """The largest stable learning rate, at least and at most (F153)."""
        return StableLimit(self._limits.least(self.most), "leading modes", at_most=self.most)

    def warn_of_rates(self, steps: int) -> None:
        """Warn where a schedule's rate is above what the limit is at most in the first steps."""
        if self.sgd.schedule is None or not steps:
            return
        self.sgd.schedule.refuse_beyond(steps)
        refuse_long(steps)
        rates = self.sgd.rates(np.arange(steps))
        above = np.flatnonzero(rates > self.most)
        if above.size:
            found = UnstableRates(int(above[0]), int(above[-1]), above.size, float(rates[above[0]]), self.most)
            warnings.warn(found, stacklevel=3)

    @cached_property
    def _loss(self) -> Balance:
        """The balance of what a unit of noise adds to the loss (F152)."""
        h, least = self.minimum.curvatures, tuple(0.5 * each for each in self.ranges.loss)
        noise, left = self.minimum.inside.noise, self.minimum.noise_left
        return Balance(Pinched(self.problem), self.ranges, np.diag(0.5 * h), (least[0], least[1]), noise, left)

    @cached_property
    def _weights(self) -> Balance:
        """The balance of the weights' covariance (F154)."""
        inside, h = self.minimum.inside, self.minimum.curvatures
        decayed = self.sgd.weight_decay * inside.mode_weights
        slope = float(np.linalg.eigvalsh(inside.residual_products(None))[-1]) * bool(self.sgd.weight_decay)
        known = Residuals(inside.squared_residuals, inside.residuals, decayed, slope)
        left = 0.5 * float(self.problem.lengths_left.mean())
        pinched = Pinched(self.problem, known)
        return Balance(pinched, self.ranges, inside.noise, (0.0, 0.0), np.diag(0.5 * h), left)

    @cached_property
    def floor(self) -> float:
        """Excess loss, were all modes beyond alike; within its bounds."""
        least, most = self.floor_bounds
        return float(np.clip(self._loss.value(self._loss.estimate()), least, most))

    @cached_property
    def floor_bounds(self) -> tuple[float, float]:
        """Excess loss, at least and at most; without an upper bound infinite."""
        if not self.noise.kappa:
            return 0.0, 0.0
        if not self.ranges.stable:
            return np.inf, np.inf
        least = self._widened(self._loss.lower(), -1)
        try:
            return least, self._widened(self._loss.upper(), 1)
        except Unbounded:
            return least, np.inf

    def _widened(self, state: State, side: int) -> float:
        """What a state says of the floor, and what W* not being exact may add or take (F150)."""
        root = np.sqrt(max(self._loss.value(state), 0.0))
        off = np.sqrt(2 * self.minimum.above * max(float(self._loss.pinched.factors(state).max()), 0.0))
        return float(max(root + side * off, 0.0) ** 2)

    @cached_property
    def covariance(self) -> Array:
        """S in the leading modes, were all modes beyond alike, (k, k)."""
        return self._covariance(self._weights.estimate())

    @cached_property
    def covariance_bounds(self) -> tuple[Array, Array]:
        """S in the leading modes: less the first and the second less it are positive; infinite where none was found."""
        nothing, endless = np.zeros_like(self.covariance), np.full_like(self.covariance, np.inf)
        if self.minimum.above > ENOUGH * self.minimum.loss:
            return nothing, endless
        least = self._covariance(self._weights.lower())
        try:
            return least, self._covariance(self._weights.upper())
        except Unbounded:
            return least, endless

    def _covariance(self, state: State) -> Array:
        """Kappa Phi o (C + K[S]), in the leading modes exact but for S."""
        if not self.noise.kappa:
            return np.zeros_like(self.ranges.phi)
        fed = self.minimum.inside.noise + self._weights.pinched.feedback(state)
        return np.asarray(self.ranges.phi * fed)

    @cached_property
    def covariance_error(self) -> float:
        """The largest share by which the variance of any direction of the leading modes may be off."""
        if not self.noise.kappa:
            return 0.0
        return relative_error(self.covariance, *self.covariance_bounds)


def relative_error(found: Array, least: Array, most: Array) -> float:
    """The largest share by which any direction's variance may be off, given bounds of a covariance, (k, k) each."""
    if not np.isfinite(most).all():
        return np.inf
    scale = 1 / np.sqrt(np.maximum(np.diag(found), np.finfo(float).tiny))
    scaled = [each * np.multiply.outer(scale, scale) for each in (found, least, most)]
    values, vectors = np.linalg.eigh(scaled[0])
    root = vectors / np.sqrt(np.maximum(values, _ROUNDED * max(float(values[-1]), np.finfo(float).tiny)))
    off = [np.linalg.eigvalsh(root.T @ (each - scaled[0]) @ root) for each in scaled[1:]]
    return float(max(np.abs(each).max() for each in off))

"""What thermal noise adds to a law: Theta of S = Theta + Phi o kappa (C + K[S]), and where it is refused (F90)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from .._arrays import Array, Ints
from ..errors import InvalidInput
from ..kernels.constant import Kernel
from ..kernels.thermal import Thermal
from ..problem.least_squares import LeastSquares, Minimum
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from ..recipe.thermal_steps import Kinetic as KineticMotion

__all__ = ["Heated"]


class Heated:
    """A law with thermal noise beside that of batches; a base of `Law`."""

    problem: LeastSquares
    sgd: Recipe
    average: Average | None

    @property
    @abstractmethod
    def minimum(self) -> Minimum:
        """W* and the noise there, at the recipe's weight decay."""

    @property
    @abstractmethod
    def kernel(self) -> Kernel:
        """What one step does to a pair of modes."""

    @property
    @abstractmethod
    def noise(self) -> Array:
        """The source at W*, (r, r)."""

    @property
    @abstractmethod
    def _flows(self) -> bool:
        """Whether time is continuous on this rung."""

    @abstractmethod
    def source_at(self, covariance: Array) -> Array:
        """Return the source, (r, r), at S = `covariance`."""

    @abstractmethod
    def averaged(self, covariance: Array) -> Array:
        """Stationary second moment of the average, given S of the weights."""

    @abstractmethod
    def heat_after(self, steps: Sequence[int], rtol: float) -> Array:
        """S of thermal noise alone, averaged over `steps`, (r, r)."""

    @abstractmethod
    def stationary_state(self, source: Array, rtol: float) -> Array:
        """Stationary S with `source` in the place of kappa C, to a relative residual of `rtol`."""

    @cached_property
    def thermal(self) -> Thermal:
        """What thermal noise makes of the modes."""
        return self._heated(self.minimum.curvatures)

    @cached_property
    def thermal_outside(self) -> Thermal:
        """What it makes of a direction that no data point has: weight decay alone holds the weights there."""
        return self._heated(np.array([self.sgd.weight_decay]))

    def _heated(self, curvatures: Array) -> Thermal:
        return Thermal(curvatures, self.sgd.step, self.sgd.lr, self.problem.outputs, self._flows)

    @property
    def outside(self) -> int:
        """How many directions of the inputs no data point has."""
        return self.problem.features - self.problem.rank

    def refuse_uncovered(self) -> None:
        """Raise `InvalidInput` where thermal noise has no stationary state, and for averages of samplers."""
        if self.sgd.step.temperature and self.outside and not self.sgd.weight_decay:
            raise InvalidInput(
                f"the posterior is improper: the inputs leave {self.outside} of {self.problem.features} directions of "
                f"the weights undetermined, and without weight_decay nothing holds the weights there, so that thermal "
                f"noise moves them without bound. Use weight_decay > 0, the prior's precision times the temperature, "
                f"or leave out the columns that are constant or sums of others."
            )
        if self.sgd.tempered and self.average is not None:
            raise InvalidInput(
                f"the law of {self.sgd.OPTIMISER} is of its draws, and not of an average of the weights along the run. "
                f"Leave average out."
            )

    @cached_property
    def settled(self) -> Array:
        """Stationary S at which gradients are taken, of both noises."""
        if self.thermal.silent:
            return self.stationary_state(self.noise, self.problem.precision)
        theta = self._theta()
        return theta + self.stationary_state(self.source_at(theta), self.problem.precision)

    def _theta(self) -> Array:
        """Theta, (r, r)."""
        return np.diag(self.thermal.variances(self.thermal.at_rest))

    def heat(self, steps: Sequence[int] | None = None, rtol: float = 0.0) -> Array:
        """S of thermal noise alone, with what it feeds back, stationary or averaged over `steps`, (r, r).

        Outputs have equal shares of it and nothing in common.
        """
        if self.thermal.silent:
            return np.zeros((self.problem.rank,) * 2)
        if steps is not None:
            return self.heat_after(steps, rtol)
        theta = self._theta()
        return theta + self.stationary_state(self.source_at(theta) - self.noise, max(rtol, self.problem.precision))

    def heat_of(self, k: int, l: int, steps: Sequence[int] | None = None, rtol: float = 0.0) -> Array:  # noqa: E741
        """S_kl of thermal noise alone."""
        return self.heat(steps, rtol) / self.problem.outputs * (k == l)

    @property
    def heat_as_source(self) -> float | None:
        """What each weight's thermal noise is as noise of its gradient, where both enter a step as one vector (F98).

        None where they do not: thermal noise of BAOA meets two steps in another way.
        """
        step, lr = self.sgd.step, self.sgd.lr
        if self._flows:
            return 2 * step.temperature / step.effective_lr(lr)
        warm, push = step.thermal(lr), step.at(lr)[1]
        share = float(warm @ push) / float(push @ push)
        return share**2 if np.allclose(warm, share * push, rtol=1e-12, atol=0.0) else None

    def refuse_between(self, what: str) -> None:
        """Raise `InvalidInput` where the weights that are shown are not those of the chain, whose law `what` needs."""
        if self.shows_elsewhere:
            raise InvalidInput(
                f"{what} is of the positions where gradients are taken, and {self.sgd.OPTIMISER} shows those half a "
                f"drift before. Use fluctua.OBABO of the same lr and friction: its positions are these."
            )

    @property
    def shows_elsewhere(self) -> bool:
        """Whether the weights that are shown are not those at which gradients are taken."""
        return self.average is None and self.kernel.observed is not self.kernel.readout

    def shown(self, covariance: Array) -> Array:
        """Stationary second moment of what is looked at, given S where gradients are taken."""
        if self.average is not None:
            return self.averaged(covariance)
        if not self.shows_elsewhere:
            return covariance
        theta = np.diag(self.thermal.variances(self.thermal.at_rest, shown=True))
        return np.asarray(theta + self.kernel.phi(observed=True) * self.source_at(covariance))

    @property
    def momenta(self) -> Array:
        """E p^2 of the stationary momentum in each mode, summed over outputs, where the sampler reads it, (r,)."""
        lr, step, h = self.sgd.lr, self.sgd.step, self.minimum.curvatures
        assert isinstance(step.later, KineticMotion)
        push, read, noise = step.at(lr)[1], step.later.momentum(lr), np.diag(self.source_at(self.settled))
        row = read.row[:, None] + read.push * np.outer([1.0, 0.0], h)
        moments = self.thermal.driven(np.multiply.outer(np.outer(push, push), noise))
        found = np.einsum("ip,ijp,jp->p", row, moments, row) + read.push**2 * noise
        return np.asarray(found + self.problem.outputs * read.warm**2)

    def loss_outside(self, steps: Sequence[int] | Ints | None) -> Array:
        """Loss of thermal noise in directions that no data point has, stationary, (1,), or at `steps`, (n,)."""
        variances = self.variance_outside(steps)
        variances *= 0.5 * self.sgd.weight_decay * self.outside
        return variances

    def variance_outside(self, steps: Sequence[int] | Ints | None) -> Array:
        """Variance of one such direction (F97), summed over outputs, stationary, (1,), or at `steps`, (n,)."""
        thermal = self.thermal_outside
        if thermal.silent or not self.outside:
            return np.zeros(1 if steps is None else len(steps))
        if steps is None:
            return thermal.variances(thermal.at_rest, shown=True).copy()
        return thermal.read(steps, np.ones(1))

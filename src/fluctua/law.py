"""One rung of the ladder of theories for one recipe: its kernel, its source, its balance solved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from . import stationary
from .kernels import Kernel, gradient_step, langevin_flow
from .problem import LeastSquares, Minimum
from .relaxation import Relaxation
from .sgd import SGD

__all__ = ["LEVELS", "Law", "Level"]

Array = NDArray[np.float64]
Level = Literal["exact", "discrete", "langevin", "hessian", "equilibrium"]
LEVELS: tuple[Level, ...] = ("exact", "discrete", "langevin", "hessian", "equilibrium")


@dataclass(frozen=True)
class Law:
    """The balance S = Phi o kappa (C + K[S]) at one level of the ladder (theory.md section 2).

    The "equilibrium" level carries the exact balance: it keeps nothing of it but the excess loss.
    """

    problem: LeastSquares
    sgd: SGD
    level: Level

    @cached_property
    def minimum(self) -> Minimum:
        """W* and the noise there, at the recipe's weight decay."""
        return self.problem.minimum(self.sgd.weight_decay)

    @cached_property
    def kappa(self) -> float:
        """Sampling factor of one batch mean."""
        return self.sgd.sampling_factor(self.problem.samples)

    @cached_property
    def kernel(self) -> Kernel:
        """What one step does to a pair of modes."""
        return self._kernel_at(self.minimum.curvatures)

    @cached_property
    def null_decay(self) -> float:
        """m of a direction that no data point has: only weight decay moves it."""
        return float(self._kernel_at(np.array([self.sgd.weight_decay])).decay[0])

    def _kernel_at(self, curvatures: Array) -> Kernel:
        flow = self.level in ("langevin", "hessian")
        return (langevin_flow if flow else gradient_step)(curvatures, self.sgd.lr)

    @property
    def feeds_back(self) -> bool:
        """Whether the source depends on S."""
        return self.level in ("exact", "equilibrium") and self.kappa > 0

    @cached_property
    def noise(self) -> Array:
        """C, (r, r); for "hessian" the common stand-in 2 L(W*) A, with the data part of the loss."""
        if self.level != "hessian":
            return self.minimum.noise
        return np.diag(self.minimum.squared_residuals.mean() * self.problem.curvatures)

    def solve(self, source: Array, steps: Sequence[int] | None, rtol: float) -> Array:
        """S of this balance with `source` in the place of C: stationary, or from S = 0 averaged over `steps`."""
        if steps is not None:
            feeding = (lambda s, _: source + self.problem.feedback(s)) if self.feeds_back else source
            return self.relax(feeding, np.zeros_like(source), None, steps, rtol)
        phi = self.kappa * self.kernel.stationary
        if not self.feeds_back:
            return phi * source
        return stationary.solve(phi, source, self.problem.feedback, rtol=100 * self.problem.precision)

    def relax(
        self,
        source: Array | Callable[[Array, Array | None], Array],
        covariance: Array,
        mean: Array | None,
        steps: Sequence[int],
        rtol: float,
    ) -> Array:
        """S(t) averaged over `steps`, from `covariance` and `mean`."""
        total = np.zeros_like(covariance)
        for _, state in self.relaxation(source, covariance, mean, rtol).states(steps):
            total += state
        return total / len(steps)

    def relaxation(
        self,
        source: Array | Callable[[Array, Array | None], Array],
        covariance: Array,
        mean: Array | None,
        rtol: float,
    ) -> Relaxation:
        """F0 from a start; `rtol` no finer than the products over samples are."""
        tolerance = max(rtol, 10 * self.problem.precision)
        return Relaxation(self.kernel, self.kappa, source, covariance, mean, tolerance)

    @property
    def source_from_start(self) -> Array | Callable[[Array, Array | None], Array]:
        """G(S, E V) of F0, X(E V) included."""
        return self.minimum.source if self.feeds_back else self.noise

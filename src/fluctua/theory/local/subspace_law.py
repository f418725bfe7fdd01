"""The balance F1 of a recipe in a subspace: its kernel, its source, its stationary state, its limit and its course."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from ..._arrays import Array
from ...kernels.constant import Kernel
from ...kernels.flow import langevin_flow
from ...kernels.momentum import step_kernel
from ...kernels.time_varying import Course, course
from ...recipe.sgd import Recipe
from ..fixed_points import NoStationaryState, solve
from ..source import BatchNoise
from ..stability import limit_of
from ..transient import Relaxation
from .subspace import Subspace

__all__ = ["SUBSPACE_RUNGS", "SubspaceLaw", "SubspaceRung"]

SubspaceRung = Literal["multiplicative", "discrete", "langevin"]
SUBSPACE_RUNGS: tuple[SubspaceRung, ...] = ("multiplicative", "discrete", "langevin")


@dataclass(frozen=True, eq=False)
class SubspaceLaw:
    """S = Phi o kappa (C + K[S]) in the subspace (F87), or a rung below it, for independent batches.

    Rungs: "multiplicative" is F87; "discrete" leaves out K; "langevin" is in continuous time, too.
    """

    subspace: Subspace
    sgd: Recipe
    rung: SubspaceRung = "multiplicative"

    @cached_property
    def source(self) -> BatchNoise[Subspace]:
        """The covariance of the gradient of one batch."""
        return BatchNoise(self.subspace, self.sgd.sampler, self.sgd.batch_size)

    @property
    def feeds_back(self) -> bool:
        """Whether the source depends on S."""
        return self.rung == "multiplicative" and self.source.kappa > 0

    @cached_property
    def kernel(self) -> Kernel:
        """What one step does to a pair of modes."""
        if self.rung == "langevin":
            return langevin_flow(self.subspace.curvatures, self.sgd.step.effective_lr(self.sgd.lr))
        return step_kernel(self.subspace.curvatures, self.sgd.step, self.sgd.lr)

    @cached_property
    def max_stable_lr(self) -> float:
        """The learning rate above which variances in the subspace grow without bound in the quadratic picture (F12)."""
        if self.feeds_back:
            return limit_of(self.source, self.sgd.step)
        return self.sgd.step.mean_limit(self.subspace.curvatures)

    def stationary(self) -> Array:
        """S, (k, k); raises `NoStationaryState` at the crossover and above."""
        if self.sgd.lr >= self.max_stable_lr and self.rung != "langevin":
            raise NoStationaryState
        return self._solved(self.source.noise)

    def _solved(self, source: Array) -> Array:
        phi = self.kernel.stationary
        if not self.feeds_back or not source.any():
            return np.asarray(phi * source)
        return solve(phi, source, self.source.feedback, rtol=self.subspace.precision)

    def feedback_error(self, covariance: Array) -> float:
        """One standard error of the excess loss, by the samples whose Hessians were drawn; from the adjoint state."""
        if not self.feeds_back:
            return 0.0
        return self.source.kappa * self.subspace.feedback_error(self._adjoint, covariance)

    def excess_of(self, noise: Array) -> Array:
        """Return the excess loss that noise beside C makes, of each in a stack (..., k, k): linear, by the adjoint."""
        return np.asarray(self.source.kappa * np.einsum("pq,...pq->...", self._adjoint, noise))

    @cached_property
    def _adjoint(self) -> Array:
        return self._solved(np.diag(0.5 * self.subspace.curvatures))

    def after(self, steps: Sequence[int], rtol: float) -> Array:
        """S after `steps` steps from W*, averaged over them, (k, k)."""
        h, noise = self.subspace.curvatures, self.source.noise
        source = (lambda s, _: noise + self.source.feedback(s)) if self.feeds_back else noise
        run = Relaxation(self._motion(max(steps)), source, noise, np.zeros_like(noise), None, rtol, h)
        return run.average(steps)[0]

    def _motion(self, steps: int) -> Kernel | Course:
        if self.sgd.schedule is None:
            return self.kernel
        self.sgd.schedule.refuse_beyond(steps)
        return course(self.subspace.curvatures, self.sgd, None, steps)

r"""The rungs: S, the excess loss and the drift of Bal of a two-layer net, stationary and at finite time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ...errors import UnstableSGD
from ...kernels.constant import Kernel, gradient_step
from ...kernels.flow import langevin_flow
from ...recipe.sgd import SGD
from ...theory.fixed_points import NoStationaryState, solve
from ...theory.radius import unit_radius
from ...theory.transient import Relaxation
from .frame import Frame
from .ladder import ADDITIVE, LayerRung
from .march import March, noise_of
from .moments import Samples
from .net import TwoLayer

__all__ = ["LayerLaw", "LayerState"]

_PRECISION = 1e-10  # of a stationary state
_ROUNDING = 1e-14


@dataclass(frozen=True)
class LayerState:
    """What a rung says.

    Attributes
    ----------
    covariance : ndarray, (q, q)
        S in the modes of H at the start.
    excess_loss : float
    frame : Frame
        Where the last step is.
    drift : ndarray, (h, h), or None
        E Bal at the last step less that at the start; None of a stationary state.
    """

    covariance: Array
    excess_loss: float
    frame: Frame
    drift: Array | None


@dataclass(frozen=True, eq=False)
class LayerLaw:
    """One rung for one net and one recipe.

    Attributes
    ----------
    net : TwoLayer
    sgd : SGD
    rung : str
    bends : bool
        Whether K has the second derivative of the net; without, the law is wrong on purpose.
    """

    net: TwoLayer
    sgd: SGD
    rung: LayerRung
    bends: bool = True

    @property
    def frame(self) -> Frame:
        """The start."""
        return self.net.frame

    @cached_property
    def samples(self) -> Samples:
        """What makes K[S] of S."""
        return self.net.samples if self.bends else self.net.samples.straight()

    @cached_property
    def kappa(self) -> float:
        """The sampling factor."""
        return self.sgd.sampling_factor(self.net.problem.samples)

    @cached_property
    def noise(self) -> Array:
        """C at the start, (n, n); on the isotropic rung 2 L* H / c."""
        if self.rung == "isotropic":
            return np.asarray(2 * self.net.optimum_loss / self.frame.outputs * self.frame.hessian)
        return noise_of(self.frame, self.net.samples.product)

    def inside(self, matrix: Array) -> Array:
        """A matrix in the modes of H at the start, (q, q)."""
        return np.asarray(self.frame.modes.T @ matrix @ self.frame.modes)

    def feedback(self, covariance: Array) -> Array:
        """K[S] in these modes, (q, q)."""
        modes = self.frame.modes
        return self.inside(self.samples.felt(self.frame, modes @ covariance @ modes.T).feedback)

    @property
    def kernel(self) -> Kernel:
        """The dissipation kernel of the modes at the start."""
        make: Callable[[Array, float], Kernel] = gradient_step if self.rung != "langevin" else langevin_flow
        return make(self.frame.curvatures, self.sgd.lr)

    @cached_property
    def rate(self) -> Array:
        """The drift of E Bal per step where nothing has fluctuated yet, (h, h)."""
        return np.asarray(self.sgd.lr**2 * self.kappa * self.frame.imbalance(self.noise))

    @cached_property
    def limit(self) -> float:
        """The largest stable rate of the linear rung: where the covariance about the start ceases to be bounded."""
        h, k = self.frame.curvatures / self.frame.curvatures[0], float(self.frame.curvatures[0])
        if self.kappa == 0.0:
            return self.net.edge

        def scaled(covariance: Array) -> Array:
            return self.kappa * self.feedback(covariance) / k / k

        return unit_radius(scaled, lambda lr: gradient_step(h, lr), 2.0, len(h), _ROUNDING) / k

    def stationary(self) -> LayerState:
        """Return the quasi-stationary state about the start: the frame is held."""
        source, kappa = self.inside(self.noise), self.kappa
        if self.rung == "isotropic":
            found = np.eye(len(source)) * (self.sgd.lr * kappa * self.net.optimum_loss / self.frame.outputs)
        elif self.rung in ADDITIVE:
            found = kappa * self.kernel.stationary * source
        else:
            found = self._settled(source)
        return LayerState(found, self._loss(found), self.frame, None)

    def _settled(self, source: Array) -> Array:
        if self.kappa == 0.0:
            return np.zeros_like(source)
        try:
            return solve(self.kappa * self.kernel.stationary, source, self.feedback, _PRECISION)
        except NoStationaryState:
            raise UnstableSGD(self.sgd.lr, self.limit) from None

    def _loss(self, covariance: Array) -> float:
        return 0.5 * float(self.frame.curvatures @ np.diag(covariance))

    def after(self, steps: Sequence[int], nodes: int) -> LayerState:
        """Return the average over the sorted steps, from the start, and the drift at the last of them."""
        if self.rung not in ADDITIVE:
            return self._followed(steps, nodes)
        last = int(steps[-1])
        drift = last * self.rate
        if self.rung == "isotropic":
            state = self.stationary()
            return LayerState(state.covariance, state.excess_loss, self.frame, drift)
        source = self.kappa * self.inside(self.noise)
        run = Relaxation(self.kernel, source, source, np.zeros_like(source), None, _PRECISION)
        covariance = run.average(list(steps))[0]
        return LayerState(covariance, self._loss(covariance), self.frame, drift)

    def _followed(self, steps: Sequence[int], nodes: int) -> LayerState:
        counts = {int(step): list(steps).count(step) for step in steps}
        march = March(self.samples, self.frame, self.sgd.lr, self.kappa, self.rung == "drifting")
        total, loss = np.zeros((len(self.frame.curvatures),) * 2), 0.0
        for state in march.states(sorted(counts), nodes):
            share = counts[state.step] / len(steps)
            total += share * self.inside(state.covariance)
            loss += share * 0.5 * float(np.vdot(state.frame.hessian, state.covariance))
        return LayerState(total, loss, state.frame, state.balance - self.frame.balance)

r"""The rungs of a two-layer net, stationary and at finite time: S, excess loss, drift of Bal (F107, F112)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from .loss import displacement, expected_loss, quadratic_loss
from .march import Drifted, March, bend, noise_of
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
        E L(W) - L*; on the rungs without K, 1/2 tr(H S).
    quadratic_loss : float
        1/2 tr(H S).
    frame : Frame
        Where the last step is.
    drifts : ndarray, (n, h, h), or None
        E Bal less that at the start, at each of the steps; None of a stationary state.
    """

    covariance: Array
    excess_loss: float
    quadratic_loss: float
    frame: Frame
    drifts: Array | None


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
        source, kappa, feels = self.inside(self.noise), self.kappa, self.rung not in ADDITIVE
        if self.rung == "isotropic":
            found = np.eye(len(source)) * (self.sgd.lr * kappa * self.net.optimum_loss / self.frame.outputs)
        elif self.rung in ADDITIVE:
            found = kappa * self.kernel.stationary * source
        else:
            found = self._settled(source)
        quadratic = self._loss(found)
        return LayerState(found, self._displaced(found) if feels else quadratic, quadratic, self.frame, None)

    def _displaced(self, covariance: Array) -> float:
        """E L(W) - L* with the mean at rest where S displaces it."""
        whole = self.frame.modes @ covariance @ self.frame.modes.T
        return expected_loss(self.frame, whole, displacement(self.frame, bend(self.frame, whole)))

    def _settled(self, source: Array) -> Array:
        if self.kappa == 0.0:
            return np.zeros_like(source)
        try:
            return solve(self.kappa * self.kernel.stationary, source, self.feedback, _PRECISION)
        except NoStationaryState:
            raise UnstableSGD(self.sgd.lr, self.limit) from None

    def _loss(self, covariance: Array) -> float:
        return 0.5 * float(self.frame.curvatures @ np.diag(covariance))

    def over(self, windows: Sequence[Sequence[int]], nodes: int) -> list[LayerState]:
        """Return the average over each window of sorted steps, from the start."""
        if self.rung not in ADDITIVE:
            return self._followed(windows, nodes)
        return [self._added(window) for window in windows]

    def _added(self, steps: Sequence[int]) -> LayerState:
        """The average of a rung whose noise does not feel the fluctuation: closed forms."""
        drifts = np.asarray(steps, float)[:, None, None] * self.rate
        if self.rung == "isotropic":
            return replace(self.stationary(), drifts=drifts)
        source = self.kappa * self.inside(self.noise)
        run = Relaxation(self.kernel, source, source, np.zeros_like(source), None, _PRECISION)
        covariance = run.average(list(steps))[0]
        loss = self._loss(covariance)
        return LayerState(covariance, loss, loss, self.frame, drifts)

    def _followed(self, windows: Sequence[Sequence[int]], nodes: int) -> list[LayerState]:
        march = March(self.samples, self.frame, self.sgd.lr, self.kappa, self.rung == "drifting")
        found = [_Sum(len(window)) for window in windows]
        for state in march.states(sorted({step for window in windows for step in window}), nodes):
            for window, total in zip(windows, found, strict=True):
                for _ in range(list(window).count(state.step)):
                    total.add(state, self.inside(state.covariance), state.balance - self.frame.balance)
        return [total.state() for total in found]


class _Sum:
    """A window's average, added up."""

    def __init__(self, count: int) -> None:
        self.count, self.loss, self.quadratic = count, 0.0, 0.0
        self.covariance: Array | float = 0.0
        self.drifts: list[Array] = []

    def add(self, state: Drifted, inside: Array, drift: Array) -> None:
        """Take in a step."""
        self.covariance = self.covariance + inside / self.count
        self.loss += expected_loss(state.frame, state.covariance, state.mean) / self.count
        self.quadratic += quadratic_loss(state.frame, state.covariance) / self.count
        self.drifts.append(drift)
        self.frame = state.frame

    def state(self) -> LayerState:
        """Return the average."""
        return LayerState(np.asarray(self.covariance), self.loss, self.quadratic, self.frame, np.array(self.drifts))

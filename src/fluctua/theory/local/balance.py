r"""The stationary states of a local picture, rung by rung: S = Phi o kappa (C + K[S] + X[S]) (F74)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ...errors import InvalidInput, NotConverged
from ...kernels.constant import Kernel
from ...kernels.flow import langevin_flow
from ...kernels.momentum import step_kernel
from ...problem.softmax.base import Head
from ...problem.softmax.leading import Leading
from ...problem.softmax.optimum import HeadMinimum
from ...problem.softmax.picture import Picture
from ...recipe.sgd import Recipe
from ..fixed_points import NoStationaryState, fixed_point, solve
from ..reshuffling.stationary import Cycle
from ..source import BatchNoise
from ..stability import limit_of
from ..stable_limit import StableLimit
from .closure import Closure
from .epoch_error import LeftOut
from .epochs import epoch_phi
from .head_shuffle import HeadShuffle, bent_epochs, twin_epochs
from .ladder import LocalRung

__all__ = ["Balance", "LocalState"]

_RTOL = 1e-7  # of S, relative; the theory is no finer


@dataclass(frozen=True)
class LocalState:
    """A law of V = W - W* in the modes.

    Attributes
    ----------
    covariance : ndarray, (r, r)
        E[V V^T], the square of the mean included.
    mean : ndarray, (r,)
        E V.
    excess_loss : float
    error : float
        Of it: one standard error where Gaussian draws were averaged over, and at most that of modes left out; else 0.
    """

    covariance: Array
    mean: Array
    excess_loss: float
    error: float = 0.0


@dataclass(frozen=True)
class Balance:
    """One recipe near the optimum of one head.

    Attributes
    ----------
    problem : Softmax or Logistic
    sgd : Recipe
    rough : bool
        Whether F44 is all that batches of shuffled epochs remember: cheap, off by about the mean leverage.
    """

    problem: Head
    sgd: Recipe
    rough: bool = False

    @cached_property
    def minimum(self) -> HeadMinimum:
        """W* and the derivatives there, at the recipe's weight decay."""
        return self.sgd.seen(self.problem).minimum(self.sgd.weight_decay)

    @property
    def picture(self) -> Picture:
        """Curvatures, noise and feedback in the modes."""
        return self.minimum.picture

    @cached_property
    def source(self) -> BatchNoise[Picture]:
        """The covariance of the gradient of one batch."""
        return BatchNoise(self.picture, self.sgd.sampler, self.sgd.batch_size)

    def kernel(self, curvatures: Array, rung: LocalRung = "discrete") -> Kernel:
        """What one step does to a pair of modes."""
        if rung == "langevin":  # overdamped: without inertia, momentum only changes the rate
            return langevin_flow(curvatures, self.sgd.step.effective_lr(self.sgd.lr))
        return step_kernel(curvatures, self.sgd.step, self.sgd.lr)

    def phi(self, curvatures: Array, rung: LocalRung = "discrete") -> Array:
        """Return the dissipation kernel of pairs of modes, (r, r): S is Phi o kappa times the source."""
        if self.sgd.epochs and self.source.kappa > 0:
            return epoch_phi(curvatures, self.sgd, self.picture.population)
        return self.kernel(curvatures, rung).stationary

    @cached_property
    def epochs(self) -> HeadShuffle | None:
        """The law of one epoch of the quadratic twin, where batches come in shuffled ones, unless roughly."""
        if self.rough:
            return None
        return twin_epochs(self.picture, self.sgd) if self.sgd.epochs and self.source.kappa > 0 else None

    @cached_property
    def left_out(self) -> LeftOut | None:
        """What the law of epochs leaves out, where there is one, unless roughly (F167)."""
        return None if self.epochs is None else LeftOut(self)

    @cached_property
    def limit(self) -> StableLimit:
        """The largest rate at which the quadratic picture has a stationary state (F76).

        Of leading modes alone it is too high, by about what half of them change. Shuffled epochs are given that of
        independent batches.
        """
        picture, step = self.picture, self.sgd.step
        found, error = limit_of(self.source, step), 0.0
        if isinstance(picture, Leading):
            half = BatchNoise(picture.first(picture.rank // 2), self.sgd.sampler, self.sgd.batch_size)
            error = abs(limit_of(half, step) - found)
        return StableLimit(found, "independent batches" if self.sgd.epochs else "local", error)

    def state(self, rung: LocalRung) -> LocalState:
        """Return the stationary state on a rung.

        Raises
        ------
        NoStationaryState
            Where it has none.
        NotConverged
            Where it was not found.
        """
        if not self.kernel(self.picture.curvatures, rung).contracts:
            raise NoStationaryState
        return getattr(self, f"_{rung}")  # type: ignore[no-any-return]

    @cached_property
    def _langevin(self) -> LocalState:
        return self._quadratic(self.phi(self.picture.curvatures, "langevin") * self.source.noise, rung="langevin")

    @cached_property
    def _discrete(self) -> LocalState:
        return self._quadratic(self._phi * self.source.noise)

    @cached_property
    def _multiplicative(self) -> LocalState:
        source = self.source
        if source.kappa == 0.0:
            return self._discrete
        if (self.epochs or self.sgd.step.slots > 1) and self.sgd.lr >= self.limit:  # where a solution proves nothing
            raise NoStationaryState
        if self.epochs:
            covariance, mean = Cycle(self.epochs).settled_at(None)
            return self._quadratic(covariance, mean[0])
        return self._quadratic(solve(self._phi, source.noise, source.feedback, self.picture.precision))

    @cached_property
    def _anharmonic(self) -> LocalState:
        if self.source.kappa == 0.0:
            return self._discrete
        covariance, still = self._bent()
        if not self._positive(covariance):
            raise NoStationaryState
        shift = self.picture.shift(covariance)
        crossed = np.multiply.outer(shift, still + 0.5 * shift)
        return self._quadratic(covariance + crossed + crossed.T, still + shift)

    def _bent(self) -> tuple[Array, Array]:
        """S with third derivatives, and E V without the shift that they make, whose square S has, too."""
        phi, source, picture = self._phi, self.source, self.picture
        begun = self._multiplicative
        if self.epochs:
            return Cycle(bent_epochs(self.epochs)).settled_at(None)[0], begun.mean

        def once(s: Array) -> Array:
            return np.asarray(phi * (source.noise + source.kappa * picture.felt(s)))

        found = fixed_point(once, once, begun.covariance, max(_RTOL, 10 * picture.precision), slow=0.5)[0]
        return found, begun.mean

    @cached_property
    def _closure(self) -> LocalState:
        if not self.picture.complete:
            raise InvalidInput(
                f"theory='closure' draws weights from all modes, and this head has {self.minimum.place.theta.size:,}, "
                f"of which the {self.picture.rank} steepest are known. Use 'anharmonic', or fewer inputs."
            )
        if self.source.kappa == 0.0:
            return self._discrete
        found = Closure(self.picture, self.source.kappa, self.kernel).settled(self._multiplicative.covariance)
        whole = found.covariance + np.multiply.outer(found.mean, found.mean)
        return LocalState(whole, found.mean, found.excess_loss, found.error)

    @cached_property
    def _phi(self) -> Array:
        return self.phi(self.picture.curvatures)

    def _positive(self, covariance: Array) -> bool:
        """Whether all variances are; of modes alone in epochs, whose law is of first order (F167)."""
        least = np.diag(covariance).min() if self.epochs else np.linalg.eigvalsh(covariance)[0]
        return bool(np.isfinite(covariance).all() and least >= -1e-6 * np.trace(covariance))

    def _quadratic(self, covariance: Array, mean: Array | None = None, rung: LocalRung = "discrete") -> LocalState:
        """The state whose excess loss is that of the quadratic, 1/2 tr(H S)."""
        h = self.picture.curvatures
        rest, error = self._beyond(rung)
        inside = float(0.5 * h @ np.diag(covariance))
        return LocalState(covariance, np.zeros_like(h) if mean is None else mean, inside + rest, error)

    def _beyond(self, rung: LocalRung) -> tuple[float, float]:
        """Excess loss in modes that are left out, driven by C alone, and how far it is off at most (F79).

        They are as flat as weight decay at least, and as steep as the flattest mode that is there at most.
        """
        picture = self.picture
        if picture.complete:
            return 0.0, 0.0
        ends = np.array([self.sgd.weight_decay or 1e-9 * picture.curvatures[0], picture.curvatures[-1]])
        each = 0.5 * ends * np.diag(self.phi(ends, rung)) * self.source.kappa * picture.noise_beyond
        return float(each.mean()), float(0.5 * abs(each[1] - each[0]))

    @cached_property
    def anharmonicity(self) -> float:
        """U = floor(K + X)/floor(K) - 1, infinite where one of the two does not exist (F75)."""
        try:
            quadratic, bent = self.state("multiplicative"), self.state("anharmonic")
        except (NoStationaryState, NotConverged):
            return float("inf")
        if quadratic.excess_loss == 0.0:
            return 0.0
        return bent.excess_loss / quadratic.excess_loss - 1

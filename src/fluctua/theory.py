"""Predictions: the ladder of theories, stationary and at finite time, and the learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import stationary
from ._validate import choice, positive_int, real_number, step_list
from .averaging import Average
from .errors import InvalidInput, UnstableSGD
from .law import LEVELS, Law, Level
from .problem import LeastSquares
from .sgd import SGD
from .stability import max_stable_lr, mean_stable_lr, warn_unstable
from .start import Start

__all__ = ["Prediction", "learning_curve", "predict"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    r"""What SGD's weights do around the optimum, as numbers; made by `predict`, never by hand.

    Every quantity is about V = W - W* and is either stationary (`steps` is None) or at the given step, or
    averaged over the given steps. S = E[V^T V] is summed over outputs and, from a start other than W*,
    includes the square of the mean.

    Attributes
    ----------
    theory : str
        Level of the ladder.
    steps : tuple of int, or None
    mode_covariance : ndarray, (r, r)
        U^T S U.
    curve : ndarray, (t + 1,), or None
        Learning curve up to the last step, if `after` was asked for it.
    """

    law: Law
    mode_covariance: Array
    steps: tuple[int, ...] | None = None
    start: Start | None = None
    rtol: float = 1e-6
    curve: Array | None = None

    @property
    def theory(self) -> Level:
        """Level of the ladder."""
        return self.law.level

    @property
    def curvatures(self) -> Array:
        """h_p of H = A + gamma I, largest first, (r,)."""
        return self.law.minimum.curvatures

    @property
    def modes(self) -> Array:
        """Columns are the eigenvectors for `curvatures`, (d, r)."""
        return self.law.problem.modes

    @property
    def optimum(self) -> Array:
        """W*, (c, d)."""
        return self.law.minimum.weights

    @property
    def optimum_loss(self) -> float:
        """L(W*), weight decay included."""
        return self.law.minimum.loss

    @property
    def excess_loss(self) -> float:
        """E L(W) - L(W*) = 1/2 tr(H S)."""
        outside = 0.0 if self.steps is None else float(_outside(self.law, self.start, np.array(self.steps)).mean())
        return float(0.5 * self.curvatures @ self.mode_variances) + outside

    @property
    def mode_variances(self) -> Array:
        """S_pp, summed over outputs, (r,)."""
        return np.diag(self.mode_covariance)

    @property
    def temperatures(self) -> Array:
        """T_p = h_p S_pp / c, the mode temperature, (r,): equal for all modes only in equilibrium."""
        return self.curvatures * self.mode_variances / self.law.problem.outputs

    @property
    def relaxation_steps(self) -> Array:
        """Steps in which E V of a mode shrinks by e, -1/log|m_p| (plain SGD: about 1/(eta h_p)), (r,).

        m_p is 1 - eta h_p; with momentum the larger of its two eigenvalues.
        """
        kernel = self.law.kernel
        return _relaxation_steps(np.abs(kernel.decay).reshape(kernel.components, kernel.modes).max(axis=0))

    @cached_property
    def covariance(self) -> Array:
        """S in the coordinates of the inputs, (d, d); infinite where no stationary state exists."""
        if self._unbounded:
            return np.full((len(self.modes),) * 2, np.inf)
        inside = self.modes @ self.mode_covariance @ self.modes.T
        if self.start is None or self.steps is None or not self.start.null.any():
            return inside
        inner, outer = self._drifts(self.steps)
        for within, without in zip(inner, outer, strict=True):
            drift, null = (self.start.modes * within) @ self.modes.T, self.start.null * without
            inside += (drift.T @ null + null.T @ drift + null.T @ null) / len(self.steps)
        return inside

    @property
    def mean(self) -> Array:
        """E V, (c, d): zero when stationary or from W*; averaged over `steps`."""
        if self.start is None or self.steps is None:
            return np.zeros_like(self.optimum)
        drift, null = (factors.mean(axis=0) for factors in self._drifts(self.steps))
        return np.asarray((self.start.modes * drift) @ self.modes.T + self.start.null * null)

    def _drifts(self, steps: tuple[int, ...]) -> tuple[Array, Array]:
        """Factors of E V in the modes, (n, r), and outside them, (n, 1), at each of `steps`."""
        motions = self.law.motion(max(steps)), self.law.null_motion(max(steps))
        inner, outer = (motion.drift(steps, observed=True) for motion in motions)
        return inner, outer

    @cached_property
    def output_covariance(self) -> Array:
        """Covariance of the outputs' fluctuation over the data, <V x x^T V^T>_kl = tr(A S_kl), (c, c).

        One adjoint solve serves all elements (theory.md section 2), at finite time too, because the map of F0 is its
        own adjoint under the trace. Its trace is tr(A S). Stationary or from W* only.
        """
        self._refuse_start("output_covariance")
        if self.steps is not None and self.law.sgd.schedule is not None:
            raise InvalidInput("output_covariance at finite time needs a constant learning rate: the balance under a "
                               "schedule is not its own adjoint. Use output_block(k, l).")  # fmt: skip
        if self._unbounded:
            return np.full((self.law.problem.outputs,) * 2, np.inf)
        law, a = self.law, self.law.problem.curvatures
        if self.theory == "equilibrium":
            return float(a @ self.mode_variances) / law.problem.outputs * np.eye(law.problem.outputs)
        return _contract(law, law.solve(np.diag(a), self.steps, self.rtol))

    def output_block(self, k: int, l: int) -> Array:  # noqa: E741  (theory.md's output indices)
        """S_kl = E[v_k v_l^T] for output rows k and l, symmetrised, in the modes, (r, r); one solve with C_kl.

        Stationary or from W* only; not defined on the "hessian" and "equilibrium" levels, which know only the sum.
        """
        self._refuse_start("output_block")
        if self.theory in ("hessian", "equilibrium"):
            raise InvalidInput(f"theory={self.theory!r} models the sum over outputs only; use 'exact' or 'discrete'.")
        for index in (k, l):
            if positive_int("an output index", index, minimum=0) >= self.law.problem.outputs:
                raise InvalidInput(f"an output index must be below {self.law.problem.outputs}, got {index}.")
        if self._unbounded:
            return np.full_like(self.mode_covariance, np.inf)
        return self.law.solve(self.law.minimum.output_noise(k, l), self.steps, self.rtol)

    def after(
        self, steps: int | Sequence[int], *, start: ArrayLike | str = "optimum", rtol: float = 1e-6, curve: bool = False
    ) -> Prediction:
        """Return the same quantities after `steps` steps, or averaged over a sequence of them.

        Parameters
        ----------
        steps : int or sequence of int
            0 is the start itself.
        start : "optimum", "zero" or array_like, (c, d)
            W(0), without spread.
        rtol : float
            Relative accuracy asked of every mode's variance; see `fluctua.relaxation.Relaxation`. Looser is faster
            on large data, because fewer passes over them are needed.
        curve : bool
            Also keep E L(W_t) - L(W*) of every step up to the last, as `.curve`, from the same passes.
        """
        law = self.law
        wanted = tuple(int(t) for t in step_list("steps", steps))
        tolerance = real_number("rtol", rtol, above=0.0)
        begin = Start.at(law.minimum, start)
        warn_unstable(law.problem, law.sgd, wanted[-1], additive=not law.feeds_back)
        relaxation = law.relaxation(None if begin is None else begin.modes, wanted[-1], tolerance)
        averaged, losses = relaxation.average(wanted, 0.5 * law.minimum.curvatures if curve else None)
        kept = losses + _outside(law, begin, np.arange(wanted[-1] + 1)) if curve else None
        finite = replace(self, mode_covariance=averaged, steps=wanted, start=begin, rtol=tolerance, curve=kept)
        return finite if self.theory != "equilibrium" else finite.equilibrated()

    def equilibrated(self) -> Prediction:
        """Return S = c T H^-1 with the one temperature that keeps this prediction's excess loss: the lowest rung."""
        h = self.curvatures
        law = replace(self.law, level="equilibrium")
        inside = float(h @ self.mode_variances)  # twice the excess loss, without what a start left outside the modes
        return replace(self, law=law, mode_covariance=np.diag(inside / (len(h) * h)))

    @property
    def _unbounded(self) -> bool:
        """Whether no stationary state exists (`predict(..., check_stability=False)`)."""
        return self.steps is None and not np.isfinite(self.mode_covariance).all()

    def _refuse_start(self, what: str) -> None:
        if self.law.average is not None:
            raise InvalidInput(f"{what} is of the weights themselves, not of an average; predict without `average`.")
        if self.start is not None:
            raise InvalidInput(
                f"{what} is the fluctuation of a run at or from W*; this one starts elsewhere. "
                f"Use .after(steps) with start='optimum', or .covariance, the sum over outputs."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the scalars and the per-mode vectors as plain JSON types."""
        return {
            "theory": self.theory,
            "steps": None if self.steps is None else list(self.steps),
            "recipe": self.law.sgd.to_dict(),
            "average": None if self.law.average is None else self.law.average.to_dict(),
            "samples": self.law.problem.samples,
            "features": self.law.problem.features,
            "outputs": self.law.problem.outputs,
            "rank": self.law.problem.rank,
            "optimum_loss": self.optimum_loss,
            "excess_loss": self.excess_loss,
            "relative_excess_loss": self.excess_loss / self.optimum_loss if self.optimum_loss else None,
            "curvatures": self.curvatures.tolist(),
            "mode_variances": self.mode_variances.tolist(),
            "temperatures": self.temperatures.tolist(),
            "relaxation_steps": self.relaxation_steps.tolist(),
        }

    def __repr__(self) -> str:
        when = "stationary" if self.steps is None else f"after {_spell(self.steps)} steps"
        return f"Prediction({self.theory}, {when}: excess_loss={self.excess_loss:.7g}, rank={len(self.curvatures)})"


def predict(
    problem: LeastSquares,
    sgd: SGD,
    *,
    theory: Level = "exact",
    average: Average | None = None,
    check_stability: bool = True,
) -> Prediction:
    r"""Predict the stationary fluctuation of SGD around the optimum; `.after(steps)` gives it at finite time.

    Solves F1, H S + S H - eta H S H = eta kappa (C + K[S]) (theory.md section 2), or a rung below it:

    ===========  ============================================================================
    exact        F1: any learning rate, any batch size, any data; independent batches
    discrete     K dropped: the noise does not feel the fluctuation
    langevin     and continuous time, H S + S H = eta kappa C, the source paper's form
    hessian      and C replaced by 2 L(W*) A
    equilibrium  S = c T H^-1, one temperature chosen to match the exact excess loss
    ===========  ============================================================================

    Parameters
    ----------
    problem : LeastSquares
    sgd : SGD
    theory : str
    average : EMA or RunningAverage, optional
        Predict this average of the weights along the run instead of the weights: V is then the average less W*.
    check_stability : bool
        If False, a recipe beyond the stability limit gives infinite stationary values instead of an exception;
        `.after` stays exact. With a schedule that is so too: the stationary values are those at `lr`, held.

    Raises
    ------
    UnstableSGD
        If no stationary state exists (theory.md section 6).

    Notes
    -----
    Cost: 4 N r^2 flops per application of K, 3 to 10 of them; the lower rungs need none but C.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> prediction = fl.predict(problem, fl.SGD(lr=0.05, batch_size=8))
    >>> print(f"{prediction.excess_loss:.7f}")
    0.0093549
    >>> print(f"{prediction.after(100).excess_loss:.4f}")
    0.0088
    """
    choice("theory", theory, LEVELS)
    law = Law(problem, sgd, theory, average)
    try:
        if not law.kernel.contracts:
            raise stationary.NoStationaryState
        covariance = law.solve(law.noise, steps=None, rtol=problem.precision)
        if law.kernel.components > 1 and not _positive(covariance):
            raise stationary.NoStationaryState
        if average is not None:
            covariance = law.averaged(covariance)
    except stationary.NoStationaryState:
        if check_stability and sgd.schedule is None:
            limit = max_stable_lr if law.feeds_back else mean_stable_lr
            raise UnstableSGD(sgd.lr, limit(problem, sgd)) from None
        covariance = np.full((problem.rank,) * 2, np.inf)
    prediction = Prediction(law, covariance)
    return prediction if theory != "equilibrium" else prediction.equilibrated()


def learning_curve(
    problem: LeastSquares,
    sgd: SGD,
    steps: int,
    *,
    start: ArrayLike | str = "zero",
    theory: Level = "exact",
    average: Average | None = None,
    rtol: float = 1e-6,
) -> Array:
    """Return E L(W_t) - L(W*) at every step t = 0..steps, (steps + 1,): exact, no fitting (theory.md section 3).

    Parameters
    ----------
    problem : LeastSquares
    sgd : SGD
        Need not be stable: the curve of a diverging run is as exact as any other.
    steps : int
    start : "zero", "optimum" or array_like, (c, d)
        W(0).
    theory : str
        Level of the ladder.
    average : EMA or RunningAverage, optional
        The loss of this average of the weights, instead of the weights'.
    rtol : float
        Relative accuracy asked of every mode's variance.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> problem = fl.LeastSquares(data.inputs, data.targets)
    >>> curve = fl.learning_curve(problem, fl.SGD(lr=0.05, batch_size=8), steps=200)
    >>> print(curve[[0, 1, 10, 100, 200]].round(6))
    [0.345059 0.31284  0.236022 0.070483 0.042923]
    """
    choice("theory", theory, LEVELS)
    law = Law(problem, sgd, theory, average)
    last, tolerance = positive_int("steps", steps, minimum=0), real_number("rtol", rtol, above=0.0)
    begin = Start.at(law.minimum, start)
    warn_unstable(problem, sgd, last, additive=not law.feeds_back)
    relaxation = law.relaxation(None if begin is None else begin.modes, last, tolerance)
    curve = relaxation.average([last], 0.5 * law.minimum.curvatures)[1]
    return np.asarray(curve + _outside(law, begin, np.arange(last + 1)))


def _positive(covariance: Array) -> bool:
    """Whether no direction has a negative variance: beyond the limit the balance has a solution, but not such a one.

    The map Phi o K keeps positive matrices positive, so its leading left eigenvector Y is one, and with a leading
    eigenvalue above 1 the solution has tr(Y S) < 0.
    """
    lowest, *_, highest = np.linalg.eigvalsh(covariance) if len(covariance) > 1 else [covariance[0, 0]] * 2
    return bool(lowest >= -1e-9 * abs(highest))


def _outside(law: Law, start: Start | None, steps: NDArray[np.int64]) -> Array:
    """Loss of the part of the start outside the modes at `steps`: weight decay alone knows it and moves it."""
    square = 0.0 if start is None else float(np.sum(start.null**2))
    if not square:
        return np.zeros(len(steps))
    drift = law.null_motion(int(steps.max())).drift(steps, observed=True)[..., 0]
    return np.asarray(0.5 * law.sgd.weight_decay * square * drift**2)


def _contract(law: Law, adjoint: Array) -> Array:
    """tr(adjoint C_kl) for all pairs of outputs, (c, c)."""
    minimum = law.minimum
    if law.level == "hessian":
        return minimum.residual_products(None) * float(np.sum(np.diag(adjoint) * law.problem.curvatures))
    weighted = minimum.mode_weights @ adjoint @ minimum.mode_weights.T
    return minimum.residual_products(adjoint) - minimum.weight_decay**2 * weighted


def _relaxation_steps(decay: Array) -> Array:
    shrink = np.abs(decay)
    with np.errstate(divide="ignore"):
        return np.where(shrink < 1, -1.0 / np.log(np.where(shrink < 1, shrink, 0.5)), np.inf)


def _spell(steps: tuple[int, ...]) -> str:
    return str(steps[0]) if len(steps) == 1 else f"{steps[0]}..{steps[-1]} (average of {len(steps)})"

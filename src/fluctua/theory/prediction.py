"""What a prediction says: the numbers of one law, stationary, at a step, or averaged over steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validate.values import flag, positive_int, real_number, step_list
from ..errors import InvalidInput
from ..problem.start import Start
from .correlations import TimeDomain
from .ladder import Rung
from .law import Law
from .readings import contracted, outside, refuse_curve, relaxation_steps_of, spelled
from .stability import warn_unstable
from .transient import Relaxation

__all__ = ["Prediction"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Prediction(TimeDomain):
    r"""What SGD's weights do around the optimum, as numbers; made by `predict`, never by hand.

    Every quantity is about V = W - W* and is either stationary (`steps` is None) or at the given step, or
    averaged over the given steps. S = E[V^T V] is summed over outputs and, from a start other than W*,
    includes the square of the mean.

    Attributes
    ----------
    theory : str
        Rung of the ladder.
    steps : tuple of int, or None
    mode_covariance : ndarray, (r, r)
        U^T S U.
    curve : ndarray, (t + 1,), or None
        Learning curve up to the last step, if `after` was asked for it.
    position : int or None
        Position in the epoch, for the stationary state of shuffled epochs `at` one; otherwise it is averaged over all.
    """

    law: Law
    mode_covariance: Array
    steps: tuple[int, ...] | None = None
    start: Start | None = None
    rtol: float = 1e-6
    curve: Array | None = None
    position: int | None = None
    mode_mean: Array | None = None

    @property
    def theory(self) -> Rung:
        """Rung of the ladder."""
        return self.law.level

    @property
    def when(self) -> str:
        """The time it is for, in words."""
        if self.steps is not None:
            return f"after {spelled(self.steps)} steps"
        if not self.law.sgd.epochs:
            return "stationary"
        place = "averaged over the epoch" if self.position is None else f"{self.position:,} steps into an epoch"
        return f"stationary, {place}"

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
        inside = float(0.5 * self.curvatures @ self.mode_variances)
        if self.steps is None:
            return inside
        return inside + float(outside(self.law, self.start, np.array(self.steps)).mean())

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
        return relaxation_steps_of(self.law.kernel)

    @cached_property
    def covariance(self) -> Array:
        """S in the coordinates of the inputs, (d, d); infinite where no stationary state exists."""
        if self._unbounded:
            return np.full((len(self.modes),) * 2, np.inf)
        inside = self.modes @ self.mode_covariance @ self.modes.T
        if self.start is None or self.steps is None or not self.start.null.any():
            return inside
        inner, outer = self.drifts(self.steps)
        for within, without in zip(inner, outer, strict=True):
            drift, null = (self.start.modes * within) @ self.modes.T, self.start.null * without
            inside += (drift.T @ null + null.T @ drift + null.T @ null) / len(self.steps)
        return inside

    @property
    def mean(self) -> Array:
        """E V, (c, d): zero when stationary or from W*; averaged over `steps`.

        In shuffled epochs the mean is displaced from W* by O(eta), and S includes its square.
        """
        if self.mode_mean is not None:
            inside = self.mode_mean @ self.modes.T
            return inside if self.start is None else inside + self._left_outside
        if self.start is None or self.steps is None:
            return np.zeros_like(self.optimum)
        drift, null = (factors.mean(axis=0) for factors in self.drifts(self.steps))
        return np.asarray((self.start.modes * drift) @ self.modes.T + self.start.null * null)

    @property
    def _left_outside(self) -> Array:
        """The part of E V outside the modes, (c, d)."""
        assert self.start is not None
        assert self.steps is not None
        drift = self.law.null_motion(max(self.steps)).drift(self.steps, observed=True).mean()
        return np.asarray(self.start.null * drift)

    def drifts(self, steps: int | Sequence[int]) -> tuple[Array, Array]:
        """Factors of E V in the modes, (n, r), and outside them, (n, 1), at each of `steps`."""
        wanted = step_list("steps", steps)
        motions = self.law.motion(int(wanted.max())), self.law.null_motion(int(wanted.max()))
        inner, outer = (motion.drift(wanted, observed=True) for motion in motions)
        return inner, outer

    @cached_property
    def output_covariance(self) -> Array:
        """Covariance of the outputs' fluctuation over the data, <V x x^T V^T>_kl = tr(A S_kl), (c, c).

        One adjoint solve serves all elements (theory.md section 2), at finite time too, because the map of F0 is its
        own adjoint under the trace. Its trace is tr(A S). Stationary or from W* only.
        """
        self._refuse_start("output_covariance")
        if self.steps is not None and self.law.sgd.schedule is not None:
            raise InvalidInput(
                "output_covariance at finite time needs a constant learning rate: the balance under a "
                "schedule is not its own adjoint. Use output_block(k, l)."
            )
        if self._unbounded:
            return np.full((self.law.problem.outputs,) * 2, np.inf)
        self.law.sgd.refuse_epochs("output_covariance comes from an adjoint solution")
        law, a = self.law, self.law.problem.curvatures
        if self.theory == "equilibrium":
            return float(a @ self.mode_variances) / law.problem.outputs * np.eye(law.problem.outputs)
        return contracted(law, law.solve(np.diag(a), self.steps, self.rtol))

    def output_block(self, k: int, l: int) -> Array:  # noqa: E741  (theory.md's output indices)
        """S_kl = E[v_k v_l^T] for output rows k and l, symmetrised, in the modes, (r, r); one solve with C_kl.

        Stationary or from W* only; not defined on the "hessian" and "equilibrium" rungs, which know only the sum.
        """
        self._refuse_start("output_block")
        self.law.sgd.refuse_epochs("output_block needs a source for one pair of outputs")
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
            0 is the start itself. In any order; a step that comes twice counts twice.
        start : "optimum", "zero" or array_like, (c, d)
            W(0), without spread.
        rtol : float
            Relative accuracy asked of every mode's variance; see `transient.Relaxation`. Looser is faster
            on large data, because fewer passes over them are needed.
        curve : bool
            Also keep E L(W_t) - L(W*) of every step up to the last, as `.curve`, from the same passes.

        Raises
        ------
        InvalidInput
            If a curve, a schedule or an average that runs has more steps than fit into memory.

        Notes
        -----
        With a constant learning rate, of the weights or of their `EMA`, time has closed forms: a late step costs its
        logarithm. A curve, a schedule and a `RunningAverage` cost time and memory in proportion to the steps.
        """
        law = self.law
        wanted = tuple(sorted(int(t) for t in step_list("steps", steps)))  # an average has no order
        if flag("curve", curve):
            refuse_curve(wanted[-1])
        tolerance = real_number("rtol", rtol, above=0.0)
        begin = Start.at(law.minimum, start)
        warn_unstable(law.problem, law.sgd, wanted[-1], additive=not law.feeds_back)
        relaxation = law.relaxation(None if begin is None else begin.modes, wanted[-1], tolerance)
        averaged, losses = relaxation.average(wanted, 0.5 * law.minimum.curvatures if curve else None)
        kept = losses + outside(law, begin, np.arange(wanted[-1] + 1)) if curve else None
        mean = None if isinstance(relaxation, Relaxation) else relaxation.means(wanted)
        state = replace(self, mode_covariance=averaged, mode_mean=mean, position=None)
        finite = replace(state, steps=wanted, start=begin, rtol=tolerance, curve=kept)
        return finite if self.theory != "equilibrium" else finite.equilibrated()

    def at(self, position: int) -> Prediction:
        """Return the stationary state of shuffled epochs at one position, 0 to n - 1, instead of averaged over all.

        0 is the start of an epoch, where the batches of the last one have taken back what they could of their noise.
        """
        cycle = self.law.cycle
        if cycle is None or self.steps is not None or self.theory == "equilibrium":
            raise InvalidInput("a position in the epoch is for the stationary state of sampling='shuffle'.")
        place = positive_int("position", position, minimum=0)
        if place >= cycle.shuffle.epoch.steps:
            raise InvalidInput(f"position must be below the epoch's {cycle.shuffle.epoch.steps} steps, got {place}.")
        if self._unbounded:
            return replace(self, position=place)
        covariance, mean = (self.law.measured or cycle).settled_at(place)
        return replace(self, mode_covariance=covariance, mode_mean=mean, position=place)

    def equilibrated(self) -> Prediction:
        """Return S = c T H^-1 with the one temperature that keeps this prediction's excess loss: the lowest rung."""
        h = self.curvatures
        inside = float(h @ self.mode_variances)  # twice the excess loss, without what a start left outside the modes
        return replace(self, law=replace(self.law, level="equilibrium"), mode_covariance=np.diag(inside / (len(h) * h)))

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
            "position": self.position,
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
        rank = len(self.curvatures)
        return f"Prediction({self.theory}, {self.when}: excess_loss={self.excess_loss:.7g}, rank={rank})"

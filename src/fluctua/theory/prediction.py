"""What a prediction says: the numbers of one law, stationary, at a step, or averaged over steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from .._results import ByValue, Tables, Tabular
from .._validate.plain import JsonObject
from .._validate.values import flag, positive_int, real_number, step_list
from ..errors import InvalidInput
from ..problem.start import Start
from . import described
from .coordinates import Coordinates
from .estimated_error import EstimatedError
from .ladder import Rung
from .law import Law
from .moments import Moments
from .needs import refuse_in_time
from .overflow import overflowing
from .posterior import Posterior
from .readings import mean_with_left, outside, refuse_curve, relaxation_steps_of, spelled
from .stability import warn_unstable
from .stationary_state import at_rest
from .subsampled import error_after
from .transient import Relaxation

__all__ = ["Prediction"]


@dataclass(frozen=True, eq=False, repr=False)
class Prediction(ByValue, Tabular, Coordinates, Posterior):
    r"""What SGD's weights do around the optimum, as numbers; made by `predict`, never by hand.

    Every quantity is about V = W - W* and is either stationary (`steps` is None) or at the given step, or
    averaged over the given steps. S = E[V^T V] is summed over outputs and, from a start other than W*,
    includes the square of the mean. Covariances are in units of the squared weights, losses in those of the squared
    targets; nothing is per step unless it says so.

    Attributes
    ----------
    law : Law
        The balance that was solved: problem, recipe and rung of the ladder.
    moments : Moments or None
        S and E V in the modes; None is the stationary state, which is solved where it is first asked for.
    steps : tuple of int, or None
        The steps it is at, or averaged over; None if it is stationary.
    start : Start or None
        W(0) less W*; None for a start at W*, and if it is stationary.
    rtol : float
        Relative accuracy asked of every mode's variance at finite time.
    curve : ndarray, (t + 1,), or None
        Learning curve up to the last step, if `after` was asked for it.
    position : int or None
        Position in the epoch, for the stationary state of shuffled epochs `at` one; otherwise it is averaged over all.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> prediction = fl.predict(fl.LeastSquares(data.inputs, data.targets), fl.SGD(lr=0.05, batch_size=8))
    >>> prediction.mode_variances.shape, prediction.covariance.shape, prediction.optimum.shape
    ((61,), (64, 64), (10, 64))
    >>> print(f"{prediction.excess_loss / prediction.optimum_loss:.3f} {prediction.relaxation_steps[0]:.2f}")
    0.060 1.35
    """

    law: Law
    moments: Moments | None = None
    steps: tuple[int, ...] | None = None
    start: Start | None = None
    rtol: float = 1e-4
    curve: Array | None = None
    position: int | None = None

    @cached_property
    def _found(self) -> Moments:
        """S and E V in the modes, and how they were found."""
        return at_rest(self.law) if self.moments is None else self.moments

    @property
    def mode_covariance(self) -> Array:
        """U^T S U, (r, r)."""
        return self._found.covariance

    @cached_property
    def excess_loss_error(self) -> float | None:
        """One standard error of `excess_loss`, where random epochs were measured; 0 where all of them were listed.

        Where K is averaged over some samples (`feedback_samples`) it is that of their choice. None where nothing
        was sampled, and for one position of measured epochs: a law is as exact as its page says.
        """
        return None if self._found.error is None else self._found.error()

    @property
    def estimated_error(self) -> EstimatedError | None:
        """What was reached at finite time, of independent batches, and what it took.

        Estimated relative errors of the worst mode's variance, `.modes`, and of the excess loss, `.loss`, and the
        `.passes` over the samples.
        """
        return self._found.estimated_error

    @property
    def theory(self) -> Rung:
        """Rung of the ladder."""
        return self.law.rung

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
        """Eigenvalues h_p of H = A + gamma I in the modes, largest first, (r,)."""
        return self.law.minimum.curvatures

    @property
    def optimum_loss(self) -> float:
        """L(W*), weight decay included."""
        return self.law.minimum.loss

    @property
    def excess_loss(self) -> float:
        """E L(W) - L(W*) = 1/2 tr(H S) (F8)."""
        inside = float(0.5 * self.curvatures @ self.mode_variances)
        if self.steps is None:
            return inside + float(self.law.loss_outside(None)[0])
        return inside + float(outside(self.law, self.start, np.array(self.steps)).mean())

    @property
    def mode_variances(self) -> Array:
        """S_pp, summed over outputs, (r,)."""
        return np.diag(self.mode_covariance)

    @property
    def temperatures(self) -> Array:
        """T_p = h_p S_pp / c, the mode temperature (F8), (r,): equal for all modes only in equilibrium."""
        return self.curvatures * self.mode_variances / self.law.problem.outputs

    @property
    def relaxation_steps(self) -> Array:
        """Steps in which E V of a mode shrinks by e, -1/log|m_p| (plain SGD: about 1/(eta h_p)), (r,).

        m_p is 1 - eta h_p; with momentum the larger of its two eigenvalues.
        """
        return relaxation_steps_of(self.law)

    def after(
        self, steps: int | Sequence[int], *, start: ArrayLike | str = "optimum", rtol: float = 1e-4, curve: bool = False
    ) -> Prediction:
        """Return the same quantities after `steps` steps, or averaged over a sequence of them.

        Parameters
        ----------
        steps : int or sequence of int
            0 is the start itself. In any order; a step that comes twice counts twice.
        start : "optimum", "zero" or array_like, (c, d)
            W(0), without spread.
        rtol : float
            Relative accuracy asked of every mode's variance; see `transient.Relaxation`. From 1e-4 on, the default, the
            excess loss is held to 1e-6 or finer. Looser is faster, because fewer passes over the data are needed. The
            result's `.estimated_error` says what was reached. The expansion of shuffled epochs is followed to 1e-3,
            finer than it is.
        curve : bool
            Also keep E L(W_t) - L(W*) of every step up to the last, as `.curve`, from the same passes.

        Returns
        -------
        Prediction
            Of the same law, at or averaged over `steps`.

        Raises
        ------
        InvalidInput
            For arguments out of range, and where the states on the way, a curve, a schedule or an average that runs do
            not fit into memory.
        NotConverged
            If the limit that a schedule's rates are compared with was not found to the accuracy stated.

        Warns
        -----
        UnstableRates
            Where a schedule's rate is above the stability limit at some step.

        Notes
        -----
        Cost: passes over the samples, 4 N r^2 flops each. On digits with lr 0.05 and b = 8, 2,000 steps took 28 of them
        from W*, 170 from zero, and 24 from zero with rtol 1e-2. From 6,144 samples and N r^2 = 1e9 on, a run whose
        source is smooth is swept as a whole: some 3 to 12 passes, however many steps, and beside them as much time
        again, to three times as much. With a constant learning rate, of the weights or of
        their `EMA`, time has closed forms: a late step costs its logarithm. A curve, a schedule and a `RunningAverage`
        cost time and memory in proportion to the steps.
        """
        law = self.law
        wanted = tuple(sorted(int(t) for t in step_list("steps", steps)))  # an average has no order
        if flag("curve", curve):
            refuse_curve(wanted[-1])
        tolerance = real_number("rtol", rtol, above=0.0)
        refuse_in_time(law)
        begin = Start.at(law.minimum, start)
        warn_unstable(law.problem, law.sgd, wanted[-1], feeds_back=law.feeds_back)
        relaxation = law.relaxation(None if begin is None else begin.modes, wanted[-1], tolerance)
        weights = 0.5 * law.minimum.curvatures
        averaged, losses = relaxation.average(wanted, weights if curve else None)
        found = Moments(averaged)
        if isinstance(relaxation, Relaxation):
            error = partial(error_after, law, wanted, begin, tolerance)
            found = replace(found, estimated_error=relaxation.estimated_error, error=error)
        else:
            with overflowing():
                mean, left = relaxation.means(wanted), mean_with_left(law, begin, np.array(wanted), relaxation)
                found = replace(found, mean=mean, mean_left=left, error=partial(relaxation.error, wanted, weights))
        kept = losses + outside(law, begin, np.arange(wanted[-1] + 1)) if curve else None
        state = replace(self, moments=found, position=None)
        finite = replace(state, steps=wanted, start=begin, rtol=tolerance, curve=kept)
        return finite if self.theory != "equilibrium" else finite.equilibrated()

    def at(self, position: int) -> Prediction:
        """Return the stationary state of shuffled epochs at one position, instead of averaged over all.

        Parameters
        ----------
        position : int
            Steps into the epoch, 0 to n - 1. 0 is the start of an epoch, where the batches of the last one have taken
            back what they could of their noise.

        Returns
        -------
        Prediction
            Of the same law, at that position.

        Raises
        ------
        InvalidInput
            For a position outside the epoch, and for what is not the stationary state of shuffled epochs.
        NotConverged
            If the stationary state was not found to the accuracy stated.
        """
        cycle = self.law.cycle
        if cycle is None or self.steps is not None or self.theory == "equilibrium":
            raise InvalidInput("a position in the epoch is for the stationary state of sampling='shuffle'.")
        place = positive_int("position", position, minimum=0)
        if place >= cycle.shuffle.epoch.steps:
            raise InvalidInput(f"position must be below the epoch's {cycle.shuffle.epoch.steps} steps, got {place}.")
        if self._unbounded:
            return replace(self, position=place)
        found = Moments(*self.law.settled_in_epochs(place), error=self._error_of_a_position)
        return replace(self, moments=found, position=place)

    def _error_of_a_position(self) -> float | None:
        return 0.0 if self.excess_loss_error == 0 else None

    def equilibrated(self) -> Prediction:
        """Return S = c T H^-1 with the one temperature that keeps this prediction's excess loss: the lowest rung."""
        h = self.curvatures
        inside = float(h @ self.mode_variances)  # twice the excess loss, without what a start left outside the modes
        law = replace(self.law, rung="equilibrium")
        return replace(self, law=law, moments=replace(self._found, covariance=np.diag(inside / (len(h) * h))))

    @property
    def _unbounded(self) -> bool:
        """Whether no stationary state exists (`predict(..., check_stability=False)`)."""
        return self.steps is None and not np.isfinite(self.mode_covariance).all()

    def to_dict(self) -> JsonObject:
        """Return the scalars and the per-mode vectors as plain JSON types."""
        return described.plain(self)

    def _tables(self) -> Tables:
        return described.tables(self)

    def _grids(self) -> Mapping[str, tuple[tuple[str, ...], Any]]:
        return described.matrices(self)

    @property
    def _attributes(self) -> Mapping[str, Any]:
        return described.attributes(self)

    def __repr__(self) -> str:
        return described.in_a_line(self)

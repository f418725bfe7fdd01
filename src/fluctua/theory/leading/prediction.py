"""What the leading modes say of SGD's fluctuation: every number between two bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._results import ByValue, Tables, Tabular, clipped
from ..._tables import Columns
from ..._validate.plain import JsonObject
from ..._validate.values import real_number, step_list
from ...kernels.momentum import step_kernel
from ..readings import kernel_relaxation, spelled
from ..stable_limit import StableLimit
from .drifting import Drifting
from .in_time import InTime
from .solved import Solved

__all__ = ["LeadingPrediction"]

_FINEST = 1e-5  # relative, in time: products over samples in float32 are no finer
_PER_MODE = ("curvatures", "mode_variances", "temperatures", "relaxation_steps")


@dataclass(frozen=True, eq=False, repr=False)
class LeadingPrediction(ByValue, Tabular):
    r"""What SGD's weights do around the optimum, as the leading modes tell it; made by `predict`.

    Of independent batches, stationary, or after some steps. Numbers without bounds are estimates in which all modes
    beyond the leading ones are alike; the exact number lies within the bounds (F152 to F157).

    Attributes
    ----------
    solved : Solved or InTime
        Problem and recipe, and what was found of them.

    Examples
    --------
    >>> import fluctua as fl
    >>> data = fl.load("digits")
    >>> prediction = fl.predict(fl.LeadingModes(data.inputs, data.targets, modes=40), fl.SGD(lr=0.05, batch_size=8))
    >>> low, high = prediction.excess_loss_bounds
    >>> print(f"{prediction.excess_loss:.5f}, {low:.5f} to {high:.5f}")
    0.00935, 0.00934 to 0.00937
    >>> print(f"variances to {prediction.covariance_error:.2%}")
    variances to 0.91%
    """

    solved: Solved | InTime

    def after(
        self, steps: int | Sequence[int], *, start: ArrayLike | str = "optimum", rtol: float = 1e-4
    ) -> LeadingPrediction:
        """Return the same numbers after `steps` steps, or averaged over a sequence of them (F155 to F157).

        Parameters
        ----------
        steps : int or sequence of int
            0 is the start itself. In any order; a step that comes twice counts twice.
        start : "optimum", "zero" or array_like, (c, d)
            W(0), without spread.
        rtol : float
            Relative accuracy in time asked of every mode's variance, as in `Prediction.after`; bounds are widened by
            it, those of the excess loss by 1e-6 from 1e-4 on.

        Returns
        -------
        LeadingPrediction
            At or averaged over `steps`. Covariances include the square of the mean.

        Raises
        ------
        InvalidInput
            For arguments out of range.
        NotConverged
            Where the limit that a schedule's rates are compared with was not found.

        Warns
        -----
        UnstableRates
            Where a schedule's rate is above what the stability limit is at most.
        Unconverged
            Where no upper bound was found, with what stood in the way.

        Notes
        -----
        Cost: as a rule 20 to 200 passes of 6 N k^2 flops for each bound, found where they are asked for. A late step
        costs its logarithm, but with a schedule. From another start some 30 products of A with c vectors as well.
        """
        wanted = tuple(sorted(int(t) for t in step_list("steps", steps)))
        tolerance = real_number("rtol", rtol, above=0.0)
        rest = self.solved.at_rest
        rest.warn_of_rates(wanted[-1])
        found = InTime(rest, wanted, Drifting.at(rest.minimum, start), max(tolerance, _FINEST))
        return replace(self, solved=found)

    @property
    def steps(self) -> tuple[int, ...] | None:
        """The steps it is at, or averaged over; None if it is stationary."""
        return self.solved.steps

    @property
    def when(self) -> str:
        """The time it is for, in words."""
        return "stationary" if self.steps is None else f"after {spelled(self.steps)} steps"

    @property
    def excess_loss(self) -> float:
        """E L(W) - L(W*), estimated; within `excess_loss_bounds`."""
        return self.solved.floor

    @property
    def excess_loss_bounds(self) -> tuple[float, float]:
        """E L(W) - L(W*) at least and at most (F152, F157); infinite at most where nothing proves that there is one."""
        return self.solved.floor_bounds

    @property
    def optimum_loss(self) -> float:
        """L(W*) as found, weight decay included."""
        return self.solved.minimum.loss

    @property
    def optimum_loss_bounds(self) -> tuple[float, float]:
        """L(W*) at least and at most (F150)."""
        return self.solved.minimum.loss_bounds

    @property
    def optimum(self) -> Array:
        """The minimiser W*, (c, d)."""
        return self.solved.minimum.weights

    @property
    def curvatures(self) -> Array:
        """Leading eigenvalues h_p of H, largest first, (k,)."""
        return self.solved.minimum.curvatures

    @property
    def modes(self) -> Array:
        """Their eigenvectors, columns, (d, k)."""
        return self.solved.problem.modes

    @property
    def mode_covariance(self) -> Array:
        """U^T S U in the leading modes, estimated, (k, k)."""
        return self.solved.covariance

    @property
    def mode_variances(self) -> Array:
        """S_pp, summed over outputs, estimated, (k,)."""
        return np.diag(self.solved.covariance)

    @property
    def mode_variances_bounds(self) -> tuple[Array, Array]:
        """S_pp at least and at most, (k,) each (F154)."""
        least, most = self.solved.covariance_bounds
        return np.diag(least), np.diag(most)

    @property
    def covariance_error(self) -> float:
        """The largest relative error that the variance of any direction of the leading modes may have (F154)."""
        return self.solved.covariance_error

    @property
    def temperatures(self) -> Array:
        """T_p = h_p S_pp / c, the mode temperature, estimated, (k,)."""
        return self.curvatures * self.mode_variances / self.solved.problem.outputs

    @property
    def relaxation_steps(self) -> Array:
        """Steps in which E V of a leading mode shrinks by e, (k,)."""
        return kernel_relaxation(step_kernel(self.curvatures, self.solved.sgd.step, self.solved.sgd.lr))

    @property
    def share_left(self) -> float:
        """What the leading modes leave out of mean |x|^2, as a share of it."""
        return self.solved.problem.share_left

    @property
    def limit(self) -> StableLimit:
        """The largest stable learning rate: a lower bound, and what it is at most (F153)."""
        return self.solved.at_rest.limit

    def to_dict(self) -> JsonObject:
        """Return the scalars, their bounds and the per-mode vectors as plain JSON types."""
        problem, finite = self.solved.problem, [each if np.isfinite(each) else None for each in self.excess_loss_bounds]
        return {
            "theory": "exact",
            "steps": None if self.steps is None else list(self.steps),
            "recipe": self.solved.sgd.to_dict(),
            **{name: getattr(problem, name) for name in ("samples", "features", "outputs")},
            "rank": len(self.curvatures),
            "leading_modes": len(self.curvatures),
            "share_left": self.share_left,
            "optimum_loss": self.optimum_loss,
            "optimum_loss_bounds": list(self.optimum_loss_bounds),
            "excess_loss": self.excess_loss,
            "excess_loss_bounds": finite,
            "excess_loss_error": None,
            "relative_excess_loss": self.excess_loss / self.optimum_loss if self.optimum_loss else None,
            "covariance_error": self.covariance_error if np.isfinite(self.covariance_error) else None,
            **{name: getattr(self, name).tolist() for name in _PER_MODE},
        }

    def _tables(self) -> Tables:
        return {"modes": self._modes}

    def _modes(self) -> Columns:
        least, most = self.mode_variances_bounds
        return {
            "mode": range(1, len(self.curvatures) + 1),
            "curvature": self.curvatures,
            "variance": self.mode_variances,
            "variance_at_least": least,
            "variance_at_most": most,
            "temperature": self.temperatures,
            "relaxation_steps": self.relaxation_steps,
        }

    def _grids(self) -> Mapping[str, tuple[tuple[str, ...], Any]]:
        return {
            "mode_covariance": (("mode", "other_mode"), np.asarray(self.mode_covariance)),
            "modes": (("input", "mode"), self.modes),
            "optimum": (("output", "input"), self.optimum),
        }

    @property
    def _attributes(self) -> Mapping[str, Any]:
        least, most = self.excess_loss_bounds
        said = {"optimum_loss": self.optimum_loss, "excess_loss": self.excess_loss, "recipe": self.solved.sgd.words}
        return {**said, "excess_loss_at_least": least, "excess_loss_at_most": most}

    def __repr__(self) -> str:
        least, most = self.excess_loss_bounds
        said = f"excess_loss={self.excess_loss:.6g} ({least:.6g} to {most:.6g})"
        when = "" if self.steps is None else f" after {spelled(self.steps)} steps"
        return clipped(
            f"LeadingPrediction({said}{when}, {len(self.curvatures)} of {self.solved.problem.features:,} modes)"
        )

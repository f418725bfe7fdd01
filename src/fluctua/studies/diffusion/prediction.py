"""What `predict` gives for Gaussian data and a sampler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import Array
from ..._results import ByValue, Tables, Tabular, clipped
from ..._tables import Columns
from ..._validate.plain import JsonObject
from ..._validate.values import choice, instance, positive_int, real_number
from ...storage.results import finite
from ...theory.answers import predict
from .denoisers import Denoiser, denoiser_of
from .gaussian import GaussianData
from .law import THEORIES, Course, Theory, angles_of, course_of, lost_of, marginals_of
from .sampler import DDIM
from .schedule import Grid

__all__ = ["DiffusionPrediction", "predict_gaussian"]

_FLOOR = 1e-4
_NUMBERS = "variance_kept", "w2", "misplaced"


@dataclass(frozen=True, eq=False, repr=False)
class DiffusionPrediction(ByValue, Tabular):
    """What a sampler makes of Gaussian data; made by `predict`.

    Attributes
    ----------
    data : GaussianData
        What is sampled.
    sampler : DDIM
        Steps, noise, grid and solver.
    theory : str
        Rung of the ladder.
    grid : Grid
        The levels.
    course : Course
        Variances, mean errors and responses at every level, in the modes.
    step : int
        How many steps are done.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> digits = diffusion.GaussianData.of(fl.load("digits").inputs, scale=(-1, 1))
    >>> prediction = fl.predict(digits, diffusion.DDIM(steps=20))
    >>> print(f"{prediction.variance_kept:.4f} of the variance, W2 = {prediction.w2:.4f}")
    0.8085 of the variance, W2 = 0.4857
    """

    data: GaussianData
    sampler: DDIM
    theory: Theory
    grid: Grid
    course: Course
    step: int

    @cached_property
    def level_variances(self) -> Array:
        """What the modes would have at this level without an error, v = a^2 s + sigma^2, (d,); at the end s."""
        return np.asarray(marginals_of(self.data, self.grid)[self.step])

    @property
    def mode_variances(self) -> Array:
        """Variance of each mode, (d,), in the order of `data.variances`."""
        return np.asarray(self.course.variances[self.step])

    @property
    def mode_mean_error(self) -> Array:
        """Error of the mean in the modes, (d,)."""
        return np.asarray(self.course.means[self.step])

    @property
    def mean_error(self) -> Array:
        """Error of the mean, (d,), in the coordinates of the data: the start is centred at zero, not at a mu."""
        return np.asarray(self.data.modes @ self.mode_mean_error)

    @cached_property
    def covariance(self) -> Array:
        """Covariance of the samples, (d, d)."""
        return np.asarray((self.data.modes * self.mode_variances) @ self.data.modes.T)

    @property
    def variance_kept(self) -> float:
        """Total variance, over that which the level has."""
        return float(self.mode_variances.sum() / self.level_variances.sum())

    @property
    def misplaced(self) -> float:
        """Sum over modes of |u - s| over the total variance; 1 - `variance_kept` where no mode has too much."""
        return float(np.abs(self.mode_variances - self.level_variances).sum() / self.level_variances.sum())

    @property
    def w2(self) -> float:
        """Wasserstein distance of the samples to the data, as Gaussians (F135)."""
        return float(np.hypot(self.w2_covariance, np.linalg.norm(self.mode_mean_error)))

    @property
    def w2_covariance(self) -> float:
        """The part of `w2` that the covariance makes, without the error of the mean."""
        roots = np.sqrt(np.maximum(self.mode_variances, 0.0)) - np.sqrt(self.level_variances)
        return float(np.linalg.norm(roots))

    def kl(self, floor: float = _FLOOR) -> float:
        """Return the relative entropy of the samples to the data, in nats, in the modes of variance above a floor.

        The flattest modes dominate it, so that the floor has to be stated with the number.

        Parameters
        ----------
        floor : float
            Smallest variance of a mode that counts; 0 counts all that have data.

        Returns
        -------
        float
            KL(samples | data) (F135); infinite where a mode has lost all of its variance.

        Raises
        ------
        InvalidInput
            For a negative floor.
        """
        counted = self.data.variances > real_number("floor", floor, minimum=0.0)
        level = self.level_variances[counted]
        ratio = np.maximum(self.mode_variances[counted] / level, 0.0)
        error = self.mode_mean_error[counted]
        with np.errstate(divide="ignore"):
            return float(0.5 * np.sum(ratio - 1 - np.log(ratio) + error**2 / level))

    @cached_property
    def angles(self) -> Array:
        """The angle theta of each mode at each level, (n + 1, d): tan theta = sigma/(a sqrt s) (F129)."""
        return angles_of(self.data, self.grid)

    @cached_property
    def lost(self) -> Array:
        """Share of each mode's variance that each step leaves out, (n, d) (F130); sin^2 of the turn at eta = 0."""
        return lost_of(self.data, self.sampler, self.grid, self.course)

    @property
    def entropy_production(self) -> float:
        """Entropy, in nats, that noising these data up to the sampler's first level produces (F146)."""
        from .thermodynamics import Thermodynamics  # noqa: PLC0415  (it imports this module)

        return Thermodynamics(self.data, replace(self.sampler, solver="ddim")).noising

    def after(self, steps: int) -> DiffusionPrediction:
        """Return the same quantities after `steps` of the sampler's steps, against the noisy data of that level.

        Parameters
        ----------
        steps : int
            From 0, white noise, to the number of the sampler's steps.

        Returns
        -------
        DiffusionPrediction
            Of the same course.

        Raises
        ------
        InvalidInput
            For a number out of range.
        """
        return replace(self, step=positive_int("steps", steps, minimum=0, maximum=self.grid.steps))

    def to_dict(self) -> JsonObject:
        """Return the numbers and the per-mode vectors as plain JSON types."""
        said: JsonObject = {
            "theory": self.theory,
            "step": self.step,
            "sampler": self.sampler.to_dict(),
            "data": self.data.words,
            **{name: getattr(self, name) for name in _NUMBERS},
            "alpha_bars": self.grid.alpha_bars.tolist(),
            "variances": self.data.variances.tolist(),
            "mode_variances": self.mode_variances.tolist(),
            "mode_mean_error": self.mode_mean_error.tolist(),
        }
        plain: JsonObject = finite(said)
        return plain

    def _tables(self) -> Tables:
        return {"modes": self._modes, "steps": self._steps}

    def _modes(self) -> Columns:
        has = self.level_variances > 0
        kept = np.divide(self.mode_variances, self.level_variances, out=np.full(len(has), np.nan), where=has)
        return {
            "mode": range(1, self.data.features + 1),
            "variance": self.level_variances,
            "sampled": self.mode_variances,
            "kept": kept,
            "mean_error": self.mode_mean_error,
        }

    def _steps(self) -> Columns:
        each = [self.after(k) for k in range(self.grid.steps + 1)]
        return {
            "step": range(self.grid.steps + 1),
            "timestep": self.grid.timesteps,
            "alpha_bar": self.grid.alpha_bars,
            "variance_kept": [one.variance_kept for one in each],
            "w2": [one.w2 for one in each],
        }

    @property
    def _attributes(self) -> Mapping[str, Any]:
        return {"theory": self.theory, "step": self.step, **{name: getattr(self, name) for name in _NUMBERS}}

    def __repr__(self) -> str:
        when = "" if self.step == self.grid.steps else f" after {self.step} steps"
        return clipped(
            f"DiffusionPrediction({self.theory}, {self.sampler.words}{when}: "
            f"variance_kept={self.variance_kept:.4f}, w2={self.w2:.4f})"
        )


@predict.register(GaussianData)
def predict_gaussian(
    data: GaussianData, sampler: DDIM, *, theory: str = "exact", denoiser: Denoiser | None = None
) -> DiffusionPrediction:
    """Predict what a sampler makes of Gaussian data, whose best denoiser is linear.

    ===========  ===============================================================================
    exact        every step as it is (F128)
    first_order  what a step loses to second order in the angle by which it turns a mode (F132)
    ode          no error of the steps; that of the start, which noise makes a sampler forget
    ===========  ===============================================================================

    Parameters
    ----------
    data : GaussianData
        What is sampled.
    sampler : DDIM
        Steps, noise, grid and solver.
    theory : str
        Rung of the ladder, from the table; "first_order" is for solver="ddim". With a `Trained` denoiser "exact",
        "discrete", "langevin" or "no_noise", what is said of its weights.
    denoiser : Trained, optional
        What stands in the place of the best denoiser.

    Returns
    -------
    DiffusionPrediction
        After the last step; `.after(steps)` gives those before.

    Raises
    ------
    InvalidInput
        For arguments of other types, for an eta that a step of the grid has no room for, and for a theory that does
        not cover the solver.
    NotConverged
        Where the predicted spacing was not found.

    Notes
    -----
    Cost: O(n d), after one eigendecomposition of the data.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> line = diffusion.GaussianData(mean=[0.0], covariance=[[1.0]])
    >>> for theory in ("ode", "first_order", "exact"):
    ...     print(theory, round(fl.predict(line, diffusion.DDIM(steps=10), theory=theory).variance_kept, 4))
    ode 1.0
    first_order 0.636
    exact 0.6917
    """
    instance("sampler", sampler, DDIM, "a fluctua.studies.diffusion.DDIM(steps=..., eta=...)")
    if denoiser is not None:
        return denoiser_of(denoiser).predicted(data, sampler, theory)
    rung: Any = choice("theory", theory, THEORIES)
    grid = sampler.grid(data)
    return DiffusionPrediction(data, sampler, rung, grid, course_of(data, sampler, grid, rung), grid.steps)

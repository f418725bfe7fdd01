r"""SGD inside the sampler: its weight noise gives back a share of what the sampler leaves out (F143, F145).

The denoiser of every level is a matrix that SGD has trained. Averaged over trainings, a mode of the samples has

    u_k' = m_k^2 u_k + vs^2 + g^2 rho_k sum_p S_p u_p.

A step of DDIM leaves out g^2 Var(x0|x) = g^2 rho_k. The noise of the weights returns the share sum_p S_p u_p of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ..._arrays import Array
from ..._results import clipped
from ..._validate.plain import Keywords
from ..._validate.values import choice, instance, positive_int
from ...errors import InvalidInput
from ...recipe.sampling import WeightedSampling
from ...recipe.sgd import SGD
from ...verification.conclusion import StatementVerdict
from .denoisers import Denoiser
from .gaussian import GaussianData
from .law import Course
from .prediction import DiffusionPrediction
from .sampler import DDIM
from .steps import Steps, steps_of
from .weight_noise import LARGEST, NOISES, WeightNoise, WeightTheory, hold_stable, noise_after, stationary_noise

__all__ = ["Trained", "TrainedPrediction"]

Start = Literal["optimum", "zero"]
STARTS: tuple[Start, ...] = ("optimum", "zero")


@dataclass(frozen=True, eq=False, repr=False)
class Trained(Denoiser):
    """A linear denoiser of every level, trained by SGD on fresh pairs of noisy and clean data.

    Parameters
    ----------
    sgd : SGD
        The recipe, with independent batches and a constant lr; momentum is covered.
    steps : int or None
        Steps of training at each level; None for weights that have forgotten their start.
    start : str
        Weights before training: "optimum" or "zero".

    Raises
    ------
    InvalidInput
        For a recipe that is not covered, and values out of range.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> digits = diffusion.GaussianData.of(fl.load("digits").inputs, scale=(-1, 1))
    >>> sgd = fl.SGD(lr=0.02, batch_size=8)
    >>> prediction = fl.predict(digits, diffusion.DDIM(steps=10), denoiser=diffusion.Trained(sgd))
    >>> print(f"{prediction.variance_kept:.3f} of the variance, instead of 0.657")
    0.673 of the variance, instead of 0.657
    """

    sgd: SGD
    steps: int | None = None
    start: Start = "optimum"

    def __post_init__(self) -> None:
        instance("sgd", self.sgd, SGD, "a fluctua.SGD(lr, batch_size)")
        _refuse_uncovered(self.sgd)
        if self.steps is not None:
            object.__setattr__(self, "steps", positive_int("steps", self.steps))
        choice("start", self.start, STARTS)
        if self.steps is None and self.start == "zero":
            raise InvalidInput("start='zero' is forgotten where steps=None. Give steps, or leave start out.")

    @property
    def words(self) -> str:
        """The training in a few words."""
        length = "trained to the end" if self.steps is None else f"{self.steps:,} steps from {self.start}"
        return f"{length}, {self.sgd.words}"

    def predicted(self, data: GaussianData, sampler: DDIM, theory: str) -> TrainedPrediction:
        """Return what a rung says of samples, averaged over trainings."""
        return predict_trained(data, sampler, self, theory)

    def simulated(self, data: GaussianData, sampler: DDIM, **run: Any) -> Any:
        """Return samplers whose denoisers have been trained."""
        from .trainings import train  # noqa: PLC0415  (it imports this module)

        return train(data, sampler, self, **run)

    def verified(self, data: GaussianData, sampler: DDIM, **run: Any) -> StatementVerdict:
        """Train, and hold the law against the trainings."""
        from .trained_trial import verify_trained  # noqa: PLC0415  (it imports this module)

        return verify_trained(data, sampler, self, **run)

    def _shown(self) -> Keywords:
        return {"sgd": self.sgd, "steps": self.steps, "start": self.start}


@dataclass(frozen=True, eq=False, repr=False)
class TrainedPrediction(DiffusionPrediction):
    """What a sampler with a trained denoiser makes of Gaussian data, averaged over trainings; made by `predict`.

    Attributes
    ----------
    data : GaussianData
        What is sampled.
    sampler : DDIM
        Steps, noise, grid and solver.
    theory : str
        Always "exact": what is said of the sampler's steps.
    grid : Grid
        The levels.
    course : Course
        Variances, mean errors and responses at every level, in the modes.
    step : int
        How many steps are done.
    denoiser : Trained
        How the denoiser of each level is trained.
    rung : str
        "exact", "discrete", "langevin" or "no_noise": what is said of the weights.
    refunded : ndarray, (n, d)
        Share of what each step leaves out that the noise of the weights gives back; 0 where nothing is left out.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> line = diffusion.GaussianData(mean=[0.0], covariance=[[1.0]])
    >>> trained = diffusion.Trained(fl.SGD(lr=0.1, batch_size=8))
    >>> fl.predict(line, diffusion.DDIM(steps=2), denoiser=trained).refunded.round(6).tolist()
    [[0.006667], [0.000596]]
    """

    denoiser: Trained
    rung: WeightTheory
    refunded: Array

    @cached_property
    def lost(self) -> Array:
        """Share of each mode's variance that each step leaves out for good, (n, d)."""
        return np.asarray(super().lost * (1 - self.refunded))

    def _said(self) -> Mapping[str, Any]:
        return {"rung": self.rung, "denoiser": self.denoiser.words}

    def to_dict(self) -> Any:
        """Return the numbers and the per-mode vectors as plain JSON types."""
        return {**super().to_dict(), **self._said(), "refunded": self.refunded.tolist()}

    def __repr__(self) -> str:
        return clipped(f"TrainedPrediction({self.rung}, {self.sampler.words}: variance_kept={self.variance_kept:.4f})")


def predict_trained(data: GaussianData, sampler: DDIM, denoiser: Trained, theory: str) -> TrainedPrediction:
    """Return what a rung says of a sampler with a trained denoiser, averaged over trainings (F145).

    Raises
    ------
    InvalidInput
        For another rung, for a solver with a memory, and where SGD is unstable.
    """
    rung: Any = choice("theory", theory, NOISES)
    if sampler.solver == "2m":
        raise InvalidInput(
            "solver='2m' remembers the guess of a denoiser of another level, and trained ones are covered one by one. "
            "Use solver='ddim'."
        )
    if rung != "exact" and denoiser.start != "optimum":
        raise InvalidInput(f"theory={theory!r} is of weights about the best ones. Use theory='exact' for start='zero'.")
    grid = sampler.grid(data)
    steps = steps_of(grid, sampler.eta)
    s = data.variances
    noise = noise_of(data, steps.a, steps.marginal(s), denoiser, rung)
    with np.errstate(all="ignore"):
        variances, refunded = _carried(steps, s, noise, corrected=sampler.solver == "corrected")
    if not (variances < LARGEST).all():
        hold_stable(steps.marginal(s), denoiser.sgd)
    turned = steps.multiplier(s) + steps.gain[:, None] * noise.mean
    response = np.vstack([np.ones(data.features), np.cumprod(turned, axis=0)])
    error = -np.sqrt(grid.alpha_bars[0]) * data.mode_mean
    course = Course(variances, response * error, response)
    return TrainedPrediction(data, sampler, "exact", grid, course, grid.steps, denoiser, rung, refunded)


def _carried(steps: Steps, s: Array, noise: WeightNoise, *, corrected: bool) -> tuple[Array, Array]:
    """Variances at every level, (n + 1, d), and what the weights give back of what each step leaves out, (n, d)."""
    factors, gains, omitted = steps.multiplier(s), steps.gain, steps.omitted(s)
    variances, refunded = np.ones((len(factors) + 1, len(s))), np.zeros_like(factors)
    for k, factor in enumerate(factors):
        u, gain = variances[k], gains[k]
        given = gain**2 * (noise.square[k] @ u)
        mean = factor + 2 * gain * noise.mean[k]
        fresh = steps.noise[k] ** 2 + (omitted[k] if corrected else 0.0)
        variances[k + 1] = factor * mean * u + given + fresh
        np.divide(given, omitted[k], out=refunded[k], where=omitted[k] > 0)
    return variances, refunded


def noise_of(data: GaussianData, a: Array, v: Array, denoiser: Trained, rung: WeightTheory) -> WeightNoise:
    """Return the moments of the weights at each level, of departure from which the levels have variances v."""
    s = data.variances
    residual = s * (v - np.multiply.outer(a**2, s)) / v
    if rung == "exact" and denoiser.steps is not None:
        begun = -np.multiply.outer(a, s) / v if denoiser.start == "zero" else None
        return noise_after(v, residual, denoiser.sgd, denoiser.steps, begun)
    unit = stationary_noise(v, denoiser.sgd, rung)
    return WeightNoise(residual[:, :, None] * unit[:, None, :], np.zeros_like(v))


def _refuse_uncovered(sgd: SGD) -> None:
    sgd.refuse_epochs("a denoiser is trained on fresh noise in every step, and no batch is ever seen again")
    if isinstance(sgd.sampling, WeightedSampling) or sgd.sampling != "with_replacement":
        raise InvalidInput(
            f"sampling = {sgd.sampling!r} has no place where every batch is fresh. Use sampling='with_replacement'."
        )
    if sgd.weight_decay:
        raise InvalidInput(
            f"weight_decay = {sgd.weight_decay:g} moves the best denoiser away from that of the data, whose law this "
            f"is. Use weight_decay=0."
        )
    if sgd.schedule is not None:
        raise InvalidInput(
            "a schedule is not covered for a denoiser: its noise is that of a constant lr. Leave it out."
        )

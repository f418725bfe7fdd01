"""Samples with a nonlinear score, in the coordinates of the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ..._results import clipped
from ..._validate.sizes import refuse_bytes
from ...errors import InvalidInput
from ...simulation.workers import workers_for
from .gaussian import GaussianData
from .pixels import Chain
from .runs import blocks_of
from .sampled import DiffusionSamples
from .sampler import DDIM
from .schedule import Grid
from .scores import Score
from .steps import steps_of, two_steps_of

__all__ = ["ScoredSamples", "sample_score"]


@dataclass(frozen=True, eq=False, repr=False)
class ScoredSamples(DiffusionSamples):
    """Samples with a nonlinear score; made by `simulate`.

    Attributes
    ----------
    data : GaussianData
        Gaussian of the same mean and covariance.
    sampler : DDIM
        Steps, noise, grid and solver.
    samples : ndarray, (R, d)
        At the last level.
    start : ndarray, (R, d)
        The noise that each began as.
    identity : dict
        Entropy and number: what fixes the samples.
    denoiser : ClassMixture or TrainingSet
        The law whose score was followed.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> training = diffusion.TrainingSet([[-1.0], [1.0]])
    >>> data = diffusion.GaussianData.of([[-1.0], [1.0]])
    >>> found = fl.simulate(data, diffusion.DDIM(steps=5), denoiser=training, samples=100, rng=1)
    >>> sorted(set(found.samples.ravel().round(9).tolist()))
    [-1.0, 1.0]
    """

    denoiser: Score

    @property
    def mode_variance_errors(self) -> Array:
        """Standard errors of `mode_variances`, (d,), from the samples: they are not Gaussian."""
        along = (self.samples - self.samples.mean(axis=0)) @ self.data.modes
        return np.asarray((along**2).std(axis=0, ddof=1) / np.sqrt(len(along)))

    @property
    def variance_kept_error(self) -> float:
        """Standard error of `variance_kept`, from the samples."""
        lengths = ((self.samples - self.samples.mean(axis=0)) ** 2).sum(axis=1)
        return float(lengths.std(ddof=1) / np.sqrt(len(lengths)) / self.data.total_variance)

    @cached_property
    def w2(self) -> float:
        """Wasserstein distance to the data of Gaussians with the same means and covariances (F135)."""
        half = self.data.modes * np.sqrt(self.data.variances)
        values, vectors = np.linalg.eigh(self.covariance)
        other = vectors * np.sqrt(np.maximum(values, 0.0))
        common = np.linalg.svd(half.T @ other, compute_uv=False).sum()
        square = self.data.total_variance + values.sum() - 2 * common + self.mean_error @ self.mean_error
        return float(np.sqrt(max(square, 0.0)))

    def __repr__(self) -> str:
        kept = f"variance_kept={self.variance_kept:.4f} +- {self.variance_kept_error:.2g}"
        return clipped(f"ScoredSamples({len(self.samples):,}, {self.denoiser.words}, {self.sampler.words}: {kept})")


class ScoredChain(Chain):
    """A sampler whose guess of the data is a score's."""

    def __init__(self, score: Score, sampler: DDIM, grid: Grid) -> None:
        super().__init__(score.features, grid.steps)
        self.score, self.levels = score, grid.alpha_bars[:-1]
        self.step = self._remembering(grid) if sampler.solver == "2m" else self._forgetting(grid, sampler.eta)

    def run(self, start: Array, rng: np.random.Generator) -> Array:
        """Return samples, (R, d), of their starts."""
        x, old = start, np.zeros_like(start)
        for k, level in enumerate(self.levels):
            guess = self.score.guess(x, float(level))[0]
            x, old = self.step(k, x, guess, old, rng), guess
        return x

    @staticmethod
    def _forgetting(grid: Grid, eta: float) -> Callable[..., Array]:
        steps = steps_of(grid, eta)
        along = steps.kap / steps.sigma

        def step(k: int, x: Array, guess: Array, _old: Array, rng: np.random.Generator) -> Array:
            moved: Array = along[k] * x + steps.gain[k] * guess
            return moved + steps.noise[k] * rng.standard_normal(x.shape) if steps.noise[k] else moved

        return step

    @staticmethod
    def _remembering(grid: Grid) -> Callable[..., Array]:
        steps = two_steps_of(grid)

        def step(k: int, x: Array, guess: Array, old: Array, _rng: np.random.Generator) -> Array:
            return np.asarray(steps.kept[k] * x + steps.now[k] * guess + steps.before[k] * old)

        return step


def sample_score(
    data: GaussianData,
    sampler: DDIM,
    score: Score,
    *,
    samples: int,
    root: np.random.SeedSequence,
    threads: int | None,
    progress: Callable[[float], None] | None,
) -> ScoredSamples:
    """Return samples of a score.

    Raises
    ------
    InvalidInput
        For data of other size, and for the corrected solver, whose noise is that of Gaussian data.
    TooLarge
        If the samples do not fit into memory, or take more than 30 days.
    """
    score.fits(data)
    if sampler.solver == "corrected":
        raise InvalidInput(
            "solver='corrected' adds the variance of Gaussian data, not that of a nonlinear score. Use 'ddim' or '2m'."
        )
    refuse_bytes(f"samples = {samples}", 32.0 * samples * data.features, "Use fewer.")
    chain = ScoredChain(score, sampler, sampler.grid(data))
    parts = list(blocks_of(chain, samples, root, workers_for(threads), progress))
    ends, starts = (np.concatenate(each) for each in zip(*parts, strict=True))
    identity = {"samples": samples, "entropy": str(root.entropy), "spawn_key": list(root.spawn_key)}
    return ScoredSamples(data, sampler, ends, starts, identity, score)

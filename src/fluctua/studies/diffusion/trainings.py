"""Real trainings: the denoiser of every level is trained on drawn data, in the coordinates of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..._arrays import Array
from ..._results import ByValue, Tables, Tabular, clipped
from ..._tables import Columns
from ..._validate.plain import Header
from ..._validate.sizes import refuse_work
from ...errors import InvalidInput
from ...simulation.batches import generators
from ...simulation.groups import in_groups
from ...simulation.kept import Pack
from ...simulation.workers import Clock, workers_for
from .gaussian import GaussianData
from .pixels import guess_of
from .sampler import DDIM
from .schedule import Grid
from .steps import steps_of
from .trained import Trained
from .weight_noise import LARGEST

__all__ = ["TrainedRuns", "train"]

_GROUP = 20  # trainings that share a stream and an array
_OWN_FLOPS = 60.0  # of a number that is drawn


@dataclass(frozen=True, eq=False, repr=False)
class TrainedRuns(ByValue, Tabular):
    """What samplers with trained denoisers make of Gaussian data, one training each; made by `simulate`.

    Given its denoisers a sampler is a linear map with noise: its samples have the covariance below, without any being
    drawn.

    Attributes
    ----------
    data : GaussianData
        What is sampled.
    sampler : DDIM
        Steps, noise and grid.
    denoiser : Trained
        How the denoiser of each level was trained.
    covariances : ndarray, (R, d, d)
        Of the samples of each training.
    means : ndarray, (R, d)
        Of its samples, less that of the data.
    identity : dict
        Entropy and number: what fixes the trainings.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> line = diffusion.GaussianData(mean=[0.0], covariance=[[1.0]])
    >>> trained = diffusion.Trained(fl.SGD(lr=0.1, batch_size=8), steps=100)
    >>> fl.simulate(line, diffusion.DDIM(steps=2), denoiser=trained, samples=50, rng=1).mode_variances.shape
    (50, 1)
    """

    data: GaussianData
    sampler: DDIM
    denoiser: Trained
    covariances: Array
    means: Array
    identity: Header

    @cached_property
    def mode_variances(self) -> Array:
        """Variance in each mode of the data, training by training, (R, d)."""
        modes = self.data.modes
        return np.asarray(np.einsum("ip,rij,jp->rp", modes, self.covariances, modes, optimize=True))

    @property
    def traces(self) -> Array:
        """Total variance of each training, (R,)."""
        return np.asarray(self.mode_variances.sum(axis=1))

    def _tables(self) -> Tables:
        return {"modes": self._modes}

    def _modes(self) -> Columns:
        found = self.mode_variances
        return {
            "mode": range(1, self.data.features + 1),
            "variance": self.data.variances,
            "sampled": found.mean(axis=0),
            "error": found.std(axis=0, ddof=1) / np.sqrt(len(found)),
        }

    @property
    def _attributes(self) -> Mapping[str, Any]:
        return {"trainings": len(self.means), "total_variance": float(self.traces.mean())}

    def __repr__(self) -> str:
        error = self.traces.std(ddof=1) / np.sqrt(len(self.traces))
        said = f"total variance {self.traces.mean():.4f} +- {error:.2g}"
        return clipped(f"TrainedRuns({len(self.means):,} of {self.sampler.words}: {said})")


def train(
    data: GaussianData,
    sampler: DDIM,
    denoiser: Trained,
    *,
    samples: int,
    root: np.random.SeedSequence,
    threads: int | None,
    progress: Callable[[float], None] | None,
) -> TrainedRuns:
    """Train `samples` denoisers for every level, and return what the sampler makes of each.

    Raises
    ------
    InvalidInput
        For weights without a number of steps, for other solvers than DDIM, and where SGD diverges.
    TooLarge
        If it would take more than 30 days.
    """
    length = denoiser.steps
    if length is None:
        raise InvalidInput(
            "a denoiser is trained for a number of steps, and steps=None is the limit of many. Give Trained(sgd, "
            "steps=3000); start='optimum' has nothing to forget."
        )
    if sampler.solver != "ddim":
        raise InvalidInput(f"trained denoisers are sampled with solver='ddim', got {sampler.solver!r}.")
    grid = sampler.grid(data)
    drawn = float(samples) * length * grid.steps * denoiser.sgd.batch_size * data.features
    refuse_work(f"{samples} trainings", drawn * (4 * data.features + _OWN_FLOPS), "Use fewer, or fewer steps.")
    sizes = [min(_GROUP, samples - first) for first in range(0, samples, _GROUP)]
    jobs, clock = list(zip(sizes, generators(root, len(sizes)), strict=True)), Clock(len(sizes), progress)
    parts = in_groups(_group, (data, grid, sampler.eta, denoiser), jobs, workers_for(threads), clock)
    spreads, means = (np.concatenate(each) for each in zip(*parts, strict=True))
    if not (abs(spreads) < LARGEST).all():
        raise InvalidInput(f"the training diverged at lr = {denoiser.sgd.lr:g}. Use a smaller lr, or a larger batch.")
    identity = {"samples": samples, "entropy": str(root.entropy), "spawn_key": list(root.spawn_key)}
    return TrainedRuns(data, sampler, denoiser, spreads, means, identity)


def _group(
    shared: tuple[GaussianData, Grid, float, Trained], job: tuple[int, np.random.Generator], clock: Clock
) -> Pack:
    """Covariances and mean errors of the samples of some trainings."""
    (data, grid, eta, denoiser), (size, rng) = shared, job
    steps = steps_of(grid, eta)
    spread = np.repeat(np.eye(data.features)[None], size, axis=0)
    mean = np.repeat(-steps.a[0] * data.mean[None], size, axis=0)
    root = data.modes * np.sqrt(data.variances)
    with np.errstate(all="ignore"):
        for k in range(grid.steps):
            weight = _trained(data, root, (steps.a[k], steps.sigma[k]), denoiser, size, rng)
            move = steps.gain[k] * weight + steps.kap[k] / steps.sigma[k] * np.eye(data.features)
            spread = move @ spread @ move.transpose(0, 2, 1) + steps.noise[k] ** 2 * np.eye(data.features)
            mean = np.einsum("rij,rj->ri", move, mean)
    clock.tick()
    return spread, mean


def _trained(
    data: GaussianData, root: Array, level: tuple[float, float], denoiser: Trained, size: int, rng: np.random.Generator
) -> Array:
    """Weights after training at one level, (R, d, d): x0hat - mu = W (x - a mu)."""
    (a, sigma), sgd = level, denoiser.sgd
    state = np.zeros((sgd.step.slots, size, data.features, data.features))
    if denoiser.start == "optimum":
        state[0] = guess_of(data, a**2).matrix.T
    batch = size, sgd.batch_size, data.features
    for number in range(denoiser.steps or 0):
        clean = rng.standard_normal(batch) @ root.T
        noisy = a * clean + sigma * rng.standard_normal(batch)
        missed = noisy @ state[0].transpose(0, 2, 1) - clean
        gradient = missed.transpose(0, 2, 1) @ noisy / sgd.batch_size
        motion, push = (sgd.step.later if number else sgd.step.first).at(sgd.lr)
        state = np.tensordot(motion, state, 1) + np.multiply.outer(push, gradient)
    return np.asarray(state[0])

"""The memorisation meter: how much of the variance that a Gaussian would lose samples do lose, and where they end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._results import Brief, ByValue
from ..._validate.plain import Keywords
from ..._validate.values import instance, sample_rows
from ...errors import InvalidInput
from .gaussian import GaussianData, moments_of
from .prediction import predict_gaussian
from .sampled import DiffusionSamples
from .sampler import DDIM
from .scores import ClassMixture, TrainingSet

__all__ = ["Memorisation"]

_ON = 1 / 3  # of the distance to the second nearest image, below which a sample is on the nearest
_ELEMENTS = 2**23  # of a table of distances


@dataclass(frozen=True, eq=False, repr=False)
class Memorisation(Brief, ByValue):
    """How far samples have been memorised; made by `of`.

    Attributes
    ----------
    ratio, ratio_error : float
        Lost variance over that which the same sampler loses of Gaussian data, with its standard error: 1 for a linear
        denoiser, less for a nonlinear one, near 0 for one that returns its training set.
    share, share_error : float
        Of samples on a training image: at most a third as far from it as from the second nearest.
    distances : ndarray, (R,)
        To the nearest training image.

    Examples
    --------
    >>> import numpy as np
    >>> from fluctua.studies import diffusion
    >>> rng = np.random.default_rng(1)
    >>> images = rng.uniform(-1, 1, (50, 4))
    >>> copies = images[rng.integers(50, size=200)]
    >>> meter = diffusion.Memorisation.of(copies, diffusion.TrainingSet(images), sampler=diffusion.DDIM(steps=5))
    >>> meter.share, bool(abs(meter.ratio) < 0.3)
    (1.0, True)
    """

    ratio: float
    ratio_error: float
    share: float
    share_error: float
    distances: Array

    @classmethod
    def of(
        cls, found: DiffusionSamples | ArrayLike, training: TrainingSet | ClassMixture, *, sampler: DDIM | None = None
    ) -> Memorisation:
        """Measure samples against a training set.

        Parameters
        ----------
        found : DiffusionSamples or array_like, (R, d)
            From `fluctua.simulate`, or of your own network, in the scale of `training`.
        training : TrainingSet or ClassMixture
            Whose `inputs` the network was trained on.
        sampler : DDIM, optional
            That of your own samples.

        Returns
        -------
        Memorisation
            With standard errors over the samples.

        Raises
        ------
        InvalidInput
            For samples of other size, and for an array without a sampler.
        """
        instance("training", training, (TrainingSet, ClassMixture), "a TrainingSet(inputs) or ClassMixture(...)")
        rows, data, used = _read(found, training, sampler)
        if len(rows) < 2 or rows.shape[1] != training.features:
            raise InvalidInput(
                f"found must be at least two samples of {training.features} features, and has the shape {rows.shape}."
            )
        lost = 1 - predict_gaussian(data, used).variance_kept
        lengths = ((rows - rows.mean(axis=0)) ** 2).sum(axis=1) * len(rows) / (len(rows) - 1) / data.total_variance
        error = lengths.std(ddof=1) / np.sqrt(len(rows))
        nearest, second = _two_nearest(rows, training.inputs)
        on = float(np.mean(nearest <= _ON * second))
        spread = float(np.sqrt(on * (1 - on) / len(rows)))
        return cls(float((1 - lengths.mean()) / lost), float(error / lost), on, spread, nearest)

    def _shown(self) -> Keywords:
        return {name: getattr(self, name) for name in ("ratio", "ratio_error", "share", "share_error")}


def _read(found: Any, training: TrainingSet | ClassMixture, sampler: DDIM | None) -> tuple[Array, GaussianData, DDIM]:
    if isinstance(found, DiffusionSamples):
        return found.samples, found.data, found.sampler
    if sampler is None:
        raise InvalidInput(
            "samples of your own need sampler=, which says what a Gaussian would lose: "
            "diffusion.DDIM.of(scheduler.config, steps=...) reads it from diffusers."
        )
    instance("sampler", sampler, DDIM, "a fluctua.studies.diffusion.DDIM(steps=..., eta=...)")
    data = GaussianData(*moments_of(training.inputs), samples=len(training.inputs))
    return np.asarray(sample_rows("found", found), np.float64), data, sampler


def _two_nearest(rows: Array, images: Array) -> tuple[Array, Array]:
    """Distances to the nearest and to the second nearest of the different images, (R,) each."""
    images = np.unique(images, axis=0)
    if len(images) < 2:
        raise InvalidInput("all training images are the same, and there is no second one. Check the training set.")
    lengths = (images**2).sum(axis=1)
    size, found = max(1, _ELEMENTS // len(images)), []
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        pair = np.argpartition(lengths - 2 * part @ images.T, 1, axis=1)[:, :2]
        found.append(np.sort(np.linalg.norm(part[:, None] - images[pair], axis=2), axis=1))
    both = np.concatenate(found)
    return both[:, 0], both[:, 1]

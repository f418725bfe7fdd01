r"""Nonlinear scores: a Gaussian for each class, and the training set itself (F149).

Both are the best denoisers of their own law, x0hat(x) = E[x0 | x], and for both the covariance of x0 given x is known.
One step of DDIM leaves out g^2 E Var(x0|x), which is never more than the linear denoiser's g^2 s sigma^2/v. The
Gaussian theory is the floor of what is kept.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._results import ByValue
from ..._validate.plain import Keywords
from ..._validate.targets import read_labels
from ..._validate.values import sample_rows
from ...errors import InvalidInput
from .denoisers import Denoiser
from .gaussian import GaussianData, mapped, moments_of
from .prediction import DiffusionPrediction
from .sampler import DDIM

__all__ = ["ClassMixture", "Score", "TrainingSet", "scaled"]

_FEWEST = 2  # samples of a class


class Score(Denoiser):
    """The best denoiser of a law that is not Gaussian, and that law itself."""

    @property
    @abstractmethod
    def words(self) -> str:
        """The law in a few words."""

    @property
    @abstractmethod
    def features(self) -> int:
        """Number of columns, d."""

    @abstractmethod
    def guess(self, x: Array, alpha_bar: float) -> tuple[Array, Array]:
        """Return E[x0 | x] and the trace of Cov(x0 | x), of samples x at a level (F149).

        Parameters
        ----------
        x : ndarray, (R, d)
            Noisy samples.
        alpha_bar : float
            Share of the data at that level, between 0 and 1.

        Returns
        -------
        mean : ndarray, (R, d)
            The best guess of the data.
        left : ndarray, (R,)
            What is unknown of them, summed over the features.
        """

    @abstractmethod
    def drawn(self, count: int, rng: np.random.Generator) -> Array:
        """Return samples of the law itself.

        Parameters
        ----------
        count : int
            How many.
        rng : numpy.random.Generator
            Where they are drawn from.

        Returns
        -------
        ndarray, (count, d)
            One sample in a row.
        """

    def fits(self, data: GaussianData) -> None:
        """Refuse data of other size.

        Parameters
        ----------
        data : GaussianData
            That a sampler is asked for.

        Raises
        ------
        InvalidInput
            If they have another number of features.
        """
        if self.features != data.features:
            raise InvalidInput(
                f"the denoiser has {self.features} features and the data have {data.features}. Make both of the same "
                f"inputs, with the same scale."
            )

    def predicted(self, data: GaussianData, sampler: DDIM, theory: str) -> DiffusionPrediction:
        """Refuse: no law closes."""
        del data, sampler, theory
        raise InvalidInput(
            f"{type(self).__name__} is not linear in x, and no law of means and covariances closes. The Gaussian "
            f"theory says the least that is kept, fl.predict(data, sampler); fl.simulate(..., denoiser=...) samples."
        )

    def simulated(self, data: GaussianData, sampler: DDIM, **run: Any) -> Any:
        """Return samples."""
        from .scored import sample_score  # noqa: PLC0415  (it imports this module)

        return sample_score(data, sampler, self, **run)

    def verified(self, data: GaussianData, sampler: DDIM, **run: Any) -> Any:
        """Hold what a step leaves out, and the Gaussian floor, against samples."""
        from .scored_trial import verify_score  # noqa: PLC0415  (it imports this module)

        return verify_score(data, sampler, self, **run)


@dataclass(frozen=True, eq=False, repr=False)
class ClassMixture(Score, ByValue):
    """The score of a mixture of Gaussians, one for each class, with the class's share, mean and covariance.

    Parameters
    ----------
    inputs : array_like, (N, d)
        The samples.
    labels : array_like, (N,)
        Their classes, of at least two samples each.
    scale : tuple of two floats, optional
        As for `GaussianData.of`.

    Raises
    ------
    InvalidInput
        For arrays of other shapes, and for a class of a single sample.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> digits = fl.load("digits")
    >>> data = diffusion.GaussianData.of(digits.inputs, scale=(-1, 1))
    >>> mixture = diffusion.ClassMixture(digits.inputs, digits.labels, scale=(-1, 1))
    >>> found = fl.simulate(data, diffusion.DDIM(steps=5), denoiser=mixture, samples=2000, rng=1)
    >>> print(f"{found.variance_kept:.2f}; a Gaussian of the same covariance keeps 0.43")
    0.49; a Gaussian of the same covariance keeps 0.43
    """

    inputs: Array
    labels: Array
    scale: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        rows = scaled("inputs", self.inputs, self.scale)
        labels = read_labels("labels", np.asarray(self.labels))
        if labels.shape != (len(rows),):
            raise InvalidInput(f"labels must have a class for each of the {len(rows)} samples, got {labels.shape}.")
        object.__setattr__(self, "inputs", rows)
        object.__setattr__(self, "labels", labels)
        names, counts = np.unique(labels, return_counts=True)
        if counts.min() < _FEWEST:
            raise InvalidInput(
                f"class {names[counts.argmin()]} has a single sample, which has no covariance. Leave it out, or "
                f"join it with another class."
            )

    @property
    def words(self) -> str:
        """The law in a few words."""
        return f"mixture of {len(self._shares)} class Gaussians"

    @property
    def features(self) -> int:
        """Number of columns, d."""
        return int(self.inputs.shape[1])

    @cached_property
    def _shares(self) -> Array:
        return np.unique(self.labels, return_counts=True)[1] / len(self.labels)

    @cached_property
    def _parts(self) -> list[GaussianData]:
        names = np.unique(self.labels)
        return [_gaussian(self.inputs[self.labels == name]) for name in names]

    def guess(self, x: Array, alpha_bar: float) -> tuple[Array, Array]:
        """Return E[x0 | x], (R, d), and the trace of Cov(x0 | x), (R,), of samples x at a level (F149)."""
        a, noise = np.sqrt(alpha_bar), 1 - alpha_bar
        logs, guesses = np.empty((len(self._parts), len(x))), np.empty((len(self._parts), *x.shape))
        left = np.empty(len(self._parts))
        for c, part in enumerate(self._parts):
            v = alpha_bar * part.variances + noise
            away = (x - a * part.mean) @ part.modes
            logs[c] = np.log(self._shares[c]) - 0.5 * ((away**2 / v).sum(axis=1) + np.log(v).sum())
            guesses[c] = part.mean + (away * (a * part.variances / v)) @ part.modes.T
            left[c] = (part.variances * noise / v).sum()
        weights = _softmax(logs)
        mean = np.einsum("cr,crd->rd", weights, guesses)
        apart = np.einsum("cr,crd->r", weights, (guesses - mean) ** 2)
        return mean, left @ weights + apart

    def drawn(self, count: int, rng: np.random.Generator) -> Array:
        """Return samples of the law itself, (count, d)."""
        classes = rng.choice(len(self._parts), count, p=self._shares)
        out = rng.standard_normal((count, self.features))
        for c, part in enumerate(self._parts):
            chosen = classes == c
            out[chosen] = part.mean + (out[chosen] * np.sqrt(part.variances)) @ part.modes.T
        return out

    def _shown(self) -> Keywords:
        return {"classes": len(self._shares), "samples": len(self.inputs), "features": self.features}


@dataclass(frozen=True, eq=False, repr=False)
class TrainingSet(Score, ByValue):
    """The score of the training set itself, from which a sampler can only return its samples.

    A network that fits its training loss completely has this score, and has memorised.

    Parameters
    ----------
    inputs : array_like, (N, d)
        The samples.
    scale : tuple of two floats, optional
        As for `GaussianData.of`.

    Raises
    ------
    InvalidInput
        For an array of other shape, and a single sample.

    Examples
    --------
    >>> import fluctua as fl
    >>> from fluctua.studies import diffusion
    >>> inputs = fl.load("digits").inputs
    >>> data = diffusion.GaussianData.of(inputs, scale=(-1, 1))
    >>> training = diffusion.TrainingSet(inputs, scale=(-1, 1))
    >>> found = fl.simulate(data, diffusion.DDIM(steps=5), denoiser=training, samples=500, rng=1)
    >>> diffusion.Memorisation.of(found, training).share
    1.0
    """

    inputs: Array
    scale: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", scaled("inputs", self.inputs, self.scale))

    @property
    def words(self) -> str:
        """The law in a few words."""
        return f"training set of {len(self.inputs):,}"

    @property
    def features(self) -> int:
        """Number of columns, d."""
        return int(self.inputs.shape[1])

    def guess(self, x: Array, alpha_bar: float) -> tuple[Array, Array]:
        """Return E[x0 | x], (R, d), and the trace of Cov(x0 | x), (R,), of samples x at a level (F149)."""
        a, noise = np.sqrt(alpha_bar), 1 - alpha_bar
        weights = _softmax((a * (self.inputs @ x.T) - 0.5 * alpha_bar * self._lengths[:, None]) / noise)
        mean = weights.T @ self.inputs
        return mean, np.maximum(self._lengths @ weights - (mean**2).sum(axis=1), 0.0)

    @cached_property
    def _lengths(self) -> Array:
        return np.asarray((self.inputs**2).sum(axis=1))

    def drawn(self, count: int, rng: np.random.Generator) -> Array:
        """Return samples of the law itself, (count, d)."""
        return np.asarray(self.inputs[rng.integers(len(self.inputs), size=count)])

    def _shown(self) -> Keywords:
        return {"samples": len(self.inputs), "features": self.features}


def scaled(name: str, value: ArrayLike, scale: tuple[float, float] | None) -> Array:
    """Return samples between the numbers of `scale`, as `GaussianData.of` has them."""
    rows = np.asarray(sample_rows(name, value), np.float64)
    if len(rows) < _FEWEST:
        raise InvalidInput(f"{name} holds a single sample, and a sampler can only return it. Give at least two.")
    shift, factor = mapped(float(rows.min()), float(rows.max()), scale)
    return np.asarray(shift + factor * rows)


def _gaussian(rows: Array) -> GaussianData:
    return GaussianData(*moments_of(rows), samples=len(rows))


def _softmax(logs: Array) -> Array:
    weights = np.exp(logs - logs.max(axis=0))
    return np.asarray(weights / weights.sum(axis=0))

r"""The source of the fluctuation: the covariance of the gradient of one batch, kappa (C + K[S] + X(E V)).

Every law of independent batches is S = Phi o source, with the kernel Phi of the optimiser (F2). The source knows the
minimum and how batches are drawn, and nothing of the optimiser. Sums over the samples are the minimum's; here they
become those of a batch, so that nothing else multiplies by kappa.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar

import numpy as np

from .._arrays import Array
from ..problem.least_squares import LeastSquares
from ..problem.minimum import Minimum
from ..recipe.sampling import Sampler
from ..recipe.sgd import Recipe

__all__ = ["BatchNoise", "Local", "Source"]


class Local(Protocol):
    """The quadratic picture at a minimum, in its modes: all that kernels, balances and limits need of a problem.

    `LeastSquares` has it exactly, a softmax head or a network to second order.
    """

    @property
    def curvatures(self) -> Array:
        """Eigenvalues of H, largest first, (r,)."""

    @property
    def noise(self) -> Array:
        """C, the covariance of one sample's gradient at W*, (r, r)."""

    @property
    def population(self) -> int:
        """Number of samples that batches are drawn from, N."""

    @property
    def precision(self) -> float:
        """Relative accuracy of the products over samples."""

    def feedback(self, covariance: Array) -> Array:
        """Return K[S], what the fluctuation adds to C, (r, r); linear, its own adjoint, positive."""


M = TypeVar("M", bound=Local)


@dataclass(frozen=True)
class BatchNoise(Generic[M]):
    r"""The covariance of a batch's gradient in the modes of a local picture, kappa included (F4, F5).

    Parameters
    ----------
    minimum : Local
        Curvatures, noise and feedback of the loss that the batches descend.
    sampler : Sampler
        How batches are drawn.
    size : int
        Samples per batch, b.
    """

    minimum: M
    sampler: Sampler
    size: int

    @cached_property
    def kappa(self) -> float:
        """Covariance of a batch mean in units of the per-sample one; 0 for a full batch, which has no noise."""
        return self.sampler.kappa(self.minimum.population, self.size)

    @property
    def noise(self) -> Array:
        """Kappa C, at W*, (r, r)."""
        return np.asarray(self.kappa * self.minimum.noise)

    def feedback(self, covariance: Array) -> Array:
        """Return kappa K[S], what the fluctuation adds, (r, r); linear, its own adjoint, positive."""
        return np.asarray(self.kappa * self.minimum.feedback(covariance))


@dataclass(frozen=True)
class Source(BatchNoise[Minimum]):
    r"""The covariance of a batch's gradient of least squares: all of it per batch, kappa included (F4, F5, F19).

    Parameters
    ----------
    minimum : Minimum
        Of the loss that the batches descend, `sampler.seen(problem)`.
    sampler : Sampler
        How batches are drawn.
    size : int
        Samples per batch, b.
    """

    def __post_init__(self) -> None:
        assert self.sampler.seen(self.minimum.problem) is self.minimum.problem  # the minimum of what is descended

    @classmethod
    def of(cls, problem: LeastSquares, sgd: Recipe) -> Source:
        """Return that of a recipe on a problem."""
        return cls(sgd.seen(problem).minimum(sgd.weight_decay), sgd.sampler, sgd.batch_size)

    @property
    def noise_of_the_loss(self) -> Array:
        """Kappa 2 L(W*) A, the common stand-in for it, with the data part of the loss, (r, r)."""
        square = self.minimum.squared_residuals.mean()
        return np.asarray(self.kappa * np.diag(square * self.minimum.problem.curvatures))

    def at(self, covariance: Array, mean: Array | None = None) -> Array:
        """Return kappa (C + K[S] + X(E V)), (r, r), at S = `covariance`, about W*, and E V = `mean`, (c, r)."""
        return np.asarray(self.kappa * self.minimum.source(covariance, mean))

    def centring(self, product: Array) -> Array:
        """Return -kappa `product` of mean gradients: what it takes from the second moment to be a covariance."""
        return np.asarray(-self.kappa * product)

    def even(self, k: int, l: int) -> Array:  # noqa: E741  (k, l are theory.md's output indices)
        """Return kappa C_kl, symmetrised in the outputs k and l, (r, r)."""
        return np.asarray(self.kappa * self.minimum.output_noise(k, l))

    def odd(self, k: int, l: int) -> Array:  # noqa: E741
        """Return the antisymmetric part of kappa C_kl, -kappa gamma^2 (w*_k w*_l^T - w*_l w*_k^T)/2, (r, r)."""
        weights = self.minimum.weight_decay * self.minimum.mode_weights
        product = np.outer(weights[k], weights[l])
        return self.centring(0.5 * (product - product.T))

    def traces(self, adjoint: Array) -> Array:
        """Return kappa tr(`adjoint` C_kl) for all pairs of outputs, (c, c), from one pass over the samples."""
        weights = self.minimum.weight_decay * self.minimum.mode_weights
        products = self.minimum.residual_products(adjoint) - weights @ adjoint @ weights.T
        return np.asarray(self.kappa * products)

    def traces_of_the_loss(self, adjoint: Array) -> Array:
        """Return the same for the stand-in, whose outputs share their residuals' covariance."""
        curvatures = self.minimum.problem.curvatures
        return np.asarray(self.kappa * self.minimum.residual_products(None) * float(np.diag(adjoint) @ curvatures))

    def largest(self, basis: Array | None = None) -> float:
        """Return kappa R^2, R^2 the largest |x|^2, or of its part in `basis`: kappa <|x|^2 x x^T> is at most that A."""
        return self.kappa * self.minimum.problem.largest_square(basis)

r"""The quadratic twin of a head as the law of shuffled epochs asks for it: its samples, and its minimum.

About W* each sample has the loss 1/2 |rho_i + Z_i v|^2 up to a constant, with Z_i^T Z_i = A_i (x) x_i x_i^T and Z_i^T
rho_i = r_i (x) x_i, one output of as many modes as directions that data can move. Least squares has one row in Z_i, a
head as many as free logits. A_i and r_i stand for both, so that no root of A_i is ever taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ...problem.moments import squared_mean
from ...problem.softmax.descent import Place, Samplewise
from ...problem.softmax.picture import Picture

__all__ = ["TwinMinimum", "TwinSamples"]

_FLAT = 1e-14  # of the steepest curvature: below, weight decay alone is felt


@dataclass(frozen=True, eq=False)
class TwinSamples:
    """The samples of a twin, in the place of a problem of least squares.

    Attributes
    ----------
    picture : Picture
        All modes, and the samples that averages are over.
    population : int
        Number of samples that batches are drawn from.
    """

    picture: Picture
    population: int

    outputs = 1
    feedback_samples = None

    @property
    def samples(self) -> int:
        """Number of samples that averages are over."""
        return len(self.picture.place.residuals)

    @property
    def rank(self) -> int:
        """Number of modes."""
        return self.picture.rank

    @property
    def precision(self) -> float:
        """Relative accuracy of the products over samples."""
        return self.picture.precision

    @property
    def inputs(self) -> Array:
        """The inputs in the directions that data can move."""
        return np.asarray(self.picture.place.head.z)

    @cached_property
    def curvatures(self) -> Array:
        """Those of the data alone, without weight decay, (r,)."""
        h = self.picture.curvatures
        return np.asarray(np.maximum(h - self.picture.place.head.weight_decay, _FLAT * h[0]))

    def fewer(self, count: int) -> TwinSamples:
        """Return the same modes with averages over some of the samples, always the same ones."""
        place = self.picture.place
        head, rows = place.head, np.sort(np.random.default_rng(0).permutation(self.samples)[:count])
        factors = None if head.factors is None else head.factors[rows]
        some = Samplewise(head.z[rows], head.targets[rows], factors, head.frame, head.weight_decay)
        return TwinSamples(replace(self.picture, place=Place(some, place.theta)), self.population)


@dataclass(frozen=True, eq=False)
class TwinMinimum:
    """W*, and what averages over the samples say of the noise there, in the place of a minimum of least squares.

    Attributes
    ----------
    problem : TwinSamples
    noise : ndarray, (r, r)
        C, of all samples.
    """

    problem: TwinSamples
    noise: Array

    @property
    def weight_decay(self) -> float:
        """Of the recipe."""
        return self.problem.picture.place.head.weight_decay

    @cached_property
    def mode_weights(self) -> Array:
        """W* in the modes, (1, r)."""
        return np.asarray(self.problem.picture.optimum[None])

    @property
    def weights(self) -> Array:
        """The same."""
        return self.mode_weights

    @cached_property
    def squared_residuals(self) -> Array:
        """|rho_i|^2 = r_i^T A_i^+ r_i, (N,): what noise at W* is of."""
        place = self.problem.picture.place
        inverse = np.linalg.pinv(place.spread, hermitian=True)
        return np.asarray(np.einsum("na,nab,nb->n", place.residuals, inverse, place.residuals))

    def fed_back(self, form: Array, mean: Array | None) -> Array:
        """What the fluctuation adds to <r r^T (x) x x^T>, (r, r)."""
        picture = self.problem.picture
        spread = picture.place.spread
        product = spread @ picture.forms(form) @ spread
        if mean is not None:
            crossed = np.einsum("na,nb->nab", picture.place.residuals, _moved(picture, mean[0]))
            product = product + crossed + crossed.swapaxes(1, 2)
        return picture.scattered(product)

    def squared_mean(self, covariance: Array, mean: Array | None) -> Array:
        """E[p^T p] of the mean gradient, (r, r)."""
        return squared_mean(self.problem.curvatures, self.weight_decay * self.mode_weights, covariance, mean)


def _moved(picture: Picture, vector: Array) -> Array:
    """A_i times each sample's logits for a vector in the modes, (N, k)."""
    return np.asarray(np.einsum("nab,nb->na", picture.place.spread, picture.responses(vector)))

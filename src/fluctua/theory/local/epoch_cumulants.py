r"""Averages over one sample's noise and curvature for a head, F40, F55 and F65, as sums over the samples.

Where least squares have one number a sample, x^T P x, a head has a matrix of its free logits, F = x^T P x, and the
products over a sample's rows keep their order. With rho and Z of `epoch_samples`, L the root A = L L^T,

    L (Z P Z^T) L^T = A F A,    L rho = r,    L E[rho rho'^T] L^T = E[(r + A V x) (r + A V' x)^T]

so that A, r and F are all that is asked of a sample. `Deviation` then holds matrices, (N, k, k), for its numbers.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..._arrays import Array
from ...problem.softmax.picture import Picture
from ..reshuffling.cumulants import Deviation, SampleCumulants
from ..reshuffling.mean_path import MeanPath
from ..reshuffling.path_cumulants import PathCumulants
from .epoch_samples import TwinMinimum, TwinSamples

__all__ = ["HeadCumulants", "HeadPath"]


class HeadCumulants(SampleCumulants):
    """Averages of g_i and B_i of a head's twin.

    Cost: 2 N k^2 r^2 and 4 (k r)^3 flops for each average, k free logits and r directions of the inputs.

    Parameters
    ----------
    problem : TwinSamples
    minimum : TwinMinimum
    responses : ndarray, (J, r)
        P_j, that averages are asked for.
    """

    problem: TwinSamples  # type: ignore[assignment]
    minimum: TwinMinimum  # type: ignore[assignment]

    def along(self, path: MeanPath) -> PathCumulants:
        """Return what samples do along a path of the mean."""
        return HeadPath(path, self)

    @property
    def picture(self) -> Picture:
        """The modes and the samples."""
        return self.problem.picture

    @property
    def spread(self) -> Array:
        """A_i, (N, k, k)."""
        return self.picture.place.spread

    def scatter(self, weights: Array) -> Array:
        """<weights_i (x) x_i x_i^T>, (r, r), for matrices, (N, k, k)."""
        return self.picture.scattered(weights, symmetric=False)

    def form(self, matrix: Array) -> Array:
        """F_i of a matrix, (N, k, k)."""
        return self.picture.forms(matrix, symmetric=False)

    @cached_property
    def forms(self) -> Array:
        """F_i of every P_j, (J, N, k, k)."""
        return np.array([self.picture.forms(np.diag(each)) for each in self.responses])

    @cached_property
    def scatters(self) -> Array:
        """<A F_j A (x) x x^T>, (J, r, r)."""
        return np.array([self.picture.scattered(self.spread @ each @ self.spread) for each in self.forms])

    def residual_scatter(self, weights: Array) -> Array:
        """<r^T F A (x) x>, (1, r), for F, (N, k, k)."""
        pulled = np.einsum("na,nab->nb", self.picture.place.residuals, weights @ self.spread)
        return np.asarray(self.picture.pulled(pulled)[None])

    def _products(
        self, covariance: Array, mean: Array, shift: Array, lags: list[int]
    ) -> tuple[Array, dict[int, Array]]:
        """E[(r + A V x) (r + A V' x)^T], and E[(r + A V x) p'] P_j x^T A, (N, k, k)."""
        a, r, picture = self.spread, self.picture.place.residuals, self.picture
        drifted = np.einsum("nab,nb->na", a, picture.responses(mean[0]))
        crossed = np.einsum("na,nb->nab", r, r + drifted) + np.einsum("na,nb->nab", drifted, r)
        found, right = crossed + a @ self.form(covariance) @ a, covariance * self.a + mean.T @ self.pull
        return found, {j: self._crossed(right * self.responses[j], shift[:, 0] * self.responses[j]) for j in lags}

    def _crossed(self, right: Array, shift: Array) -> Array:
        a, r = self.spread, self.picture.place.residuals
        alone = np.einsum("na,nb->nab", r, self.picture.responses(shift))
        return np.asarray((alone + a @ self.form(right)) @ a)

    def _twice(self, j: int, found: Deviation, middle: Array) -> Array:
        """<B P_j (E[D^T D'] - G) P_j B> but for the means."""
        left = self.spread @ self.forms[j]
        crossed = left @ found.crossed[j]
        product = left @ found.squares @ left.swapaxes(1, 2) - crossed - crossed.swapaxes(1, 2)
        return self.scatter(product + self.spread @ self.form(middle) @ self.spread)

    def _once(self, j: int, found: Deviation) -> Array:
        """<E[D^T D'] P_j B> but for the means and what the mean gradient is in."""
        if j not in found.once:
            found.once[j] = self.scatter(found.squares @ self.forms[j] @ self.spread - found.crossed[j])
        return found.once[j]


class HeadPath(PathCumulants):
    """F65 for a head's twin, of which each sample's a_i and l_i are written out.

    Cost: J (B + 3) products of N (k r)^2 flops. Memory: J B matrices (r, r), and as many (N, r).
    """

    samples: HeadCumulants

    @cached_property
    def _gradients(self) -> Array:
        """D_b of every sample, (B, N, r)."""
        picture, a = self.samples.picture, self.samples.spread
        felt = [np.einsum("nab,nb->na", a, picture.responses(each[0])) for each in self.path.parts]
        alone = [picture.gradients(each) for each in (picture.place.residuals, *felt)]
        return np.array([each - pull for each, pull in zip(alone, self.pulls, strict=True)])

    @cached_property
    def _curved(self) -> Array:
        """a_i(t) B_i at every time, but for the mean curvature, (J, N, r)."""
        summed = (np.einsum("qb,bnq->nq", weights, self._gradients) for weights in self._once_felt)
        return np.array([self._curve(each) for each in summed])

    def _curve(self, vectors: Array) -> Array:
        """What each sample's curvature makes of a vector of its own, (N, r)."""
        picture = self.samples.picture
        return picture.gradients(np.einsum("nab,nb->na", self.samples.spread, picture.own_responses(vectors)))

    @cached_property
    def _means(self) -> tuple[Array, Array]:
        """<a_i B_i>, and <l_i B_i>, but for the mean curvature, (J, 1, r) each."""
        again = []
        for once, twice in zip(self._responses, self._twice, strict=True):
            folded, back = self.epoch.fold(once.T), self.epoch.fold(twice.T).T
            moved = np.einsum("jq,jnq->nq", folded, self._curved[: len(folded)])
            again.append(self._curve(moved - np.einsum("qb,bnq->nq", back, self._gradients)).mean(axis=0))
        return self._curved.mean(axis=1)[:, None], np.array(again)[:, None]

    @cached_property
    def _noise(self) -> Array:
        """<D_b^T a_i B_i> but for the means, (J, B, r, r)."""
        alone, count = self._gradients + self.pulls, len(self._gradients[0])
        return np.array([[each.T @ curved / count for each in alone] for curved in self._curved])

    @cached_property
    def _pairs(self) -> Array:
        """<D_b^T D_b'>, (B, B, r, r)."""
        d = self._gradients
        return np.array([[one.T @ other / len(one) for other in d] for one in d])

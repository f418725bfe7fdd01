r"""What each sample did along the path of the mean, and what that makes of its noise and its curvature later, F65.

With D_i(E V) the deviation of sample i's gradient on the path, the shift of V at t by all of its visits before t is

    a_i(t) = sum over v < t of D_i(E V(v)) P_(t-1-v),    l_i(t) = sum over v < t of a_i(v) B_i P_(t-1-v)

and what a second visit made of that. The path is a sum of a few shapes b (`mean_path`), with residuals rho_b and mean
gradients p_b. So D_i is a sum of rho_b x - p_b, and averages are sums of <q_i x_i x_i^T> with one number q_i a sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..._arrays import Array, Ints
from .mean_path import MeanPath

if TYPE_CHECKING:
    from .cumulants import SampleCumulants

__all__ = ["PathCumulants"]


class PathCumulants:
    """F65: the third cumulants of three batches, of samples' noise on the path of the mean.

    Cost: J B passes over the samples, with B shapes and J nodes. Memory: as many (r, r) matrices.

    Parameters
    ----------
    path : MeanPath
    samples : SampleCumulants
    """

    def __init__(self, path: MeanPath, samples: SampleCumulants) -> None:
        self.path, self.epoch, self.samples, self.a = path, path.epoch, samples, samples.a
        self.pulls = np.concatenate([samples.pull[None], path.parts * self.a])  # p_b, (B, c, r)
        self._separate: dict[int, Array] = {}

    # -- weights of a_i and l_i -------------------------------------------------------------------------------------

    @cached_property
    def _responses(self) -> list[Array]:
        """Weights of the positions' nodes in sums of responses, at every time, (k r, J)."""
        epoch = self.epoch
        nothing = np.zeros((epoch.sums.shape[1], epoch.positions.basis.shape[1]))
        return [epoch.position_responses(t) if t else nothing for t in epoch.times.tolist()]

    @cached_property
    def _once(self) -> list[Array]:
        """What D_b has done to the components by every time, (k r, B)."""
        shapes = self.path.shapes[: self._responses[0].shape[1]]
        return [each @ shapes for each in self._responses]

    @cached_property
    def _once_felt(self) -> Array:
        """The same of V, (J, r, B)."""
        return np.array([self.epoch.fold(each.T).T for each in self._once])

    @cached_property
    def _twice(self) -> list[Array]:
        """What D_b, then the mean curvature has done to the components, (k r, B)."""
        epoch = self.epoch
        nodes = np.array([epoch.tile((each * self.a[:, None]).T).T for each in self._once_felt])
        return [np.einsum("aj,jab->ab", each, nodes[: each.shape[1]]) for each in self._responses]

    # -- sums over the samples --------------------------------------------------------------------------------------

    @cached_property
    def _means(self) -> tuple[Array, Array]:
        """<alpha x>, and <(l x) x>, at every time, (J, c, r) each; alpha_i = a_i x_i, one number for each output."""
        z, (times, r, _) = self.samples.problem.projections, self._once_felt.shape
        alone, again = np.zeros((2, times, self.pulls.shape[1], r))
        for rows in self._blocks:
            _, alpha, twice = self._of_samples(rows)
            alone += np.einsum("tnc,nq->tcq", alpha, z[rows], optimize=True)
            again += np.einsum("tnc,nq->tcq", twice, z[rows], optimize=True)
        return alone / len(z), again / len(z)

    @cached_property
    def _noise(self) -> Array:
        """<D_b^T alpha x> at every time but for the mean's part of D_b, <alpha rho_b x x^T>, (J, B, r, r)."""
        z, (times, r, parts) = self.samples.problem.projections, self._once_felt.shape
        out = np.zeros((times, parts, r, r))
        for rows in self._blocks:
            rho, alpha, _ = self._of_samples(rows)
            for t, b in np.ndindex(times, parts):
                out[t, b] += (z[rows] * np.einsum("nc,nc->n", alpha[t], rho[b])[:, None]).T @ z[rows]
        return out / len(z)

    @cached_property
    def _pairs(self) -> Array:
        """<D_b^T D_b'>, (B, B, r, r)."""
        z, parts = self.samples.problem.projections, len(self.pulls)
        out = np.zeros((parts, parts, z.shape[1], z.shape[1]))
        for rows in self._blocks:
            rho = self._residuals(rows)
            for b, other in zip(*np.tril_indices(parts), strict=True):
                out[b, other] += (z[rows] * np.einsum("nc,nc->n", rho[b], rho[other])[:, None]).T @ z[rows]
        lower = np.tril_indices(parts, -1)
        out[lower[1], lower[0]] = out[lower]
        return np.asarray(out / len(z) - np.einsum("bcp,dcq->bdpq", self.pulls, self.pulls))

    @property
    def _blocks(self) -> Iterator[slice]:
        times, r, _ = self._once_felt.shape
        return self.samples.problem.blocks(max(r, times * self.pulls.shape[1]))

    def _residuals(self, rows: slice) -> Array:
        """rho_b, (B, n, c), in the precision of the inputs."""
        z = self.samples.problem.projections[rows]
        return np.array(
            [self.samples.minimum.residuals[rows], *(z @ each.T.astype(z.dtype) for each in self.path.parts)]
        )

    def _of_samples(self, rows: slice) -> tuple[Array, Array, Array]:
        """rho_b, (B, n, c), and alpha and l x at every time, (J, n, c)."""
        z, rho = self.samples.problem.projections[rows], self._residuals(rows)
        kind, square, nodes = z.dtype, np.square(z), self._responses[0].shape[1]
        once, twice = self._once_felt, np.array([self.epoch.fold(each.T).T for each in self._twice])

        def summed(weights: Array) -> Array:  # of D_b x, for what D_b has done by every time
            mean = np.einsum("tqb,bcq->tcq", weights, self.pulls).astype(kind)
            forms = np.tensordot(square, weights.astype(kind), axes=([1], [1]))
            return np.asarray(np.einsum("bnc,ntb->tnc", rho, forms, optimize=True) - z @ mean.swapaxes(1, 2))

        alpha = summed(once)
        folded = np.array([self.epoch.fold(each.T).T for each in self._responses]).astype(kind)
        forms = np.tensordot(square, folded, axes=([1], [1]))
        return rho, alpha, np.einsum("jnc,ntj->tnc", alpha[:nodes], forms, optimize=True) - summed(twice)

    # -- the terms --------------------------------------------------------------------------------------------------

    @cached_property
    def shifts(self) -> Array:
        """F53: <l_i B_i> at `Epoch.times`, (J, c, r): noise, then curvature twice, to be multiplied by c_3."""
        alone, again = self._means
        felt = [np.einsum("qj,jcq->cq", self.epoch.fold(w.T).T, alone[: w.shape[1]]) for w in self._responses]
        return np.asarray(again - np.array(felt) * self.a)

    def separate(self, k: int) -> Array:
        """F65: <a_i^T a_i B_i> + <l_i^T D_i(E V)> at `times[k]`, (k r, r), to be multiplied by c_3."""
        if k not in self._separate:
            self._separate[k] = self._curvature_now(k) + self._noise_now(k)
        return self._separate[k]

    def _curvature_now(self, k: int) -> Array:
        """<a_i^T a_i B_i>."""
        epoch, once = self.epoch, self._once[k]
        mean = np.einsum("ab,bca->ca", once, epoch.tile(self.pulls))
        both = np.einsum("bdpq,qd->bpq", self._pairs, self._once_felt[k]) * self.a
        noise = np.einsum("ab,baq->aq", once, epoch.tile_rows(self._noise[k] - both))
        return np.asarray(noise - mean.T @ self._means[0][k])

    def _noise_now(self, k: int) -> Array:
        """<l_i^T D_i(E V)>."""
        epoch, shape, weights = self.epoch, self.path.shapes[k], self._responses[k]
        gradient = np.tensordot(shape, self.pulls, 1)
        nodes = np.einsum("b,jbpq->jqp", shape, self._noise) - np.einsum("jcp,cq->jpq", self._means[0], gradient)
        felt = np.einsum("aj,jaq->aq", weights, epoch.tile_rows(nodes[: weights.shape[1]]))
        before = epoch.tile_rows(np.einsum("bdpq,d->bpq", self._pairs, shape))
        return np.asarray(felt - np.einsum("ab,baq->aq", self._twice[k], before))

    def crossed(self, k: int, steps: Ints) -> Array:
        """F45: <B_i (E V(t') - E V(t))^T g_i> for t = `times[k]` and t' of `steps`, (L, r, r)."""
        change = self.path.along[steps] - self.path.shapes[k]
        return np.tensordot(change, self._pairs[:, 0], 1)

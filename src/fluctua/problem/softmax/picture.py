r"""The local picture of a head in the modes of its H: curvatures, noise C, feedback K[S], anharmonicity X[S] (F73).

In flattened modes a head is a problem with as many modes as directions that data can move, and one output.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import AnyArray, Array
from ...errors import TooLarge
from .descent import Place
from .logits import spread, spread_times, third
from .sums import forms, gathered, logits_of, scattered

__all__ = ["MOST_MODES", "Picture"]

MOST_MODES = 2_000
"""Modes up to which matrices of them are formed and decomposed."""


@dataclass(frozen=True, eq=False)
class Picture:
    """H diagonal, C, K[S] and X[S] of a head at its optimum, in its own modes.

    Attributes
    ----------
    place : Place
        The optimum.
    importance : ndarray, (N,), or None
        How often each sample counts in averages of gradients' squares.
    curvatures : ndarray, (r,)
        Eigenvalues of H, largest first.
    basis : ndarray, (r, r)
        Eigenvectors in the coordinates that data can move, the columns.
    """

    place: Place
    importance: Array | None
    curvatures: Array
    basis: Array

    @classmethod
    def of(cls, place: Place, importance: Array | None = None) -> Picture:
        """Return that at an optimum: one pass of N k^2 r^2 flops and an eigendecomposition.

        Raises
        ------
        TooLarge
            Above 2,000 modes.
        """
        size = place.theta.size
        if size > MOST_MODES:
            raise TooLarge(
                f"all modes of a head of {size:,} numbers that data can move would be {size:,} x {size:,} matrices, "
                f"and above {MOST_MODES:,} only leading ones are found. Use predict, whose floors need no matrix, or "
                f"fewer inputs, such as their leading components.",
                8.0 * size**2,
                8.0 * MOST_MODES**2,
            )
        values, vectors = np.linalg.eigh(place.curvature())
        return cls(place, importance, values[::-1].copy(), np.ascontiguousarray(vectors[:, ::-1]))

    @property
    def population(self) -> int:
        """Number of samples that batches are drawn from, N."""
        return len(self.place.head.z)

    @property
    def precision(self) -> float:
        """Relative accuracy of the products over samples."""
        return 1e-12 if self.place.head.z.dtype == np.float64 else 1e-6

    @property
    def rank(self) -> int:
        """Number of modes, r."""
        return len(self.curvatures)

    @property
    def complete(self) -> bool:
        """Whether no mode is left out."""
        return True

    @property
    def noise_beyond(self) -> float:
        """What tr C has beyond the modes."""
        return 0.0

    @cached_property
    def optimum(self) -> Array:
        """W* in the modes, (r,)."""
        return self.into(self.place.theta)

    def into(self, theta: Array) -> Array:
        """A vector, (k, r), in the modes, (r,)."""
        return np.asarray(self.basis.T @ theta.ravel())

    def out_of(self, vector: Array) -> Array:
        """A vector in the modes, (r,), as weights that data can move, (k, r)."""
        return np.asarray((self.basis @ vector).reshape(self.place.theta.shape))

    @cached_property
    def noise(self) -> Array:
        """C, the covariance of one sample's gradient at W*, (r, r)."""
        r = self.place.residuals
        pulled = self.place.head.weight_decay * self.optimum
        return self.scattered(r[:, :, None] * r[:, None, :]) - np.multiply.outer(pulled, pulled)

    def feedback(self, covariance: Array) -> Array:
        """Return K[S] = <(A B A) (x) x x^T> - H0 S H0, B = x^T S x: what the fluctuation adds to the noise, (r, r)."""
        return self.scattered(self._swung(self.forms(covariance))) - self._centre(covariance)

    def felt(self, covariance: Array) -> Array:
        """Return K[S] + X[S], (r, r), at the cost of one of them."""
        b = self.forms(covariance)
        bent = self._thirds(b)
        slope = self.pulled(bent)
        product, added = self._crossing(bent, -slope / self.curvatures, slope)
        return self.scattered(self._swung(b) + product) - self._centre(covariance) + added

    def _swung(self, b: Array) -> Array:
        return np.asarray(self.place.spread @ b @ self.place.spread)

    def _centre(self, covariance: Array) -> Array:
        h = self.curvatures - self.place.head.weight_decay
        return np.asarray(h[:, None] * covariance * h)

    def shift(self, covariance: Array) -> Array:
        """Return m of H m = -<t x^T>: how far the mean is from W*, to first order in S, (r,)."""
        return -self.pulled(self.thirds(covariance)) / self.curvatures

    def anharmonic(self, covariance: Array) -> Array:
        """Return X[S], what third derivatives and the shift of the mean add to the noise, (r, r)."""
        bent = self.thirds(covariance)
        slope = self.pulled(bent)
        product, added = self._crossing(bent, -slope / self.curvatures, slope)
        return self.scattered(product) + added

    def softened(self, covariance: Array, mean: Array) -> Array:
        """Return what fourth derivatives and a shifted mean add to the mean curvature of each mode, (r,) (F169)."""
        head, p = self.place.head, self.place.p
        inside = head.frame @ self.forms(covariance) @ head.frame.T
        moved = third(p, inside) + spread_times(p, self.responses(mean) @ head.frame.T)
        change, a = -moved[:, :, None] * p[:, None, :], spread(p)
        change = change + change.swapaxes(1, 2) - a @ inside @ a
        diagonal = np.arange(p.shape[1])
        change[:, diagonal, diagonal] += moved
        return np.diag(self.scattered(head.weighed(head.frame.T @ change @ head.frame)))

    def crossed(self, mean: Array) -> Array:
        """Return what a mean displacement, (r,), adds to the noise of the quadratic by the residuals, (r, r)."""
        product, added = self._crossing(np.zeros_like(self.place.residuals), mean, np.zeros_like(mean))
        return self.scattered(product) + added

    def _crossing(self, bent: Array, mean: Array, slope: Array) -> tuple[Array, Array]:
        """M + M^T, M = <r (t + A m x)^T (x) x x^T> less the product of the means: per sample, and what is taken off."""
        r, gamma = self.place.residuals, self.place.head.weight_decay
        moved = bent + np.einsum("nab,nb->na", self.place.spread, self.responses(mean))
        product = r[:, :, None] * moved[:, None, :]
        added = np.multiply.outer(gamma * self.optimum, slope + (self.curvatures - gamma) * mean)
        return product + product.swapaxes(1, 2), added + added.T

    def responses(self, vector: Array) -> Array:
        """Return each sample's free logits for a vector in the modes, (N, k)."""
        return logits_of(self.place.head.z, self.out_of(vector))

    def gradients(self, values: Array) -> Array:
        """Return values_i (x) x_i of each sample in the modes, (N, r), for values, (N, k)."""
        z = self.place.head.z
        return np.asarray((values[:, :, None] * z[:, None, :]).reshape(len(z), -1) @ self.basis)

    def own_responses(self, vectors: Array) -> Array:
        """Return each sample's free logits for a vector of its own in the modes, (N, k), for vectors, (N, r)."""
        z = self.place.head.z
        return np.asarray(np.einsum("nkq,nq->nk", (vectors @ self.basis.T).reshape(len(z), -1, z.shape[1]), z))

    def pulled(self, values: Array) -> Array:
        """Return <values_i (x) x_i> in the modes, (r,), for values of each sample, (N, k)."""
        return self.into(gathered(self.place.head.z, values))

    def forms(self, covariance: Array, *, symmetric: bool = True) -> Array:
        """Return the covariance of each sample's free logits, (N, k, k); of a matrix that is not symmetric x^T M x."""
        inside = self.basis @ covariance @ self.basis.T
        inside = 0.5 * (inside + inside.T) if symmetric else inside
        return forms(self.place.head.z, inside, self.place.theta.shape[0], symmetric=symmetric)

    def thirds(self, covariance: Array) -> Array:
        """Return t of each sample, by the free logits, (N, k)."""
        return self._thirds(self.forms(covariance))

    def _thirds(self, b: Array) -> Array:
        head = self.place.head
        return np.asarray(head.weighed(third(self.place.p, head.frame @ b @ head.frame.T)) @ head.frame)

    def scattered(self, q: AnyArray, *, symmetric: bool = True) -> Array:
        """Return <q_i (x) z_i z_i^T> in the modes, (r, r), each sample as often as it counts."""
        counted = q if self.importance is None else q * self.importance[:, None, None]
        found = scattered(self.place.head.z, counted, symmetric=symmetric)
        return self.turned(found) if symmetric else np.asarray(self.basis.T @ found @ self.basis)

    def turned(self, matrix: Array) -> Array:
        """Return a symmetric matrix of the coordinates that data can move in the modes, (r, r)."""
        out = self.basis.T @ matrix @ self.basis
        return np.asarray(0.5 * (out + out.T))

r"""The leading modes of a head too large for all of them: the steepest curvatures, and what noise is left beyond (F79).

H is applied to blocks of vectors and never formed. Leading eigenvectors come from some of the samples, curvatures and
noise in them from all. What is left out is the noise beyond, whose trace is known, in modes that are flatter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..._arrays import AnyArray, Array
from ..moments import BLOCK_ELEMENTS
from .descent import Place, Samplewise
from .picture import Picture

if TYPE_CHECKING:
    from .optimum import HeadMinimum

__all__ = ["Leading", "leading_modes"]

_MODES = 64
_SAMPLES = 6_000  # that eigenvectors and the feedback are averaged over
_SPARE, _ITERATIONS = 16, 5  # of the block, and its multiplications by H


@dataclass(frozen=True, eq=False)
class Leading(Picture):
    """A picture in some modes: `basis` has as many columns, and `place` the samples that averages of K and X are over.

    Attributes
    ----------
    whole : int
        Samples that batches are drawn from.
    known_noise : ndarray, (m, m)
        C in the modes, over all samples.
    beyond : float
        What tr C has beyond the modes.
    """

    whole: int
    known_noise: Array
    beyond: float

    @property
    def population(self) -> int:
        """Number of samples that batches are drawn from, N."""
        return self.whole

    @property
    def noise_beyond(self) -> float:
        """What tr C has beyond the modes."""
        return self.beyond

    @property
    def complete(self) -> bool:
        """Whether no mode is left out."""
        return False

    @property
    def noise(self) -> Array:
        """C in the modes, (m, m)."""
        return self.known_noise

    @cached_property
    def _rows(self) -> Array:
        """Free logits that each mode gives each sample, (n, k, m)."""
        return _moved(self.place.head.z, self._vectors).swapaxes(1, 2)

    @property
    def _vectors(self) -> Array:
        """Modes as weights that data can move, (m, k, r)."""
        return self.basis.T.reshape(-1, *self.place.theta.shape)

    def responses(self, vector: Array) -> Array:
        """Return each sample's free logits for a vector in the modes, (n, k)."""
        return np.asarray(self._rows @ vector)

    def gradients(self, values: Array) -> Array:
        """Return values_i (x) x_i of each sample in the modes, (n, m)."""
        return np.asarray(np.einsum("nkm,nk->nm", self._rows, values))

    def own_responses(self, vectors: Array) -> Array:
        """Return each sample's free logits for a vector of its own in the modes, (n, k)."""
        return np.asarray(np.einsum("nkm,nm->nk", self._rows, vectors))

    def pulled(self, values: Array) -> Array:
        """Return <values_i (x) x_i> in the modes, (m,)."""
        return np.asarray(np.einsum("nkm,nk->m", self._rows, values) / len(values))

    def forms(self, covariance: Array, *, symmetric: bool = True) -> Array:
        """Return the covariance of each sample's free logits, (n, k, k)."""
        del symmetric
        n, k, m = self._rows.shape
        return (self._rows.reshape(n * k, m) @ covariance).reshape(n, k, m) @ self._rows.swapaxes(1, 2)

    def scattered(self, q: AnyArray, *, symmetric: bool = True) -> Array:
        """Return <q_i (x) z_i z_i^T> in the modes, (m, m)."""
        counted = q if self.importance is None else q * self.importance[:, None, None]
        n, k, m = self._rows.shape
        out = self._rows.reshape(n * k, m).T @ (counted @ self._rows).reshape(n * k, m) / n
        return np.asarray(0.5 * (out + out.T) if symmetric else out)

    def first(self, count: int) -> Leading:
        """Return the picture in the steepest modes alone; what is beyond them is not updated."""
        return replace(
            self,
            curvatures=self.curvatures[:count],
            basis=self.basis[:, :count],
            known_noise=self.known_noise[:count, :count],
        )


def leading_modes(minimum: HeadMinimum, modes: int = _MODES, samples: int = _SAMPLES) -> Leading:
    """Return the picture of a head in its steepest modes.

    Parameters
    ----------
    minimum : HeadMinimum
        The optimum.
    modes : int
        How many, at most.
    samples : int
        Over how many eigenvectors, K and X are averaged; curvatures and C are over all.

    Notes
    -----
    Cost: 4 N k r flops for each mode, and a few times that of the samples chosen.
    """
    place, importance = minimum.place, minimum.problem.importance
    some, counted = _thinned(place, importance, samples)
    count = min(modes, place.theta.size)
    vectors = _subspace(some, count)
    h, squares = _projected(place, importance, vectors)
    values, turned = np.linalg.eigh(h)
    order = np.argsort(-values)[:count]
    turned, values = turned[:, order], values[order]
    basis = vectors.reshape(len(vectors), -1).T @ turned
    pulled = place.head.weight_decay * (basis.T @ place.theta.ravel())
    noise = turned.T @ squares @ turned - np.multiply.outer(pulled, pulled)
    beyond = max(0.0, minimum.noise_trace - float(np.trace(noise)))
    return Leading(some, counted, values, basis, minimum.problem.samples, noise, beyond)


def _thinned(place: Place, importance: Array | None, samples: int) -> tuple[Place, Array | None]:
    """The same weights and some of the samples, always the same ones."""
    head = place.head
    if len(head.z) <= samples:
        return place, importance
    rows = np.sort(np.random.default_rng(0).permutation(len(head.z))[:samples])
    factors = None if head.factors is None else head.factors[rows]
    some = Samplewise(head.z[rows], head.targets[rows], factors, head.frame, head.weight_decay)
    return Place(some, place.theta), None if importance is None else importance[rows]


def _subspace(place: Place, count: int) -> Array:
    """Orthonormal vectors, (m, k, r), that nearly span the steepest eigenvectors: powers of H on a block."""
    vectors = _first_guess(place, min(count + _SPARE, place.theta.size))
    for _ in range(_ITERATIONS):
        flat = _times(place, vectors).reshape(len(vectors), -1)
        vectors = np.linalg.qr(flat.T)[0].T.reshape(vectors.shape)
    return vectors


def _first_guess(place: Place, count: int) -> Array:
    """The steepest eigenvectors of <A> (x) <z z^T>, (m, k, r)."""
    sizes, turned = np.linalg.eigh(place.spread.mean(axis=0))
    variances = np.square(place.head.z, dtype=np.float64).mean(axis=0)
    chosen = np.argsort(-np.multiply.outer(sizes, variances), axis=None)[:count]
    a, j = np.unravel_index(chosen, (len(sizes), len(variances)))
    out = np.zeros((count, *place.theta.shape))
    out[np.arange(count), :, j] = turned[:, a].T
    return out


def _times(place: Place, vectors: Array) -> Array:
    """H of each of a block of vectors, (m, k, r)."""
    z, out = place.head.z, np.zeros(vectors.shape)
    for rows in _blocks(z, vectors):
        moved = _moved(z[rows], vectors) @ place.spread[rows]
        out += (moved.reshape(len(moved), -1).T.astype(z.dtype) @ z[rows]).reshape(vectors.shape)
    return out / len(z) + place.head.weight_decay * vectors


def _projected(place: Place, importance: Array | None, vectors: Array) -> tuple[Array, Array]:
    """H and <r r^T (x) z z^T> between vectors, (m, m) each, over all samples of a place."""
    z, m = place.head.z, len(vectors)
    h, squares = np.zeros((m, m)), np.zeros((m, m))
    for rows in _blocks(z, vectors):
        moved = _moved(z[rows], vectors)
        spread = moved @ place.spread[rows]
        h += spread.swapaxes(0, 1).reshape(m, -1) @ moved.swapaxes(0, 1).reshape(m, -1).T
        along = np.einsum("nmk,nk->nm", moved, place.residuals[rows])
        squares += along.T @ (along if importance is None else along * importance[rows, None])
    return h / len(z) + place.head.weight_decay * np.eye(m), squares / len(z)


def _moved(z: AnyArray, vectors: Array) -> Array:
    """Free logits of samples for each of a block of vectors, (n, m, k)."""
    flat = vectors.reshape(-1, vectors.shape[2]).T.astype(z.dtype)
    return np.asarray((z @ flat).reshape(len(z), *vectors.shape[:2]), np.float64)


def _blocks(z: AnyArray, vectors: Array) -> list[slice]:
    height = max(BLOCK_ELEMENTS // (vectors.shape[0] * vectors.shape[1]), 256)
    return [slice(start, start + height) for start in range(0, len(z), height)]

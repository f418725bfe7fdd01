r"""H^-1 of a few vectors by conjugate gradients, preconditioned as far as the spectrum is known.

A Cholesky decomposition where A is a matrix. Else the leading modes are divided out; and where that is seen not to be
enough, a randomised sketch of A beyond them as well, which costs one product with a block of vectors and divides
out what is steep there (Nystroem; Frangella, Tropp and Udell 2023, arXiv:2110.02820). Neither makes a d x d matrix.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..._arrays import Array, even
from .curvature import Curvature

__all__ = ["Solver"]

_STEPS, _PATIENT = 2_000, 60  # of conjugate gradients in a round, and before a sketch is made
_ROUNDED = 5e-9  # of what a round begins with: what is recalled of the residual is no finer
_SKETCHED, _PART = 1_024, 4  # columns of a sketch at most, and of the inputs one in so many
_SHIFT = 10.0  # roundings added to A, which is then positive to its last digit

Map = Callable[[Array], Array]


class Solver:
    """H^-1 g, nearly; it keeps what it has found of H.

    Parameters
    ----------
    curvature : Curvature
        A.
    modes : (ndarray, ndarray)
        The leading curvatures, (k,), and modes, (d, k).
    decay : float
        Gamma.
    rounded : float
        Curvature that is none.
    """

    def __init__(self, curvature: Curvature, modes: tuple[Array, Array], decay: float, rounded: float) -> None:
        self.curvature, self.decay, self.least, self.products = curvature, decay, decay + rounded, 0
        self.modes, matrix = modes, curvature.matrix
        self.patience = _PATIENT if matrix is None else _STEPS
        self.rough = _deflated(modes, decay) if matrix is None else _factored(matrix, decay + _SHIFT * rounded)

    def __call__(self, right: Array, enough: float) -> Array:
        """Solve H x = right, (d, c), until what is left could raise no loss by more than `enough`, or is rounding."""
        enough = max(enough, _ROUNDED * float(np.sum(right * self.rough(right))))
        found, left = self._conjugate_gradients(right, enough, self.patience)
        if self.patience < _STEPS and not self._done(left, enough):
            self.patience = _STEPS
            self.rough = _deflated(_sketched(self.curvature, self.modes, self.least), self.decay)
            found = found + self._conjugate_gradients(left, enough, _STEPS)[0]
        return found

    def _done(self, left: Array, enough: float) -> bool:
        return 0.5 * float(np.sum(left**2)) <= enough * self.least

    def _conjugate_gradients(self, right: Array, enough: float, steps: int) -> tuple[Array, Array]:
        """The solution, nearly, and what is left of the right side."""
        found, left = np.zeros_like(right), right.copy()
        ahead = self.rough(left)
        along, product = ahead.copy(), np.sum(left * ahead, axis=0)
        for _ in range(steps):
            if self._done(left, enough) or not product.any():
                break
            image = self.curvature.times(along) + self.decay * along
            self.products += 1
            share = _over(product, np.sum(along * image, axis=0))
            found += share * along
            left -= share * image
            ahead = self.rough(left)
            before, product = product, np.sum(left * ahead, axis=0)
            along = ahead + _over(product, before) * along
        return found, left


def _over(above: Array, below: Array) -> Array:
    """Quotient; zero where a column is done."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _factored(matrix: Array, shift: float) -> Map:
    from scipy.linalg import cho_factor, cho_solve

    shifted = matrix.copy()
    shifted.flat[:: len(matrix) + 1] += shift
    factor = cho_factor(shifted, lower=True, overwrite_a=True, check_finite=False)

    def rough(vectors: Array) -> Array:
        return np.asarray(cho_solve(factor, vectors, check_finite=False))

    return rough


def _deflated(modes: tuple[Array, Array], decay: float) -> Map:
    h, u = modes
    flat = 1 / (h[-1] + decay)

    def rough(vectors: Array) -> Array:
        shares = u.T @ vectors
        return np.asarray(flat * vectors + u @ ((1 / (h + decay) - flat)[:, None] * shares))

    return rough


def _sketched(curvature: Curvature, modes: tuple[Array, Array], rounded: float) -> tuple[Array, Array]:
    """The modes and, beyond them, those of a Nystroem sketch, as far as they are no rounding."""
    h, u = modes
    count = min(_SKETCHED, (curvature.size - len(h)) // _PART)
    if not count:
        return modes
    probes = np.random.default_rng(0).standard_normal((curvature.size, count))
    probes = np.linalg.qr(probes - u @ (u.T @ probes))[0]
    image = curvature.times(probes)
    image -= u @ (u.T @ image)
    shift = np.sqrt(curvature.size) * np.finfo(float).eps * float(np.linalg.norm(image))
    image += shift * probes
    core = np.linalg.cholesky(even(probes.T @ image))
    vectors, sizes, _ = np.linalg.svd(np.linalg.solve(core, image.T).T, full_matrices=False)
    found = sizes**2 - shift
    kept = found > max(rounded, _PART * shift)
    return np.concatenate([h, found[kept]]), np.hstack([u, vectors[:, kept]])

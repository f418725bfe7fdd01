r"""The learning rate at which the second-moment map S -> Phi o kappa K[S] has spectral radius 1 (F12).

The map keeps positive matrices positive, so its spectral radius is an eigenvalue, with a positive eigenvector
(Perron and Frobenius). Other eigenvalues may come close to it in size: with momentum Phi has elements of both signs,
and -0.93 beside +0.93 stalls a power iteration. A Krylov space tells the two apart after one more dimension.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .._arrays import Array
from ..errors import NotConverged
from ..kernels.constant import Kernel
from .triangle import Triangle, positive

__all__ = ["unit_radius", "vectors_held"]

_ROUNDS = 300
_HELD, _FEWEST, _MOST = 2**25, 8, 40  # elements of a basis and its images together; vectors that it has
_RESIDUAL = 1e-6  # of the eigenvector; the learning rate's error is its square over the gap to the next eigenvalue
_INDEFINITE = 1e-4  # negative eigenvalue of the eigenvector over its largest, from which it is not the positive one
_WIDTH = 1e-3  # of the logarithm of the learning rate: how far off the next is looked for first
_SURE, _SURE_OF = 1e-15, 1e-3  # of it, how well it is told in a round: at best, and of the data's precision
_END = 1e-12  # relative distance from the mean's limit up to which the learning rate is sought


def unit_radius(
    feedback: Callable[[Array], Array], kernel: Callable[[float], Kernel], edge: float, modes: int, precision: float
) -> float:
    r"""Return the largest learning rate below `edge` up to which Phi o kappa K has a spectral radius below 1.

    Rayleigh-Ritz on a growing Krylov space, with a learning rate that moves along. Z = kappa K[S] is the left
    eigenvector when S is the right one, so <Z, Phi o Z>/<Z, S> is a generalised Rayleigh quotient: its error is the
    square of the vector's, and any learning rate can be tried without another pass over the data. The eigenvector that
    is found has to be positive, which proves that its eigenvalue is the spectral radius.

    Parameters
    ----------
    feedback : callable
        S -> kappa K[S], (r, r) to (r, r).
    kernel : callable
        Learning rate to `Kernel`.
    edge : float
        Where E V stops to decay, and Phi to exist; returned where the radius stays below 1 up to it, as with K = 0.
    modes : int
        r.
    precision : float
        Relative accuracy of `feedback`.

    Raises
    ------
    NotConverged
        If the residual is above 1e-6 (1e-5 for float32 inputs) and not rounding, or the learning rate still moves,
        after 300 rounds.

    Notes
    -----
    Cost: one `feedback` a round, about ten rounds at MNIST size. Memory: 8 to 40 matrices (r, r).
    """
    space, s = _Space(modes, precision), np.eye(modes) / np.sqrt(modes)
    lr, tolerance, width, sure = edge, max(_RESIDUAL, 10 * precision), _WIDTH, max(_SURE, _SURE_OF * precision)
    phi = _phi(kernel, lr, edge)
    for number in range(_ROUNDS):
        grown = space.extend(s, feedback)
        s, z = space.leading(phi)
        before, lr = lr, _crossing(s, z, kernel, edge, lr, width, sure)
        del phi  # matrices make way for K's
        if lr == before == edge and number:
            return edge
        width = float(np.clip(abs(np.log(lr / before)), 10 * sure, _WIDTH))  # the next move is hardly larger
        phi = _phi(kernel, lr, edge)
        z *= phi
        residual, s = float(np.linalg.norm(z - s)), z
        del z
        settled = residual < tolerance or not grown  # a space that holds its image leaves rounding alone
        if settled and abs(lr / before - 1) < 10 * precision and _positive(s):
            return lr
    raise NotConverged("the largest stable learning rate", _ROUNDS, residual, tolerance)


def vectors_held(modes: int) -> int:
    """Return how many matrices (r, r) the Krylov space has at most, each with its image."""
    return int(np.clip(_HELD // (2 * modes**2), _FEWEST, _MOST))


def _phi(kernel: Callable[[float], Kernel], lr: float, edge: float) -> Array:
    """Phi at a learning rate, or as near to `edge` as it exists."""
    return kernel(min(lr, edge * (1 - _END))).stationary


def _crossing(
    s: Array, z: Array, kernel: Callable[[float], Kernel], edge: float, otherwise: float, width: float, sure: float
) -> float:
    """The learning rate at which <Z, Phi o Z> = <Z, S>; `edge` if none is, `otherwise` while S is far from positive."""
    from scipy.optimize import brentq

    norm, squares = float(np.vdot(z, s)), [z * z]
    if norm < 0:
        return otherwise

    def excess(place: float) -> float:
        return kernel(edge * np.exp(place)).weighed(squares[0]) / norm - 1

    most = float(np.log1p(-_END))
    low = high = min(float(np.log(otherwise / edge)), most)
    if norm == 0 or (high == most and excess(most) < 0):
        return edge
    while excess(low) > 0:
        high, low, width = low, low - width, 8 * width
    while high < most and excess(high) < 0:
        low, high, width = high, min(high + width, most), 8 * width
    if high == most and excess(most) < 0:
        return edge
    if low < high:
        otherwise = edge * float(np.exp(brentq(excess, low, high, xtol=sure, rtol=1e-13)))
    squares.clear()  # brentq leaves a cycle that holds `excess`
    return otherwise


def _positive(s: Array) -> bool:
    """Whether no eigenvalue is clearly negative."""
    return positive(0.5 * (s + s.T), _INDEFINITE)


class _Space:
    """An orthonormal basis of matrices and what `feedback` makes of each, so that any Phi can be projected on it."""

    def __init__(self, modes: int, precision: float) -> None:
        self.least = max(1e-12, precision)  # of a new direction: what is shorter is rounding, and splits what coincides
        self.most = vectors_held(modes)
        self.size, self.triangle = 0, Triangle(modes)
        self._basis, self._images = np.empty((2, self.most, self.triangle.size))

    def extend(self, s: Array, feedback: Callable[[Array], Array]) -> bool:
        """Add the direction of `s`, unless the basis has it already; return whether it had not."""
        flat, basis = self.triangle.vector(s), self._basis[: self.size]
        flat /= float(np.linalg.norm(flat)) or 1.0
        for _ in range(2):  # Gram and Schmidt, twice: once leaves rounding
            flat -= (basis @ flat) @ basis
        rest = float(np.linalg.norm(flat))
        if rest < self.least:
            return False
        flat /= rest
        self._basis[self.size] = flat
        self._images[self.size] = self.triangle.vector(feedback(self.triangle.matrix(flat)))
        self.size += 1
        return True

    def leading(self, phi: Array) -> tuple[Array, Array]:
        """The Ritz vector of the largest eigenvalue of Phi o kappa K, of unit norm, and its image; makes room."""
        values, vectors = np.linalg.eig(self._projected(self.triangle.factors(phi)))
        order = np.argsort(-values.real)
        if self.size == self.most:
            self._keep(vectors[:, order[: self.most // 2]])
            return self.leading(phi)
        shares = vectors[:, order[0]].real
        shares = shares / np.linalg.norm(shares)
        s, z = (self.triangle.matrix(shares @ each[: self.size]) for each in (self._basis, self._images))
        if np.trace(s) < 0:
            s *= -1
            z *= -1
        return s, z

    def _projected(self, phi: Array) -> Array:
        """<basis, Phi o images>, (k, k)."""
        basis = self._basis[: self.size]
        return np.stack([basis @ (phi * image) for image in self._images[: self.size]], axis=1)

    def _keep(self, vectors: NDArray[np.complex128]) -> None:
        """Shrink to the span of some Ritz vectors; their images are known."""
        shares, _ = np.linalg.qr(np.hstack([vectors.real, vectors.imag]))
        shares = shares[:, : np.linalg.matrix_rank(np.hstack([vectors.real, vectors.imag]))]
        count = shares.shape[1]
        for each in (self._basis, self._images):
            each[:count] = shares.T @ each
        self.size = count

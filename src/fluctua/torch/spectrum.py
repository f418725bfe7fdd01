"""The ends of the spectrum of a Hessian that is known by its products: the steepest directions, and the lowest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from .._arrays import Array
from ..errors import NotConverged

__all__ = ["ends", "lowest_curvature"]

Product = Callable[[Array], Array]
_DENSE = 400  # parameters up to which all columns of the Hessian are computed
_FINE = 1e-9  # residual of an eigenvector, relative to the largest curvature, in double precision
_EPSILONS = 1e3  # of the arithmetic, that a product leaves
_RESTARTS, _LOOK = 300, 80  # of ARPACK; products spent on the lowest curvature


def ends(product: Product, size: int, count: int, precision: float) -> tuple[Array, Array, tuple[float, float]]:
    """Return the `count` largest eigenvalues, (k,), their eigenvectors, (n, k), and the lowest eigenvalue known.

    By ARPACK (`scipy.sparse.linalg.eigsh`), from a fixed start; small Hessians as a matrix. The last is the lowest
    eigenvalue, exact for those, and its residual.

    Raises
    ------
    NotConverged
        Where a residual is left above 1e-9 of the largest curvature, or above 1,000 epsilons of the arithmetic.
    """
    if size <= _DENSE or count >= size - 1:
        values, vectors = _dense(product, size)
        lowest = float(values[0]), 0.0
    else:
        values, vectors = _krylov(product, size, count, precision)
        lowest = lowest_curvature(product, size, precision)
    order = np.argsort(-values)[:count]
    values, vectors = values[order], vectors[:, order]
    _hold_found(product, values, vectors, _tolerance(precision))
    return values, vectors, lowest


def _hold_found(product: Product, values: Array, vectors: Array, tolerance: float) -> None:
    left = max(float(np.linalg.norm(product(u) - h * u)) for h, u in zip(values, vectors.T, strict=True))
    scale = float(np.abs(values).max()) or 1.0
    if not left <= tolerance * scale:
        raise NotConverged("the subspace of the largest curvatures", _RESTARTS, left / scale, tolerance, _advice())


def _dense(product: Product, size: int) -> tuple[Array, Array]:
    full = np.array([product(row) for row in np.eye(size)])
    values, vectors = np.linalg.eigh(0.5 * (full + full.T))
    return values, vectors


def _krylov(product: Product, size: int, count: int, precision: float) -> tuple[Array, Array]:
    operator = LinearOperator((size, size), matvec=lambda v: product(np.ravel(v)), dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)
    basis, tolerance = min(size, max(2 * count + 10, 30)), 0.1 * _tolerance(precision)
    try:
        values, vectors = eigsh(operator, count, which="LA", v0=start, ncv=basis, tol=tolerance, maxiter=_RESTARTS)
    except ArpackNoConvergence as problem:
        found = len(problem.eigenvalues)
        raise NotConverged(
            f"{count - found} of the {count} largest curvatures", _RESTARTS, float("nan"), tolerance, _advice()
        ) from problem
    return values, vectors


def lowest_curvature(product: Product, size: int, precision: float) -> tuple[float, float]:
    """Return the lowest eigenvalue as a Krylov space of 80 products sees it, and its residual.

    It is an upper bound: a negative value proves a direction of negative curvature, and an eigenvalue lies within the
    residual of it. All is seen where there are no more than 80 parameters.
    """
    look = min(size, _LOOK)
    basis, images = np.empty((look, size)), np.empty((look, size))
    direction = np.random.default_rng(1).standard_normal(size)
    for k in range(look):
        for _ in range(2):  # Gram and Schmidt, twice
            direction = direction - basis[:k].T @ (basis[:k] @ direction)
        norm = float(np.linalg.norm(direction))
        if norm <= _EPSILONS * precision * (float(np.linalg.norm(images[k - 1])) if k else 0.0):
            look = k
            break
        basis[k] = direction / norm
        images[k] = direction = product(basis[k])
    values, shares = np.linalg.eigh(_even(basis[:look] @ images[:look].T))
    lowest = shares[:, 0]
    left = np.linalg.norm(lowest @ images[:look] - values[0] * (lowest @ basis[:look]))
    return float(values[0]), float(left)


def _even(matrix: Array) -> Array:
    return np.asarray(0.5 * (matrix + matrix.T))


def _tolerance(precision: float) -> float:
    return max(_FINE, _EPSILONS * precision)


def _advice() -> str:
    return "Ask for fewer curvatures (top=), or for double precision (dtype=torch.float64)."

"""The stationary law F1, solved in the modes, F2: S = Phi o kappa (C + K[S])."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._arrays import AnyArray, Array
from ..errors import FluctuaError, NotConverged
from .triangle import Triangle

__all__ = ["NoStationaryState", "fixed_point", "solve"]

Affine = Callable[[AnyArray], AnyArray]
_SUBSTITUTIONS, _SLOW = 12, 0.2  # rounds at most, and the factor between two from which Krylov spaces are better
_POLISHED, _CORRECTION = 20, 1e-5  # corrections by Krylov spaces, at most, and the relative residual of each
_ROUNDS, _RESTART, _RESTARTS, _FEW_RESTARTS = 500, 40, 12, 4  # of conjugate gradients; of GMRES
_SPANNED = 1e-14  # of an image: what a Krylov space that holds it leaves of it


class NoStationaryState(FluctuaError, ArithmeticError):
    """The balance F1 has no positive solution: the recipe is beyond the mean-square stability limit."""

    def __init__(self) -> None:
        super().__init__(
            "the balance of dissipation and fluctuation has no solution with positive variances at this learning rate, "
            "so no stationary state was found. Use a smaller learning rate, below max_stable_lr(problem, sgd)."
        )


def solve(phi: Array, source: Array, feedback: Callable[[Array], Array], rtol: float) -> Array:
    r"""Solve S/phi - K[S] = source for S, elementwise in the modes.

    K is self-adjoint under the trace and 1/phi is diagonal, so the left side is a symmetric operator; where phi is
    positive, it is positive definite exactly when the recipe is mean-square stable (F12): conjugate
    gradients, preconditioned by phi, converge in a few rounds and a direction of non-positive curvature proves
    instability. With momentum two modes may answer in antiphase, phi < 0: then GMRES on S - phi o K[S], which proves
    nothing about stability.

    Parameters
    ----------
    phi : ndarray, (r, r)
        Dissipation kernel times kappa.
    source : ndarray, (r, r)
        C for the covariance, an observable M for the adjoint problem.
    feedback : callable
        S -> K[S], (r, r) to (r, r).
    rtol : float
        Relative residual in the Frobenius norm. A last substitution into S = phi o (source + K[S]) then makes the
        flat modes as accurate as the steep ones.

    Raises
    ------
    NoStationaryState
        If the operator is found not to be positive definite.
    NotConverged
        If the iteration stalls, which it does within rounding of the limit.

    Notes
    -----
    Cost: one `feedback` per round, 3 to 10 rounds at MNIST size, more near the stability limit; the last substitution
    follows from the residual. Memory: six halves of matrices (r, r), with momentum one for each round, and what
    `feedback` takes.
    """
    triangle = Triangle(len(phi))
    factors, left, fed = triangle.factors(phi), triangle.vector(source), _Fed(triangle, feedback)
    del phi  # matrices make way for K's
    ways = _conjugate_gradients if (factors > 0).all() else _minimal_residual
    return triangle.matrix(ways(factors, left, fed, rtol))


class _Fed:
    """K of vectors of symmetric matrices."""

    def __init__(self, triangle: Triangle, feedback: Callable[[Array], Array]) -> None:
        self.triangle, self.feedback = triangle, feedback

    def __call__(self, flat: Array) -> Array:
        return self.triangle.vector(self.feedback(self.triangle.matrix(flat)))


def _conjugate_gradients(phi: Array, left: Array, fed: _Fed, rtol: float) -> Array:
    """S from the residual `left` of S = 0, changed in place; phi times the last residual is the last substitution."""
    found, allowed = np.zeros_like(left), rtol * float(np.linalg.norm(left))
    ahead, before = np.zeros_like(left), 1.0
    for _ in range(_ROUNDS):
        steepest = phi * left
        if (norm := float(np.linalg.norm(left))) <= allowed:
            found += steepest
            return found
        size = float(np.vdot(left, steepest))
        ahead *= size / before
        ahead += steepest
        before = size
        del steepest  # while K takes memory
        image = fed(ahead)
        np.subtract(ahead / phi, image, out=image)
        curved = float(np.vdot(ahead, image))
        if curved < 0:
            raise NoStationaryState
        found += size / curved * ahead
        image *= size / curved
        left -= image
    raise NotConverged("the stationary state", _ROUNDS, norm / allowed * rtol, rtol)


def _minimal_residual(phi: Array, source: Array, fed: _Fed, rtol: float) -> Array:
    """S of S - phi o K[S] = phi o source by GMRES: S and its residual are the last substitution."""
    source *= phi
    allowed, found, left = rtol * float(np.linalg.norm(source)), np.zeros_like(source), source.copy()
    for _ in range(_RESTARTS):
        if (norm := float(np.linalg.norm(left))) <= allowed:
            found += left
            return found
        space, heights = _arnoldi(phi, left, fed, allowed)
        shares = np.linalg.lstsq(heights, norm * np.eye(len(heights))[0], rcond=None)[0]
        for share, each in zip(shares, space, strict=False):
            found += share * each
        for share, each in zip(heights @ shares, space, strict=True):
            left -= share * each
    raise NotConverged("the stationary state", _RESTARTS * _RESTART, norm / allowed * rtol, rtol)


def _arnoldi(phi: Array, left: Array, fed: _Fed, allowed: float) -> tuple[list[Array], Array]:
    """An orthonormal basis of a Krylov space of S - phi o K[S], and what that makes of it, until enough is known."""
    norm = float(np.linalg.norm(left))
    space, heights = [left / norm], np.zeros((_RESTART + 1, _RESTART))
    for k in range(_RESTART):
        image = fed(space[k])
        image *= -phi
        image += space[k]
        size = float(np.linalg.norm(image))
        for place, each in enumerate(space):
            heights[place, k] = np.vdot(each, image)
            image -= heights[place, k] * each
        heights[k + 1, k] = rest = float(np.linalg.norm(image))
        space.append(image / (rest or 1.0))
        known = heights[: k + 2, : k + 1]
        right = norm * np.eye(k + 2)[0]
        short = np.linalg.norm(right - known @ np.linalg.lstsq(known, right, rcond=None)[0])
        if short <= allowed or rest <= _SPANNED * size:
            break
    return space, known


def _finished(outcome: tuple[AnyArray, int], operator: Any, right: AnyArray, rtol: float) -> AnyArray:
    """The solution of operator x = right, or `NotConverged` with what is left of it."""
    flat, rounds = outcome
    if rounds:
        left = np.linalg.norm(operator.matvec(flat) - right.ravel()) / np.linalg.norm(right)
        raise NotConverged("the stationary state", abs(rounds), float(left), rtol)
    return flat


def fixed_point(
    affine: Affine, linear: Affine, start: AnyArray, rtol: float, slow: float = _SLOW
) -> tuple[AnyArray, bool]:
    """Return x = affine(x), by substitution, or by GMRES where that converges slowly; one evaluation a round.

    Parameters
    ----------
    affine : callable
        The map whose fixed point is sought.
    linear : callable
        The same or nearly so, for the Krylov space of GMRES, whose solution is corrected by substitution.
    start : ndarray
        Where substitution begins.
    rtol : float
        Relative error in the Euclidean norm.
    slow : float
        Factor between two rounds from which a Krylov space is better.

    Returns
    -------
    x : ndarray
    contracts : bool
        Whether substitution converged, quickly.

    Raises
    ------
    NotConverged
        If neither way gets there.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of what does not converge
        found = affine(start)
        step = float(np.linalg.norm(found - start))
        for _ in range(_SUBSTITUTIONS):
            if step == 0:
                return found, True
            then, found = found, affine(found)
            before, step = step, float(np.linalg.norm(found - then))
            if not step <= slow * before:
                break
            if step * step / before < rtol * np.linalg.norm(found):  # what the next rounds would add
                return found, True
        return _by_krylov(affine, linear, start, rtol), False


def _by_krylov(affine: Affine, linear: Affine, start: AnyArray, rtol: float) -> AnyArray:
    """Newton's steps with `linear` in the place of `affine`: one, and a check, where they are the same."""
    constant, left = linear(np.zeros_like(start)), np.inf
    found, residual = np.zeros_like(start), constant
    for _ in range(_POLISHED):
        found = found + _krylov(linear, constant, residual, max(rtol, _CORRECTION))
        after = affine(found)
        residual = after - found
        before, left = left, float(np.linalg.norm(residual) / (np.linalg.norm(after) or 1.0))
        if left < rtol:
            return after
        if not left < 0.5 * before:
            break
    raise NotConverged("the stationary state", _POLISHED, left, rtol)


def _krylov(linear: Affine, constant: AnyArray, right: AnyArray, rtol: float) -> AnyArray:
    """Solve x - (linear(x) - linear(0)) = right."""
    from scipy.sparse.linalg import LinearOperator, gmres

    def change(flat: AnyArray) -> AnyArray:
        return np.asarray(flat - (linear(flat.reshape(constant.shape)) - constant).ravel())

    if not right.any():
        return np.zeros_like(right)
    operator = LinearOperator((constant.size,) * 2, matvec=change, dtype=constant.dtype)
    found = gmres(operator, right.ravel(), rtol=rtol, restart=30, maxiter=_FEW_RESTARTS)
    return _finished(found, operator, right, rtol).reshape(constant.shape)

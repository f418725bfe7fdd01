r"""The steepest modes of A by a block of vectors that a Chebyshev polynomial filters, again and again.

The polynomial is small on the curvatures below the block's own and grows beyond: what is steep rises out of the rest
within few products with A, all of them of blocks (Zhou, Saad, Tiago and Chelikowsky 2006). The block is wider than
what is wanted, so that the last mode is far from what is filtered away.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..._arrays import Array
from ...errors import NotConverged
from .curvature import Curvature

__all__ = ["SteepestModes", "steepest_modes"]

_SPARE, _LEAST_SPARE = 0.25, 16  # of the block, beyond what is wanted
_LARGEST, _STEEPEST = 12, 1e10  # degree at most, and what the polynomial may be at the top over 1: QR must hold both
_ROUNDS = 40
_CONVERGED = 1e-7  # |A u - h u| over the flattest curvature of the block: what is set aside must not spoil that


class SteepestModes(NamedTuple):
    """The steepest modes, and how they were found.

    Attributes
    ----------
    curvatures : ndarray, (k,)
        Largest first.
    modes : ndarray, (d, k)
    rounds : int
        Polynomials that it took.
    missing : int
        Modes that were wanted and had not converged when rounds ended; what A has no more of is not missing.
    residual : float
        |A u - h u| of the next mode over what is allowed; 0 where none is missing.
    """

    curvatures: Array
    modes: Array
    rounds: int
    missing: int
    residual: float


def steepest_modes(curvature: Curvature, count: int, rounding: float) -> SteepestModes:
    """Return the steepest modes: `count` of them, or those that have converged, which the result says.

    Parameters
    ----------
    curvature : Curvature
        A.
    count : int
        Modes wanted.
    rounding : float
        Of the largest curvature, what is none.

    Raises
    ------
    NotConverged
        Where not even one has.

    Notes
    -----
    Cost: as a rule 20 to 40 products of A with 1.25 k vectors. The first vectors are random, always the same ones.
    Modes that have converged are set aside, steepest first, and the polynomial is one of A without them.
    """
    d = curvature.size
    width = min(d, count + max(_LEAST_SPARE, int(_SPARE * count)))
    block = np.random.default_rng(0).standard_normal((d, width))
    found, modes = np.empty(0), np.empty((d, 0))
    h, block, off = _ritz(curvature, np.linalg.qr(curvature.times(np.linalg.qr(block)[0]))[0], rounding)
    for number in range(1, _ROUNDS + 1):
        done = len(h) if (off <= 1).all() else int(np.argmax(off > 1))
        found, modes = np.concatenate([found, h[:done]]), np.concatenate([modes, block[:, :done]], axis=1)
        if len(found) >= count or done == len(h) or number == _ROUNDS:
            break
        block = _filtered(curvature, block[:, done:], (found, modes), h[done], h[-1])
        h, block, off = _ritz(curvature, np.linalg.qr(_outside(_outside(block, modes), modes))[0], rounding)
    missing = max(count - len(found), 0)
    left = float(off[done]) if missing and done < len(off) else 0.0
    if not len(found):
        raise NotConverged("steepest mode", number, left, 1.0, "Its neighbours are as steep: ask for more modes.")
    kept = min(count, int(np.count_nonzero(found > rounding * found[0])))
    return SteepestModes(found[:kept], np.ascontiguousarray(modes[:, :kept]), number, missing, left)


def _outside(block: Array, modes: Array) -> Array:
    return np.asarray(block - modes @ (modes.T @ block))


def _ritz(curvature: Curvature, block: Array, rounding: float) -> tuple[Array, Array, Array]:
    """Curvatures and modes in the span of an orthonormal block, steepest first; residuals over what is allowed."""
    images = curvature.times(block)
    h, turned = np.linalg.eigh(0.5 * (block.T @ images + images.T @ block))
    h, turned = h[::-1], turned[:, ::-1]
    block, images = block @ turned, images @ turned
    left = np.linalg.norm(images - block * h, axis=0)
    return h, block, left / max(_CONVERGED * h[-1] + rounding * h[0], np.finfo(float).tiny)


def _filtered(curvature: Curvature, block: Array, known: tuple[Array, Array], top: float, edge: float) -> Array:
    """The Chebyshev polynomial on [0, edge] of A without `known` modes, scaled to 1 at `top`, times the block."""
    half = 0.5 * max(edge, np.finfo(float).tiny)
    scale = first = half / (top - half)

    def centred(vectors: Array) -> Array:
        h, modes = known
        return (curvature.times(vectors) - modes @ (h[:, None] * (modes.T @ vectors)) - half * vectors) / half

    before, now = block, centred(block) * first
    degree = int(np.clip(np.log(2 * _STEEPEST) / np.arccosh(1 / first), 2, _LARGEST))
    for _ in range(1, degree):
        then = 1 / (2 / first - scale)
        before, now, scale = now, 2 * then * centred(now) - (scale * then) * before, then
    return now

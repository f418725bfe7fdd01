r"""The steepest modes of A by a block of vectors that a Chebyshev polynomial filters, again and again.

The polynomial is small on the curvatures below the block's own and grows beyond: what is steep rises out of the rest
within few products with A, all of them of blocks (Zhou, Saad, Tiago and Chelikowsky 2006). The block is wider than
what is wanted, so that the last mode is far from what is filtered away.
"""

from __future__ import annotations

import numpy as np

from ..._arrays import Array
from .curvature import Curvature

__all__ = ["steepest_modes"]

_SPARE, _LEAST_SPARE = 0.25, 16  # of the block, beyond what is wanted
_LARGEST, _STEEPEST = 12, 1e10  # degree at most, and what the polynomial may be at the top over 1: QR must hold both
_ROUNDS = 40
_CONVERGED = 1e-7  # |A u - h u| over the flattest curvature of the block: what is set aside must not spoil that


def steepest_modes(curvature: Curvature, count: int, rounding: float) -> tuple[Array, Array]:
    """Return the steepest curvatures, (k,), and their modes, (d, k): `count` of them, or those that have converged.

    Parameters
    ----------
    curvature : Curvature
        A.
    count : int
        Modes wanted.
    rounding : float
        Of the largest curvature, what is none.

    Notes
    -----
    Cost: as a rule 20 to 40 products of A with 1.25 k vectors. The first vectors are random, always the same ones.
    Modes that have converged are set aside, steepest first, and the polynomial is one of A without them.
    """
    d = curvature.size
    width = min(d, count + max(_LEAST_SPARE, int(_SPARE * count)))
    block = np.random.default_rng(0).standard_normal((d, width))
    found, modes = np.empty(0), np.empty((d, 0))
    h, block, good = _ritz(curvature, np.linalg.qr(curvature.times(np.linalg.qr(block)[0]))[0], rounding)
    for _ in range(_ROUNDS):
        done = len(h) if good.all() else int(np.argmin(good))
        found, modes = np.concatenate([found, h[:done]]), np.concatenate([modes, block[:, :done]], axis=1)
        if len(found) >= count or done == len(h):
            break
        block = _filtered(curvature, block[:, done:], (found, modes), h[done], h[-1])
        h, block, good = _ritz(curvature, np.linalg.qr(_outside(_outside(block, modes), modes))[0], rounding)
    kept = min(count, int(np.count_nonzero(found > rounding * found[0])))
    return found[:kept], np.ascontiguousarray(modes[:, :kept])


def _outside(block: Array, modes: Array) -> Array:
    return np.asarray(block - modes @ (modes.T @ block))


def _ritz(curvature: Curvature, block: Array, rounding: float) -> tuple[Array, Array, Array]:
    """Curvatures and modes within the span of an orthonormal block, steepest first, and which have converged."""
    images = curvature.times(block)
    h, turned = np.linalg.eigh(0.5 * (block.T @ images + images.T @ block))
    h, turned = h[::-1], turned[:, ::-1]
    block, images = block @ turned, images @ turned
    left = np.linalg.norm(images - block * h, axis=0)
    return h, block, left <= _CONVERGED * h[-1] + rounding * h[0]


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

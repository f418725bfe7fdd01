"""L(W*) and the diagonal of C at several weight decays, by one pass over the samples."""

from __future__ import annotations

import numpy as np

from .._arrays import Array
from .least_squares import LeastSquares

__all__ = ["decayed_moments"]


def decayed_moments(problem: LeastSquares, weight_decays: Array) -> tuple[Array, Array]:
    """Return L(W*), (g,), and the diagonal of C, (g, r), at each weight decay: 2 N r (g c + g) flops, one pass.

    W*_p = h_p/(h_p + gamma) W*_p(0), so that residuals are those without weight decay and what W* has lost of z.
    """
    bare, a, decays = problem.minimum(0.0), problem.curvatures, np.asarray(weight_decays)[:, None]
    kept = bare.mode_weights * (a / (a + decays))[:, None]  # (g, c, r)
    lost = kept - bare.mode_weights
    losses = bare.loss + 0.5 * np.sum(a * lost**2 + decays[:, None] * kept**2, axis=(1, 2))
    change, total = lost.reshape(-1, len(a)).T.astype(problem.projections.dtype), np.zeros((len(decays), len(a)))
    for rows in problem.blocks(max(change.shape)):
        z = problem.projections[rows]
        residuals = (z @ change).reshape(len(z), *lost.shape[:2]) + bare.residuals[rows][:, None].astype(np.float64)
        squares = np.einsum("igk,igk->gi", residuals, residuals)
        counted = squares if problem.importance is None else squares * problem.importance[rows]
        total += counted @ np.square(z, dtype=np.float64)
    return losses, total / problem.samples - np.sum((decays[:, None] * kept) ** 2, axis=1)

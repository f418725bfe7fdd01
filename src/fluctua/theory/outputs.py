"""All outputs together: S_kl and the source of their noise for every pair of output rows, and the whole matrix.

The rows of the weights share their batches, so their noise is correlated (F6).
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np

from .._arrays import Array
from .law import Law

__all__ = ["block", "joint_source", "pair_source"]


def block(law: Law, k: int, l: int, rtol: float = 0.0) -> Array:  # noqa: E741
    """Return S_kl = E[v_k v_l^T] of the stationary state, (r, r); one solve with kappa C_kl, to a residual of `rtol`.

    It is symmetric but for weight decay, whose part of C_kl is not: there K[S] = -A S A, solved in closed form.
    """
    even, odd = law.stationary_state(law.source.even(k, l), rtol) + law.heat_of(k, l), law.source.odd(k, l)
    return even + law.odd_state(odd) if odd.any() else even


def pair_source(law: Law, k: int, l: int, rtol: float = 0.0) -> Array:  # noqa: E741
    """Return kappa (C_kl + K[S_kl]) in the stationary state, (r, r): the covariance of the noise of rows k and l."""
    noise = law.source.even(k, l) + law.source.odd(k, l)
    return noise + law.source.feedback(block(law, k, l, rtol)) if law.feeds_back else noise


def joint_source(law: Law, modes: int, rtol: float = 0.0) -> Array:
    """Return the same for all outputs together in the steepest `modes`, (c modes, c modes), row after row.

    Cost: c (c + 1)/2 solves of F1.
    """
    outputs = law.problem.outputs
    out = np.empty((outputs, modes, outputs, modes))
    for k, l in combinations_with_replacement(range(outputs), 2):  # noqa: E741
        out[k, :, l] = pair_source(law, k, l, rtol)[:modes, :modes]
        out[l, :, k] = out[k, :, l].T
    return out.reshape((outputs * modes,) * 2)

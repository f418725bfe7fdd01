"""Instability that no noise shows: modes without noise at W* have the solution S = 0 at any learning rate.

Where samples are of two kinds that share no feature, as two factors coded -1/+1 or columns that are never non-zero
together, and those of one kind are fitted exactly, nothing drives its modes, whether they are stable or not.
"""

from __future__ import annotations

import numpy as np

from .law import Law

__all__ = ["may_grow_unseen"]

_QUIET = 100  # precisions, of noise in units of h: what is less is none
_CAREFUL = 0.25  # with momentum, the part of the bound of lr/(1 - beta) below which nothing grows


def may_grow_unseen(law: Law) -> bool:
    """Whether directions without noise might be unstable at this learning rate.

    With h the largest curvature in them and R^2 the largest |x|^2, plain SGD is stable there up to 2/(h + kappa R^2).
    Cost: an eigendecomposition of C and, where it is singular, a product of the inputs with what it leaves out.
    """
    if not law.feeds_back:
        return False
    h = law.minimum.curvatures
    scale = 1 / np.sqrt(h)
    values, vectors = np.linalg.eigh(scale[:, None] * law.noise * scale)
    quiet = values <= _QUIET * law.problem.precision * max(float(values[-1]), 0.0)
    if not quiet.any():
        return False
    basis, _ = np.linalg.qr(scale[:, None] * vectors[:, quiet])
    steepest = float(np.linalg.eigvalsh((basis.T * h) @ basis)[-1])
    sgd = law.sgd
    reach = sgd.lr if sgd.step.slots == 1 else sgd.step.effective_lr(sgd.lr) / _CAREFUL
    return reach > 2 / (steepest + law.source.largest(basis))

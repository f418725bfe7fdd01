r"""Cross-entropy of logits, sample by sample: loss, probabilities and the derivatives up to the fourth (F71, F72).

The logits of c classes are a *frame* times k free ones: an orthonormal basis of the c - 1 directions that differences
between classes have, or (0, 1) for one row of weights. What is common to all classes changes no probability, so that
nothing is lost and a logistic head is the same code with k = 1.
"""

from __future__ import annotations

import numpy as np

from ..._arrays import AnyArray, Array

__all__ = [
    "contrasts",
    "fourth",
    "log_losses",
    "probabilities",
    "single_row",
    "spread",
    "spread_change",
    "spread_times",
    "third",
]


def contrasts(classes: int) -> Array:
    """Return orthonormal columns that sum to zero over the classes, (c, c - 1)."""
    rows, columns = np.arange(classes)[:, None], np.arange(1, classes)
    size = np.sqrt(columns * (columns + 1.0))
    return np.asarray(np.where(rows < columns, 1.0, np.where(rows == columns, -columns, 0.0)) / size)


def single_row() -> Array:
    """Return the frame of two classes of which the first has the logit 0, (2, 1)."""
    return np.array([[0.0], [1.0]])


def probabilities(logits: Array) -> Array:
    """Return p = softmax of each row."""
    lifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(lifted / lifted.sum(axis=-1, keepdims=True))


def log_losses(logits: Array, targets: AnyArray) -> Array:
    """Return -sum_a y_a log p_a of each row, for targets that sum to 1."""
    most = logits.max(axis=-1)
    whole = np.log(np.exp(logits - most[..., None]).sum(axis=-1)) + most
    return np.asarray(whole - np.einsum("...a,...a->...", logits, targets))


def spread(p: Array) -> Array:
    """Return A = diag(p) - p p^T of each row, (n, c, c)."""
    out = -p[:, :, None] * p[:, None, :]
    diagonal = np.arange(p.shape[1])
    out[:, diagonal, diagonal] += p
    return np.asarray(out)


def spread_times(p: Array, change: Array) -> Array:
    """Return A u of each row, (n, c), without A."""
    return np.asarray(p * (change - np.einsum("na,na->n", p, change)[:, None]))


def spread_change(p: Array, change: Array) -> Array:
    """Return the derivative of A along a change of logits of each row, (n, c): the third of the loss, (n, c, c)."""
    moved = spread_times(p, change)
    out = -moved[:, :, None] * p[:, None, :]
    out += out.swapaxes(1, 2)
    diagonal = np.arange(p.shape[1])
    out[:, diagonal, diagonal] += moved
    return np.asarray(out)


def third(p: Array, forms: Array) -> Array:
    """Return t = 1/2 p o (q - p.q), q_a = (e_a - p)^T B (e_a - p), for B of each row, (n, c, c): (n, c).

    It is half the third derivative of the loss along two logits of covariance B.
    """
    across = np.einsum("nab,nb->na", forms, p)
    q = np.einsum("naa->na", forms) - 2 * across + np.einsum("na,na->n", p, across)[:, None]
    return 0.5 * spread_times(p, q)


def fourth(p: Array, forms: Array) -> Array:
    """Return the fourth derivative of the loss, with B of each row, (n, c, c), for both pairs of logits: (n,)."""
    across = np.einsum("nab,nb->na", forms, p)
    centred = forms - across[:, :, None] - across[:, None, :] + np.einsum("na,na->n", p, across)[:, None, None]
    own = np.einsum("naa->na", centred)
    crossed = np.einsum("na,nab,nb->n", p, centred**2, p)
    return np.asarray(np.einsum("na,na->n", p, own**2) - np.einsum("na,na->n", p, own) ** 2 - 2 * crossed)

"""How often a softmax or logistic head finds the label: at W*, and in expectation of weights that are Gaussian."""

from __future__ import annotations

import numpy as np

from ..._arrays import AnyArray, Array, Ints
from ...problem.softmax.base import Head
from ...problem.softmax.sums import forms, logits_of
from ..margins import chances
from ..probe import ExpectedAccuracy
from .balance import Balance, LocalState

__all__ = ["head_accuracy"]

_BLOCK = 4096


def head_accuracy(
    balance: Balance, state: LocalState, share: Array, inputs: AnyArray | None = None, labels: AnyArray | None = None
) -> ExpectedAccuracy:
    """Return the accuracy at W*, and in expectation over weights with a law about W* (F70).

    Parameters
    ----------
    balance : Balance
        Problem and recipe.
    state : LocalState
        The law, with independent batches.
    share : ndarray, (r,)
        What each mode keeps of its variance.
    inputs, labels : array_like, (n, d) and (n,)
        Held-out samples; by default the training data.
    """
    problem, place, picture = balance.problem, balance.minimum.place, balance.picture
    kept = np.sqrt(share)
    spread = state.covariance - np.multiply.outer(state.mean, state.mean)
    inside = picture.basis @ (kept[:, None] * spread * kept) @ picture.basis.T
    moved = picture.out_of(state.mean)
    z = problem.rows.projections if inputs is None else np.asarray(inputs) @ problem.rows.modes
    answers = problem.answers if labels is None else _answers(problem, np.asarray(labels))
    frame, right, found = place.head.frame, 0, 0.0
    for start in range(0, len(z), _BLOCK):
        some, theirs = z[start : start + _BLOCK], answers[start : start + _BLOCK]
        still = logits_of(some, place.theta) @ frame.T
        means, noise = still + logits_of(some, moved) @ frame.T, forms(some, inside, frame.shape[1])
        right += int((still.argmax(axis=1) == theirs).sum())
        found += float(chances(means, frame @ noise @ frame.T, theirs).sum())
    return ExpectedAccuracy(right / len(z), found / len(z), len(z), True)


def _answers(problem: Head, labels: AnyArray) -> Ints:
    """The column of each label."""
    return np.asarray((labels[:, None] == np.array(problem.classes)).argmax(axis=1))

r"""How outputs turn against one another in shuffled epochs: the antisymmetric part of S_kl, to leading order."""

from __future__ import annotations

import numpy as np

from ..._arrays import Array
from ...kernels.time_varying import Course
from .expansion import Shuffle

__all__ = ["odd_response"]


def odd_response(course: Course, shuffle: Shuffle, felt: Array, left: Array, right: Array) -> Array:
    """Return S from S = 0 after the steps of `left` and `right`, (n, r), with the noise -left_p right_q - A S A.

    F61 with F43: per step the noise of the batch, and in one epoch what F44 has it take back, elementwise in the modes.

    Parameters
    ----------
    course : Course
        Of at least n steps.
    shuffle : Shuffle
        The epoch's batches.
    felt : ndarray, (r,)
        A, or zero where the noise feels nothing.
    left, right : ndarray, (n, r)
        Courses in time of the mean gradients of two outputs.
    """
    k, r, sizes, batches = course.components, course.modes, shuffle.sizes, shuffle.batches
    state, sums = np.zeros((k, r, k, r)), np.zeros((k, r))
    for t in range(len(left)):
        place = t % len(sizes)
        sums = sums if place else np.zeros((k, r))
        step, push = course._transition(t), course.push[t]
        noise = -(np.outer(left[t], right[t]) + felt[:, None] * _weights(state) * felt)
        carried = np.einsum("abp,bp->ap", step, sums)
        taken = np.multiply.outer(carried, push)  # (k, r, k)
        added = (batches.variance(int(sizes[place])) - batches.eps) * np.multiply.outer(push, push)[:, None, :, None]
        added = added - batches.eps * (taken[:, :, :, None] + taken.transpose(2, 0, 1)[:, None])
        state = np.einsum("abp,bpcq,dcq->apdq", step, state, step, optimize=True) + added * noise[None, :, None]
        sums = carried + push[:, None]
    return np.asarray(state[course.shown, :, course.shown])


def _weights(state: Array) -> Array:
    return np.asarray(state[0, :, 0])

r"""The share of the fluctuation that shuffled epochs leave of independent batches', mode by mode, at finite time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..._arrays import Array
from ...kernels.time_varying import Course
from ...problem.minimum import Minimum
from .expansion import Shuffle

__all__ = ["share_kept"]

_TIMES = 24  # at which the source is asked for; in between it is linear


def share_kept(shuffle: Shuffle, course: Course, begin: Array, steps: int) -> Array:
    """Return the variances in epochs over those of independent batches after `steps`, (r,), from E V(0) = `begin`.

    F44 along a run: the noise of every step has the variance C + X(E V) + K[E V^T E V] of the mean's way, and in its
    own epoch what batches take back. Cost: a pass over the samples at each of two dozen times.
    """
    k, r = course.components, course.modes
    variances = np.zeros((2, k, k, r))
    sums, n, batches = np.zeros((k, r)), len(shuffle.sizes), shuffle.batches
    for t, source in enumerate(_sources(shuffle.minimum, course, begin, steps)):
        sums = sums if t % n else np.zeros((k, r))
        step, push = course._transition(t), course.push[t]
        carried = np.einsum("abp,bp->ap", step, sums)
        taken = batches.eps * carried[:, None] * push[:, None]
        fresh = (batches.variance(int(shuffle.sizes[t % n])) - batches.eps) * np.outer(push, push)[:, :, None]
        variances = np.einsum("abp,vbcp,dcp->vadp", step, variances, step, optimize=True) + fresh * source
        variances[0] -= (taken + taken.swapaxes(0, 1)) * source
        sums = carried + push[:, None]
    kept, all_of_it = variances[:, course.shown, course.shown]
    return np.asarray(np.divide(kept, all_of_it, out=np.ones(r), where=all_of_it > 0))


def _sources(minimum: Minimum, course: Course, begin: Array, steps: int) -> Iterator[Array]:
    """Yield the diagonal of the source of each step, (r,)."""
    times = np.unique(np.append(0, np.geomspace(1, max(steps, 1), _TIMES).astype(int)))
    means = [begin * factor for factor in course.drift(np.minimum(times, steps))]
    known = np.array([np.diag(minimum.source(mean.T @ mean, mean)) for mean in means])
    for t in range(steps):
        k = int(np.searchsorted(times, t, "right"))
        share = (t - times[k - 1]) / (times[k] - times[k - 1]) if k < len(times) else 0.0
        yield known[k - 1] if not share else (1 - share) * known[k - 1] + share * known[k]

r"""A run in shuffled epochs, estimated: noise that is taken back, and curvature that is not met again.

Of F44 to F54 this keeps what costs next to nothing. The source G = C + K[S] + X(E V) is that of this run's own state.
What a batch takes back is what it has in common with the noise of earlier batches, the source G' at what the weights at
two times have in common (F45), averaged over the epoch so far as a flat mode weighs it. Over steps from a to b in which
both stay the same,

    S(b) = M S(a) M^T + sum_v R R^T (kappa_v G + eps G') - eps (Lambda_b Lambda_b^T - M Lambda_a Lambda_a^T M^T) G',

with M = M(b, a) and R = R(b, v) of F63, because T Lambda(t) + e = Lambda(t + 1). That V has felt the curvature of the
samples that were seen (F46, F47, F54) changes the curvature of each mode, h - eps K[Z(t)], as if V were the same since.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..._arrays import Array, Ints
from ...kernels.time_varying import Course
from ...problem.reduced_basis import Sources
from .batch_cumulants import BatchCumulants

__all__ = ["AnticorrelatedRun"]

_GROWTH = 0.4  # of a stretch, relative to the steps before it
_PARTS = 3  # of an epoch, at least
_MOVED = 0.25  # what the rate changes by within a stretch at most, in the largest rate
_ROUNDS, _STILL = 2, 1e-3  # of the source at the end of a stretch, at most; a change of it that needs no other


@dataclass(frozen=True)
class _Stretch:
    """What some steps do.

    Attributes
    ----------
    flow : ndarray, (k, k, r)
        M.
    sum : ndarray, (k, r)
        The sum of R.
    squares : pair of ndarray, (k r, k r)
        The sums of R R^T, and of that times how far the step is between both ends.
    flows : ndarray, (k, k, r)
        The sum of M(b, v) as a flat mode weighs the noise of v.
    flat : float
        The sum of these weights.
    """

    flow: Array
    sum: Array
    squares: tuple[Array, Array]
    flows: Array
    flat: float

    @classmethod
    def of(cls, course: Course, begin: int, end: int) -> _Stretch:
        """Return that of the steps from `begin` to `end`."""
        k, r, count = course.components, course.modes, end - begin
        flow, responses = np.repeat(np.eye(k)[:, :, None], r, axis=2), np.empty((count, k, r))
        flows, rates = np.zeros_like(flow), course.push[begin:end, 0]
        for step in range(count - 1, -1, -1):
            flow = course._back(flow, begin + step, responses[step])
            flows += rates[step] * flow
        flat = responses.reshape(count, k * r)
        late = np.sqrt((np.arange(count) + 0.5) / count)[:, None] * flat
        return cls(flow, responses.sum(axis=0), (flat.T @ flat, late.T @ late), flows, float(rates.sum()))

    def carried(self, state: Array) -> Array:
        """M S M^T, (k r, k r)."""
        return _moved(self.flow, _moved(self.flow, state).T).T

    def moved(self, parts: Array) -> Array:
        """Parts, (..., k, r), after these steps."""
        return np.asarray(np.einsum("abp,...bp->...ap", self.flow, parts))


@dataclass(frozen=True)
class _Now:
    """A run at one step.

    Attributes
    ----------
    state : ndarray, (k r, k r)
        Second moments of all parts.
    mean : ndarray, (c, k, r)
        E of them.
    sums : ndarray, (k, r)
        Lambda.
    between : ndarray, (k r, r)
        The sum of E[s(t)^T V(v)] over the steps of the epoch so far, as a flat mode weighs them; `passed`, of weights.
    source, common : ndarray, (r, r)
        G and G'.
    """

    state: Array
    mean: Array
    sums: Array
    between: Array
    passed: float
    source: Array
    common: Array

    def renewed(self) -> _Now:
        """Return the same at the start of an epoch: nothing has been taken back yet."""
        nothing = np.zeros_like(self.sums), np.zeros_like(self.between)
        return replace(self, sums=nothing[0], between=nothing[1], passed=0.0, common=self.source)


class AnticorrelatedRun:
    """F44 to F47 and F54, in part, of a run of `course` in shuffled epochs from E V(0) = `mean`, (c, r): an estimate.

    Parameters
    ----------
    course : Course
        Of the whole run.
    sizes : ndarray, (n,)
        Batch sizes of an epoch.
    sources : Sources
        C + K[S] + X(E V). It may be that of other recipes on the same problem, and knows their states.
    mean : ndarray, (c, r)

    Notes
    -----
    Cost: some four sources for each stretch, of which an epoch has three or more, and products over the steps.
    """

    def __init__(self, course: Course, sizes: Ints, sources: Sources, mean: Array) -> None:
        self.course, self.sizes, self.sources, self.breaks = course, sizes, sources, course.breaks
        self.mean = np.multiply.outer(course.entry, mean).swapaxes(0, 1)

    def after(self, steps: int) -> tuple[Array, Array]:
        """Return S and E V of what is observed after `steps` steps, (r, r) and (c, r)."""
        now, n, places = self._begun(), len(self.sizes), self.places(steps)
        for begin, end in pairwise(places):
            now = now if begin % n else now.renewed()
            now = self._passed(now, _Stretch.of(self._felt(now, begin, end), begin, end), begin)
        return self.course.fold(now.state, observed=True), now.mean[:, self.course.shown]

    def places(self, steps: int) -> list[int]:
        """Return the steps at which stretches end, from 0 to `steps`."""
        rates, out = np.abs(self.course.push[:, 0]), [0]
        moved = np.cumsum(np.abs(np.diff(rates, prepend=rates[0]))) / max(rates.max(), np.finfo(float).tiny)
        while out[-1] < steps:
            now = out[-1]
            steady = int(np.searchsorted(moved, moved[now] + _MOVED, "right"))
            out.append(min(steps, max(now + 1, min(self._alike(now), steady))))
        return out

    def _alike(self, now: int) -> int:
        """Step until which an epoch goes on as at `now`: batches of one size, no jump of the rate, no long time."""
        n = len(self.sizes)
        stops = {(now // n + 1) * n, *self.breaks}
        if self.sizes[-1] != self.sizes[0]:
            stops.add((now // n + 1) * n - 1)
        longest = max(1, min(-(-n // _PARTS), int(_GROWTH * now)))
        return min([at for at in stops if at > now] + [now + longest])

    def _begun(self) -> _Now:
        k, r = self.course.components, self.course.modes
        flat = self.mean.reshape(len(self.mean), k * r)
        source = self._source(self.course.fold(flat.T @ flat), self.mean)
        return _Now(flat.T @ flat, self.mean, np.zeros((k, r)), np.zeros((k * r, r)), 0.0, source, source)

    def _felt(self, now: _Now, begin: int, end: int) -> Course:
        """F46, F47, F54: the course with the curvature that is felt in these steps, in each mode by itself.

        V has felt the curvature of the samples that were seen already, and these do not come again.
        """
        course, eps = self.course, BatchCumulants(self.sources.problem.population).eps
        sums, total = now.sums, np.zeros(course.modes)
        for step in range(begin, end):
            total += sums[0]
            sums = course.motion[step] @ sums + course.push[step][:, None] * (1 + course.curvatures * sums[0])
        seen = self.sources.feedback(np.diag(total / (end - begin)))
        return replace(course, curvatures=course.curvatures - eps * np.diag(seen))

    def _passed(self, now: _Now, stretch: _Stretch, begin: int) -> _Now:
        """The run at the end of a stretch, whose sources are found at what they make."""
        r, mean = self.course.modes, stretch.moved(now.mean)
        sums, passed = stretch.moved(now.sums) + stretch.sum, now.passed + stretch.flat
        whole, late, taken = self._weights(now, stretch, sums, begin)
        carried = stretch.carried(now.state) + whole * self._tiled(now.source)
        since, source, common = _moved(stretch.flow, now.between), now.source, now.common
        for _ in range(_ROUNDS):
            state = carried + late * self._tiled(source - now.source)
            state -= taken * self._tiled(0.5 * (now.common + common))
            before, source = source, self._source(self.course.fold(state), mean)
            between = since + _moved(stretch.flows, 0.5 * (now.state + state)[:, :r])
            seen = between[:r] / (passed or 1.0)
            common = self._source(0.5 * (seen + seen.T), mean)
            if abs(np.trace(source - before)) <= _STILL * abs(np.trace(source)):
                break
        return _Now(state, mean, sums, between, passed, source, common)

    def _weights(self, now: _Now, stretch: _Stretch, sums: Array, begin: int) -> tuple[Array, Array, Array]:
        """Weights of the source at the start of a stretch, of its change until the end, and of what is taken back."""
        batches = BatchCumulants(self.sources.problem.population)
        kappa = batches.variance(int(self.sizes[begin % len(self.sizes)])) - batches.eps
        whole, late = stretch.squares
        taken = np.outer(sums, sums) - np.outer(stretch.moved(now.sums), stretch.moved(now.sums)) - whole
        return kappa * whole, kappa * late, batches.eps * taken

    def _source(self, covariance: Array, mean: Array) -> Array:
        """C + K[S] + X(E V), (r, r)."""
        return self.sources.source(covariance, mean[:, 0])

    def _tiled(self, source: Array) -> Array:
        """The same for every pair of parts."""
        return np.tile(source, (self.course.components,) * 2)


def _moved(flow: Array, rows: Array) -> Array:
    """Rows of all parts, (k r, ...), after a flow, (k, k, r)."""
    parts = rows.reshape(len(flow), flow.shape[2], -1)
    return np.asarray(np.einsum("abp,bpq->apq", flow, parts).reshape(rows.shape))

r"""The timetable of an epoch in which the rate moves: products of its steps in the place of powers, F63 and F64.

With B_t and e_t the steps of a course, s' = T_t s + e_t D with T = B + h e o^T, the shift of s at t by an impulse D at
v is R(t, v) = T_{t-1} ... T_{v+1} e_v, and what s was at v is carried by M(t, v) = T_{t-1} ... T_v. These are exact.
What a sum over steps carries besides is interpolated as with a constant rate, and scaled by what a flat mode does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._arrays import AnyArray, Array, Ints
from ...kernels.time_varying import Course
from .timetable import Epoch, weighted

__all__ = ["CourseEpoch", "Past"]


@dataclass(frozen=True)
class Past:
    """The steps before one time of an epoch, as they are felt then.

    Attributes
    ----------
    responses : ndarray, (t, k r)
        R(t, t - 1 - u) at every lag u.
    tails : ndarray, (t, k r)
        Their sums over lags up to u.
    flows : dict of ndarray, (k, k, r)
        M(t, t - 1 - u) at the lags asked for.
    whole : ndarray, (k, k, r)
        M(t, 0).
    """

    responses: Array
    tails: Array
    flows: dict[int, Array]
    whole: Array


class CourseEpoch(Epoch):
    """F63, F64: steps of `course` from `first` on, with batches of `sizes`.

    Parameters
    ----------
    course : Course
        The parts are V, what the optimiser remembers, and maybe an average of V.
    first : int
        The step of the course that the epoch begins with.
    sizes : ndarray, (n,)
        Batch sizes, equal but for the last.
    nodes : int
        Positions, and lags, that stand for all.
    """

    def __init__(self, course: Course, first: int, sizes: Ints, nodes: int) -> None:
        self.course, self.first, self.kernel = course, first, course  # type: ignore[assignment]
        self._lay_out(sizes, nodes)
        self.share = self._shares()
        self.sums = self._summed()
        self._pasts: dict[int, Past] = {}
        self._flat = self._flat_responses()
        self._references = [self._reference(j) for j in range(len(self.lags.nodes))]
        seen = [self._flat[time][lag] for time, lag in self._references]
        self._unit = np.array([1 / each if each else 0.0 for each in seen])

    def _shares(self) -> Array:
        """Weights of `times` in averages over the epoch: steps count as their rates, for one without does nothing."""
        rates = np.abs(self.course.push[self.first : self.first + self.steps, 0])
        if not rates.any():
            return self.share
        regular = rates[: self.regular] @ self.positions.basis
        return np.asarray(np.append(regular, rates[self.regular :]) / rates.sum())

    def _summed(self) -> Array:
        """Lambda(t), the sum of R(t, v) over v < t, (n + 1, k r)."""
        k, r = self.course.components, self.course.modes
        out = np.zeros((self.steps + 1, k, r))
        for t in range(self.steps):
            step = self.first + t
            pushed = self.course.push[step][:, None]
            np.add(self.course.motion[step] @ out[t], pushed * (1 + self.course.curvatures * out[t, 0]), out=out[t + 1])
        return out.reshape(self.steps + 1, k * r)

    def _flat_responses(self) -> dict[int, Array]:
        """F64: a flat mode's responses at each lag, at `stops`."""
        motion, push = self.course.motion, self.course.push
        now = np.zeros((0, self.course.components))
        found: dict[int, Array] = {}
        for t in range(self.steps + 1):
            if t in self.stops:
                found[t] = now[::-1, 0].copy()
            if t < self.steps:
                now = np.vstack([now @ motion[self.first + t].T, push[self.first + t]])
        return found

    def _reference(self, j: int) -> tuple[int, int]:
        """A time that stands for all at the lag of a node: where a flat mode responds as in the mean, by weight."""
        lag = int(self.lags.nodes[j])
        times = [t for t in self.times.tolist() if t > lag] or [self.steps]
        flat = np.array([self._flat[t][lag] for t in times])
        square = float(flat @ flat)
        middle = float(flat @ np.square(flat)) / square if square else 0.0
        return times[int(np.argmin(np.abs(flat - middle)))], lag

    # -- components -------------------------------------------------------------------------------------------------

    def fold_columns(self, components: AnyArray) -> AnyArray:
        """V of the parts of the last axis, (..., k r) to (..., r): the first."""
        return components[..., : self.course.modes]

    # -- the past of a time -----------------------------------------------------------------------------------------

    def past(self, time: int) -> Past:
        """The steps before `time`; kept for `stops`."""
        if time in self._pasts:
            return self._pasts[time]
        found = self._past(time)
        if time in self.stops:
            self._pasts[time] = found
        return found

    def _past(self, time: int) -> Past:
        k, r = self.course.components, self.course.modes
        wanted = {lag for t, lag in self._references if t == time}
        wanted |= set(self.history(time).nodes.tolist()) if time else set()
        before = max([t for t in self.times.tolist() if t < time], default=0)
        flow, responses = np.repeat(np.eye(k)[:, :, None], r, axis=2), np.empty((time, k, r))
        flows = {}
        for lag in range(time):
            flow = self.course._back(flow, self.first + time - 1 - lag, responses[lag])
            if lag in wanted or lag < time - before:
                flows[lag] = flow
        flat = responses.reshape(time, k * r)
        return Past(flat, np.cumsum(flat, axis=0), flows, flow)

    def _moved(self, flow: Array, rows: AnyArray) -> Array:
        """Rows of all parts, (k r, ...), after a flow, (k, k, r)."""
        parts = rows.reshape(self.course.components, self.course.modes, -1)
        return np.asarray(np.einsum("abp,bpq->apq", flow, parts).reshape(rows.shape))

    def since(self, time: int, lag: int) -> Array:
        """The sum of R(time, v) over the steps from `time` - 1 - `lag` on, (k r,)."""
        return np.asarray(self.past(time).tails[lag])

    def carried(self, matrix: AnyArray, time: int, lag: int) -> Array:
        """`matrix`, (k r, r), whose rows are carried from `time` - 1 - `lag` to `time`."""
        return self._moved(self.past(time).flows[lag], matrix)

    def lag_carried(self, matrix: AnyArray, j: int) -> Array:
        """`matrix`, (k r, r), whose rows are carried for the lag of a node, and a step."""
        return self.carried(matrix, *self._references[j])

    def begun(self, start: Array, time: int) -> Array:
        """`start`, (c, k r), carried until `time`."""
        return self._moved(self.past(time).whole, start.T).T if time else start

    @property
    def last_drive(self) -> Array:
        """What the last step does with D, (k r,)."""
        return np.repeat(self.course.push[self.first + self.steps - 1], self.course.modes)

    # -- sums over steps --------------------------------------------------------------------------------------------

    def response(self, lag: int) -> Array:
        """F64: P of the lag of a node, at the time that stands for all, (r,)."""
        j = int(np.searchsorted(self.lags.nodes, lag))
        time, _ = self._references[j]
        return np.asarray(self.past(time).responses[lag, : self.course.modes])

    def _scaled(self, time: int) -> Array:
        """F64: what the lags' nodes contribute at each lag before `time`, (time, J): as a flat mode responds there."""
        return np.asarray(self._flat[time][:, None] * self.lags.basis[:time] * self._unit)

    def lag_responses(self, time: int, along: Array | None = None) -> Array:
        """Weights of the lags' nodes in the sum of R(time, v) q(time, v) over v < `time`, (k r, J), maybe `along` v."""
        return np.asarray(self.past(time).responses.T @ weighted(self._scaled(time), along))

    def lag_counts(self, time: int, along: Array | None = None) -> Array:
        """Weights of the lags' nodes in the sum of q(time, v) over v < `time`, (J,), maybe `along` v."""
        return np.asarray(weighted(self._scaled(time), along).sum(axis=0))

    def lag_squares(self, time: int) -> Array:
        """The same for what has the response to a lag twice, (J,)."""
        return np.asarray(np.square(self._flat[time]) @ self.lags.basis[:time] * np.square(self._unit))

    def lag_sums(self, time: int) -> Array:
        """Weights of the lags' nodes in the sum of Z(w) q(time, w) over w < `time`, (r, J)."""
        return np.asarray(self.fold(self.sums[:time][::-1]).T @ self._scaled(time))

    def lag_positions(self, time: int) -> Array:
        """Weights of the nodes in the sum of q(time, v) over v < `time`, lags and positions, (J, J)."""
        return np.asarray(self._scaled(time).T @ self.positions.basis[:time][::-1])

    def position_responses(self, time: int) -> Array:
        """Weights of the positions' nodes in the sum of R(time, v) q(v) over regular v < `time`, (k r, J)."""
        until = min(time, self.regular)
        return np.asarray(self.past(time).responses[::-1][:until].T @ self.positions.basis[:until])

    def history_responses(self, time: int) -> Array:
        """Weights of the nodes of `history` in the sum of R(time, v) q(v) over v < `time`, (k r, L)."""
        return np.asarray(self.past(time).responses.T @ self.history(time).basis)

    def history_lags(self, time: int) -> Array:
        """Weights in the sum of q p over the lags before `time`: q at the nodes of `history`, p at those of lags."""
        history = self.history(time)
        felt = self._flat[time] @ history.basis
        return np.asarray(felt[:, None] * self.lags.basis[history.nodes] * self._unit)

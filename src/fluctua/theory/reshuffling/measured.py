r"""The law of shuffled epochs from the maps of one epoch, F58: exact where all epochs are listed, otherwise measured.

An epoch takes the state s at its start to s Pi_t + xi_t after t steps, with Pi_t and xi_t fixed by its order, which
is independent of s. With m = E s and S = E[s^T s], summed over outputs,

    m(t) = m E Pi_t + E xi_t,    S(t) = E[Pi_t^T S Pi_t] + E[(m Pi_t)^T xi_t] + transposed + E[xi_t^T xi_t],

at any position of any epoch. After n steps the next epoch begins; the stationary state is where nothing changes then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from ..._arrays import Array, Ints
from ...problem.least_squares import LeastSquares
from ...recipe.sgd import Recipe
from ..fixed_points import NoStationaryState, fixed_point
from .orders import Orders
from .random_map import EpochMap, advanced
from .timetable import Epoch

__all__ = ["MeasuredEpochs"]

State = tuple[Array, Array]
_RTOL, _WORTH_RTOL, _SETTLED = 1e-10, 1e-3, 1e-12
_EVERY = 40  # positions up to which the average over an epoch is over all of them


class MeasuredEpochs:
    """F58: epochs of one recipe, as an average over some orders of one of them.

    Parameters
    ----------
    problem : LeastSquares
    sgd : SGD
    orders : Orders
    timetable : Epoch
        Its nodes stand for the positions where these are many.
    """

    def __init__(self, problem: LeastSquares, sgd: Recipe, orders: Orders, timetable: Epoch) -> None:
        self.problem, self.sgd, self.orders, self.timetable = problem, sgd, orders, timetable
        self.rank, self.steps = problem.rank, timetable.steps
        self.size = sgd.step.slots * self.rank

    def of(self, orders: Orders) -> MeasuredEpochs:
        """The same epochs, as an average over other orders."""
        return MeasuredEpochs(self.problem, self.sgd, orders, self.timetable)

    def _advanced(self, stops: list[int]) -> Iterator[tuple[int, Ints, Array]]:
        return advanced(self.problem, self.sgd, self.orders, stops, True)

    @cached_property
    def _end(self) -> tuple[EpochMap, Array]:
        """Pi and xi of whole epochs."""
        maps = np.empty((len(self.orders.weights), self.size, self.size))
        noise = np.empty((len(maps), self.problem.outputs, self.size))
        for _, part, rows in self._advanced([self.steps]):
            maps[part], noise[part] = rows[:, : self.size], rows[:, self.size :]
        return EpochMap(maps, self.orders.weights), noise

    @property
    def map(self) -> EpochMap:
        """The map of homogeneous second moments over a whole epoch."""
        return self._end[0]

    @cached_property
    def _added(self) -> tuple[Array, Array]:
        """E xi of a whole epoch, and E[xi^T xi]."""
        moved, noise = self._end
        return np.asarray(np.tensordot(moved.weights, noise, 1)), _squared(moved.weights, noise, noise)

    def next(self, state: State) -> State:
        """F58: S and m one epoch later."""
        (s, mean), (moved, _) = state, self._end
        return moved(s) + self._renewed(mean), mean @ moved.mean + self._added[0]

    def _renewed(self, mean: Array) -> Array:
        """What an epoch that begins with m adds to Gamma[S]: E[(m Pi)^T xi] + transposed + E[xi^T xi]."""
        moved, noise = self._end
        crossed = _squared(moved.weights, mean @ moved.maps, noise)
        return crossed + crossed.T + self._added[1]

    @cached_property
    def settled(self) -> State:
        """F58: the stationary S and m at the start of an epoch.

        Raises
        ------
        NoStationaryState
            Where the spectral radius of the epoch's map is not below 1.
        """
        if not self.map.leading()[0] < 1:
            raise NoStationaryState
        return self._settled

    @cached_property
    def _settled(self) -> State:
        mean = np.asarray(np.linalg.solve((np.eye(self.size) - self.map.mean).T, self._added[0].T).T, np.float64)

        renewed = self._renewed(mean)

        def once(s: Array) -> Array:
            return self.map.resolvent(self.map.fluctuation(s) + renewed)

        return fixed_point(once, once, mean.T @ mean, _RTOL)[0], mean

    def along(self, stops: list[int], states: Sequence[State]) -> list[State]:
        """F58: S and m after `stops` steps of an epoch, rising, each from the state at its start given for it."""
        found = [(np.zeros((self.size,) * 2), np.zeros((self.problem.outputs, self.size))) for _ in stops]
        for k, part, rows in self._advanced(stops):
            weights, maps, noise = self.orders.weights[part], rows[:, : self.size], rows[:, self.size :]
            (s, mean), moved = states[k], EpochMap(maps, weights)
            crossed = _squared(weights, mean @ maps, noise)
            found[k][0][:] += moved(s) + crossed + crossed.T + _squared(weights, noise, noise)
            found[k][1][:] += mean @ moved.mean + np.tensordot(weights, noise, 1)
        return found

    def settled_at(self, place: int | None) -> State:
        """S and E V in the stationary state, (r, r) and (c, r): at one position, or averaged over the epoch."""
        if place is None:
            return self._averaged
        return self.weights_of(self.along([place], [self.settled])[0])

    def mean_over(self, places: list[int]) -> Array:
        """E V in the stationary state, averaged over positions of an epoch, (c, r)."""
        found = self.along(places, [self.settled] * len(places))
        return np.asarray(np.mean([self.weights_of(each)[1] for each in found], axis=0))

    @cached_property
    def _averaged(self) -> State:
        stops, share = self.positions
        states = self.along(stops, [self.settled] * len(stops))
        averaged = [np.tensordot(share, np.array(each), 1) for each in zip(*states, strict=True)]
        return self.weights_of((averaged[0], averaged[1]))

    def weights_of(self, state: State) -> State:
        """The part of S and m that is of V."""
        return state[0][: self.rank, : self.rank], state[1][:, : self.rank]

    def later(self, state: State, count: int) -> State:
        """S and m so many epochs later; a matrix power where the state is small."""
        if self.map.small and count > 1:
            return self._unpacked(np.linalg.matrix_power(self._affine, count) @ self._packed(state))
        for _ in range(count):
            before, state = state, self.next(state)
            if np.abs(state[0] - before[0]).max() <= _SETTLED * np.abs(state[0]).max():  # and so it stays
                break
        return state

    @cached_property
    def _affine(self) -> Array:
        """`next` as a matrix on S, m and 1."""
        length = self.size * (self.size + self.problem.outputs)
        constant = self._packed(self.next(self._unpacked(np.zeros(length + 1))))
        rows = [self._packed(self.next(self._unpacked(unit))) - constant for unit in np.eye(length, length + 1)]
        out = np.column_stack([*rows, constant])
        out[-1] = np.eye(1, length + 1, length)
        return out

    def _packed(self, state: State) -> Array:
        return np.concatenate([state[0].ravel(), state[1].ravel(), [1.0]])

    def _unpacked(self, flat: Array) -> State:
        s, mean = np.split(flat[:-1], [self.size**2])
        return s.reshape(self.size, self.size), mean.reshape(self.problem.outputs, self.size)

    @cached_property
    def error(self) -> float:
        """Relative standard error of the stationary excess loss; 0 if all orders are listed.

        To first order in the sampling of whole epochs: with U what an element of S is worth at the end of an epoch, in
        this epoch and all that follow, an order adds its share of <U, S>.
        """
        if self.orders.listed:
            return 0.0
        h, (s, mean), (moved, noise) = self.curvatures, self.settled, self._end
        stops, share = self.positions
        observed = np.tensordot(share, np.array([u for u, _, _ in self.observed(h, stops)]), 1)
        adjoint = moved.adjoint

        def once(u: Array) -> Array:
            return adjoint.resolvent(adjoint.fluctuation(u) + observed)

        worth = fixed_point(once, once, observed, _WORTH_RTOL)[0]
        later = (noise + 2 * mean @ moved.maps) @ worth
        values = moved.contributions(worth, s) + np.einsum("wci,wci->w", later, noise)
        excess = float(h @ np.diag(self.settled_at(None)[0]))
        return self.orders.error(values) / excess if excess else 0.0

    @cached_property
    def curvatures(self) -> Array:
        """Curvatures of the modes, (r,)."""
        return self.problem.minimum(self.sgd.weight_decay).curvatures

    @cached_property
    def positions(self) -> tuple[list[int], Array]:
        """Positions that an average over an epoch is taken at, and their shares in it."""
        if self.steps <= _EVERY:
            return list(range(self.steps)), np.full(self.steps, 1 / self.steps)
        return self.timetable.times.tolist(), self.timetable.share

    def observed(self, observable: Array, stops: list[int]) -> list[tuple[Array, Array, float]]:
        """What observable . S_pp is after `stops` steps, as (U, B, a): U . S + B . m + a of the state at the start."""
        found = [(np.zeros((self.size,) * 2), np.zeros((self.problem.outputs, self.size)), np.zeros(1)) for _ in stops]
        for k, part, rows in self._advanced(stops):
            weights = self.orders.weights[part]
            maps, noise = rows[:, : self.size, : self.rank], rows[:, self.size :, : self.rank]
            felt = maps * observable
            found[k][0][:] += _squared(weights, felt.swapaxes(1, 2), maps.swapaxes(1, 2))
            found[k][1][:] += 2 * np.einsum("w,wcp,wip->ci", weights, noise, felt, optimize=True)
            found[k][2][:] += np.einsum("w,wcp,p->", weights, np.square(noise), observable, optimize=True)
        return [(u, b, float(a[0])) for u, b, a in found]


def _squared(weights: Array, one: Array, other: Array) -> Array:
    """Average of one^T other over the orders and their rows."""
    left = one * weights[:, None, None]
    return np.asarray(np.tensordot(left, other, axes=([0, 1], [0, 1])))

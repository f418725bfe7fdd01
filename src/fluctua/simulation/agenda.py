"""When runs are looked at twice and how their twins are pushed, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._arrays import Array, Ints

__all__ = ["BINS", "EDGE", "Agenda", "Forms", "Found"]

BINS, EDGE = 13, 3.0


@dataclass(frozen=True)
class Agenda:
    """When a run is looked at, and how its twins are pushed.

    Attributes
    ----------
    steps, opened : int
        Length of a run, and where the origins begin.
    gap : int
        Steps between two origins.
    lags : tuple of int
        Steps after an origin at which the weights are seen again, and after a kick at which its answer is; from 1 up.
    modes : int
        The steepest of them are seen.
    sizes : ndarray, (r,)
        Of a kick along each mode.
    direction : ndarray, (c, r)
        Of a kick in all modes.
    optimum : ndarray, (c, r)
        By how much new targets, u x_i more than the old ones, displace the optimum: u. It is a step force u A.
    plane : tuple of int
        Two modes in whose plane the flow of the replicas is followed, in `BINS` x `BINS` fields of it, to `EDGE`
        standard deviations, all outputs together.
    """

    steps: int
    opened: int
    gap: int
    lags: tuple[int, ...]
    modes: int
    sizes: Array
    direction: Array
    optimum: Array
    plane: tuple[int, int]

    @property
    def reach(self) -> int:
        """The longest lag."""
        return self.lags[-1]

    @property
    def origins(self) -> Ints:
        """Steps at which the first of two looks is taken."""
        return np.arange(self.opened, self.steps - self.reach + 1, self.gap)

    @property
    def kicks(self) -> range:
        """Steps at which twins are made and kicked."""
        return range(self.opened, self.steps - self.reach + 1, self.reach)


@dataclass(frozen=True)
class Forms:
    """Antisymmetric forms in the weights at two times, whose values are summed up in each replica: swept areas.

    Attributes
    ----------
    total : ndarray, (c m, c m)
        At an origin and one step later, all outputs together.
    outputs : ndarray, (c, m, m)
        And for each row alone.
    """

    total: Array
    outputs: Array


@dataclass(frozen=True)
class Found:
    """Averages over origins or kicks of each group of replicas; the first axis is that of the groups, g.

    Attributes
    ----------
    lagged : ndarray, (g, k, m, m)
        E[V(t)^T V(t + lag)], summed over outputs.
    now : ndarray, (g, s, m, m)
        E[V(t)^T X(t)] for X = V and, with momentum, its buffer.
    responses : ndarray, (g, s, k, m, m)
        Shift of V after a unit kick of X along each mode: rows are the modes that were kicked.
    kicked : ndarray, (g, k, c, m)
        Shift after the kick in a random direction.
    pushed : ndarray, (g, k, c, m)
        Shift under the step force.
    joint : ndarray, (g, n c m, n c m)
        Second moments of (x(t), ..., x(t + n - 1)), x all outputs' weights; n is 2, with momentum 3.
    areas : ndarray, (R, 1 + c)
        Replica by replica, the sums that `Forms` asks for: all outputs, then each.
    density : ndarray, (g, BINS, BINS)
        Share of the weights in each field of the plane.
    flow : ndarray, (g, BINS, BINS, 2)
        Their displacement per step, times that share: the mean of the step out of the field and of the step into it, in
        which what relaxes and what spreads cancel.
    """

    lagged: Array
    now: Array
    responses: Array
    kicked: Array
    pushed: Array
    joint: Array
    areas: Array
    density: Array
    flow: Array

    @property
    def groups(self) -> int:
        """How many groups the replicas fall into."""
        return len(self.lagged)

    @classmethod
    def gathered(cls, groups: Sequence[Found]) -> Found:
        """Join what groups found."""
        return cls(**{name: np.concatenate([getattr(each, name) for each in groups]) for name in vars(groups[0])})

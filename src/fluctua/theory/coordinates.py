"""What a prediction says in the coordinates of the inputs, where a start may have a part outside the modes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from .._arrays import Array
from .._validate.values import step_list
from .by_output import ByOutput
from .moments import Moments
from .readings import left_outside

__all__ = ["Coordinates"]


class Coordinates(ByOutput):
    """Mean and covariance of V in the coordinates of the inputs; a base of `Prediction`."""

    @property
    @abstractmethod
    def _found(self) -> Moments:
        """S and E V in the modes, and how they were found."""

    @property
    def mode_mean(self) -> Array | None:
        """E V in the modes, (c, r), where shuffled epochs displace it; None elsewhere."""
        return self._found.mean

    @property
    def modes(self) -> Array:
        """Eigenvectors for the curvatures, the columns of U, (d, r)."""
        return self.law.problem.modes

    @property
    def optimum(self) -> Array:
        """The minimiser W*, (c, d)."""
        return self.law.minimum.weights

    @cached_property
    def covariance(self) -> Array:
        """S in the coordinates of the inputs, (d, d); infinite where no stationary state exists."""
        if self._unbounded:
            return np.full((len(self.modes),) * 2, np.inf)
        inside = self.modes @ self.mode_covariance @ self.modes.T + self._warm_outside
        if self.start is None or self.steps is None or not self.start.null.any():
            return inside
        left, null = left_outside(self.law, np.array(self.steps)), self.start.null
        crossed = self.modes @ self.mean_with_left.T @ null
        inside += crossed + crossed.T + np.mean(left**2) * (null.T @ null)
        return inside

    @property
    def _warm_outside(self) -> Array | float:
        """What thermal noise adds in directions that no data point has, (d, d); 0 without such noise or directions."""
        variance = float(self.law.variance_outside(self.steps).mean())
        return variance * (np.eye(len(self.modes)) - self.modes @ self.modes.T) if variance else 0.0

    @property
    def mean(self) -> Array:
        """E V, (c, d): zero when stationary or from W*; averaged over `steps`.

        In shuffled epochs the mean is displaced from W* by O(eta), and S includes its square.
        """
        if self.mode_mean is not None:
            inside = self.mode_mean @ self.modes.T
            return inside if self.start is None else inside + self._left_outside
        if self.start is None or self.steps is None:
            return np.zeros_like(self.optimum)
        drift, null = (factors.mean(axis=0) for factors in self.drifts(self.steps))
        return np.asarray((self.start.modes * drift) @ self.modes.T + self.start.null * null)

    @property
    def _left_outside(self) -> Array:
        """The part of E V outside the modes, (c, d)."""
        assert self.start is not None
        assert self.steps is not None
        return np.asarray(self.start.null * left_outside(self.law, np.array(self.steps)).mean())

    @property
    def mean_with_left(self) -> Array:
        """E V in the modes times what is left of the start outside them, averaged over the steps, (c, r)."""
        if self._found.mean_left is not None:
            return self._found.mean_left
        assert self.start is not None
        assert self.steps is not None
        if self.mode_mean is not None:  # one step, or nothing decays outside
            return np.asarray(self.mode_mean * left_outside(self.law, np.array(self.steps)).mean())
        inner, outer = self.drifts(self.steps)
        return np.asarray(self.start.modes * (inner * outer).mean(axis=0))

    def drifts(self, steps: int | Sequence[int]) -> tuple[Array, Array]:
        """Return what is left of E V(0), in the modes and outside them, at each of `steps`.

        Parameters
        ----------
        steps : int or sequence of int
            Counted from 0, in any order.

        Returns
        -------
        inner : ndarray, (n, r)
            Factors by which E V in each mode has changed.
        outer : ndarray, (n, 1)
            The factor outside the modes, which weight decay alone moves.

        Raises
        ------
        InvalidInput
            For steps out of range, and where a schedule or an average has more steps than fit into memory.
        """
        wanted = step_list("steps", steps)
        motions = self.law.motion(int(wanted.max())), self.law.null_motion(int(wanted.max()))
        inner, outer = (motion.drift(wanted, observed=True) for motion in motions)
        return inner, outer

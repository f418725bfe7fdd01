r"""One bound of the weights' covariance followed through time, from a start without spread (F155).

S(t) is the sum over the steps s < t of psi psi^T o kappa (C(s) + K[S(s)]), psi the answers of the modes to a gradient
t - 1 - s steps ago and C(s) the noise at the mean E W(s). Products with psi psi^T and K keep positive matrices
positive, so that step by step what is fed more is at least S, whatever the optimiser. What it is fed is `Pinched`: a
matrix of the leading modes, and a number times A beyond, where a curvature answers on its own: a grid of them is
followed beside the modes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..._arrays import AnyArray, Array
from ...kernels.constant import Kernel
from ...kernels.time_varying import Course
from ..control import Controller
from ..march import March, Stretch
from ..overflow import overflowing
from .balances import Unbounded
from .drifting import Drifting
from .pinched import Pinched, Residuals, Side, State
from .ranges import flat_curvatures, motion_of
from .solved import Solved

__all__ = ["Followed"]

_EVERY = 3  # of the curvatures beyond that `Ranges` looks at
_PASSES = 4_000  # evaluations of a source at most
_MARGIN = 4.0  # what errors with momentum are taken to be, times what intervals tell; as `Relaxation` has it


@dataclass(eq=False)
class Followed:
    """A lower bound, an estimate or an upper bound of S, from step to step.

    Parameters
    ----------
    solved : Solved
        Problem and recipe; its kernel is what the bounds of K are weighed by.
    last : int
        Step that is followed to.
    start : Drifting or None
        Where the mean begins; None is W*.
    side : {-1, 0, 1}
        Which of them.
    rtol : float
        Of the march.
    off : float
        What the mean may be off by, in the product of H.
    quiet : bool
        Leave K out, which leaves a lower bound.
    """

    solved: Solved
    last: int
    start: Drifting | None
    side: Side
    rtol: float
    off: float = 0.0
    quiet: bool = False
    passes: int = field(default=0, init=False)
    loudest: Array = field(init=False)
    """The largest x . S x + |r|^2 met of each sample, (N,)."""

    def __post_init__(self) -> None:
        self.problem, self.sgd, self.minimum = self.solved.problem, self.solved.sgd, self.solved.minimum
        self.loudest, k = np.zeros(self.problem.samples), len(self.problem.curvatures)
        self._bounded, self._beyond = slice(0, k), slice(k, k + len(self.flat))
        self._exact = slice(k + len(self.flat), None) if self.side else self._bounded

    @cached_property
    def flat(self) -> Array:
        """Curvatures that stand for those beyond the leading modes: all that there may be, or the usual one."""
        if not self.side:
            return np.array([self.problem.curvature_left])
        return flat_curvatures(self.problem.curvatures)[::_EVERY]

    @cached_property
    def kernel(self) -> Kernel | Course:
        """Of the leading modes, of curvatures beyond, and of the leading modes again, fed exactly."""
        a = self.problem.curvatures
        every = np.concatenate([a, self.flat, a] if self.side else [a, self.flat])
        return motion_of(every + self.sgd.weight_decay, self.sgd, self.last)

    @cached_property
    def mean(self) -> Kernel | Course | None:
        """Of what the mean is followed in."""
        return None if self.start is None else self.start.motion(self.sgd, self.last)

    def averaged(self, steps: tuple[int, ...]) -> tuple[Array, float]:
        """Return S in the leading modes averaged over sorted steps, (k, k), and the loss beyond, of an estimate.

        Raises `Unbounded` where that takes too many passes over the samples, or ends beyond all floats.
        """
        later = [step for step in steps if step]
        total = np.zeros((self.kernel.modes,) * 2)
        if later and self.solved.noise.kappa:
            for stretch in self._march(later):
                total = total + stretch.passed
        total = total[: self._beyond.stop, : self._beyond.stop] if not self.side else total
        h, a = self.flat[0] + self.sgd.weight_decay, max(float(self.flat[0]), np.finfo(float).tiny)
        many = float(self.problem.lengths_left.mean()) / a if self.flat[0] else 0.0  # of them, were they alike
        beyond = 0.0 if self.side else 0.5 * h * many * float(total[-1, -1]) / len(steps)
        return total[self._exact, self._exact] / len(steps), beyond

    def _march(self, stops: list[int]) -> Iterator[Stretch]:
        nothing = np.zeros((self.kernel.modes,) * 2)
        weights = np.zeros(self.kernel.modes)
        weights[self._exact] = self.minimum.curvatures
        margin = _MARGIN if isinstance(self.kernel, Course) or self.kernel.components > 1 else 1.0
        resting = np.diag(self._source(None, nothing))[self._exact]  # where it starts it may be any times as loud
        self.loudest[:] = 0.0
        quiet = float(np.abs(resting).sum())
        control = Controller(self.kernel, self.rtol, quiet, weights, margin, self._exact)
        with overflowing():
            yield from March(self.kernel, nothing, self._source, True, control, stops, self._read)

    def _read(self, step: int, state: Array) -> Array:
        del step
        return self.kernel.fold(state, observed=True)

    def _source(self, step: int | None, covariance: Array) -> Array:
        """Kappa times what the modes are fed at a step, bounded; None is where the mean is at rest."""
        self.passes += 1
        if self.passes > _PASSES or not np.abs(covariance).max(initial=0.0) < np.inf:
            raise Unbounded
        a, known = self.problem.curvatures, self._residuals(step)
        covariance = covariance * (not self.quiet)
        state = State(covariance[self._bounded, self._bounded], self._outer(np.diag(covariance)[self._beyond]))
        pinched = Pinched(self.problem, known)
        factors = known.squares if self.quiet else known.squares + pinched.factors(state)
        self.loudest = np.maximum(self.loudest, factors)
        fed = self.problem.inside.scatter(weights=factors) - a[:, None] * state.inside * a
        fed -= known.decayed.T @ known.decayed
        out = np.zeros_like(covariance)
        out[self._bounded, self._bounded] = out[self._exact, self._exact] = fed
        if not self.quiet:
            more = self._coupled(pinched, factors, state.beyond, np.diag(fed))
            out[self._bounded, self._bounded] += more.inside
            out[self._beyond, self._beyond] = np.diag(self.flat * more.beyond)
        return np.asarray(self.solved.noise.kappa * out)

    def _coupled(self, pinched: Pinched, factors: Array, held: float, kept: Array) -> State:
        left = self.problem.lengths_left
        if not self.side:
            total = float(left.sum())
            return State(np.zeros(()), float(factors @ left) / total if total else 0.0)
        costs = (
            np.diag(0.5 * self.minimum.curvatures * np.abs(np.diag(self.solved.ranges.phi))),
            0.5 * float(left.mean()),
        )
        costs = costs[0], costs[1] * self.solved.ranges.noise[1]
        found = pinched.coupled(factors, held, self.side, costs, kept if self.side < 0 else None)
        return found if self.side > 0 else State(found.inside, min(found.beyond, 0.0))

    def _outer(self, variances: Array) -> float:
        """What multiplies 1 beyond the leading modes, given the variances at some curvatures there."""
        if not self.side:
            return float(variances[0])
        wide = float(np.abs(np.diff(variances)).max())
        return max(float(variances.max()) + wide, 0.0) if self.side > 0 else min(float(variances.min()) - wide, 0.0)

    def _residuals(self, step: int | None) -> Residuals:
        """Residuals at the mean of the weights after so many steps, or at rest, and its gradient."""
        inside, whole, decay = self.minimum.inside, self.problem.inside, self.sgd.weight_decay
        decayed = decay * inside.mode_weights
        if step is None or self.start is None or self.mean is None:
            squares, each = self._doubted(inside.squared_residuals), inside.residuals
            return Residuals(squares, each, decayed, self._slope(each))
        mean, beyond = self.start.after(step, self.mean)
        weights = mean @ self.problem.modes.T + beyond @ self.start.vectors.T
        squares, each = np.empty(self.problem.samples), np.empty_like(inside.residuals)
        for rows in whole.blocks(self.problem.features):
            r = inside.residuals[rows] + whole.inputs[rows].astype(np.float64) @ weights.T
            each[rows], squares[rows] = r, np.einsum("ij,ij->i", r, r)
        slope = self._slope(each) if decay else float(np.linalg.norm(beyond, 2) + self.off) ** 2
        return Residuals(self._doubted(squares), each, decayed - mean * self.problem.curvatures, slope)

    def _doubted(self, squares: Array) -> Array:
        """|r|^2 at least or at most, where the mean may be off by so much in no sample but one."""
        if not self.side:
            return squares
        return np.asarray(np.maximum(np.sqrt(squares) + self.side * self.off * np.sqrt(len(squares)), 0.0) ** 2)

    def _slope(self, each: AnyArray) -> float:
        if not self.sgd.weight_decay:
            return self.off**2
        return float(np.linalg.eigvalsh(each.T @ each.astype(np.float64))[-1]) / len(each)

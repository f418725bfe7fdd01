r"""K of a covariance that is a matrix in the leading modes and a multiple of 1 beyond them, bounded by one like it.

K[E] = <(x . E x) x x^T> - A E A has a part that couples the leading modes to all others. For any theta > 0, with z the
leading part of x, t the rest and delta the factor x . E x less a constant, that part lies between plus and minus

    theta <delta^2 z z^T> (+) A_rest / theta,                                                                    (F151)

by Cauchy and Schwarz and because <t z^T> = 0. What is left is a matrix in the leading modes, which is summed exactly,
and <(x . E x) t t^T>, which lies between the least and the largest x . E x times A_rest. So every bound is again a
matrix of leading modes and a number, however many inputs there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from ..._arrays import AnyArray, Array
from ...problem.leading.leading_modes import LeadingModes
from ...problem.moments import symmetric_form

__all__ = ["Pinched", "Residuals", "Side", "State"]

_TINY, _FAR = 1e-280, 1e12  # what stands for 0 in a quotient; times 1 over the spread of delta, that theta may be

Side = Literal[-1, 0, 1]
"""A lower bound, an estimate, an upper bound."""


class State(NamedTuple):
    """A matrix in the leading modes, (k, k), and what multiplies 1, or A, beyond them."""

    inside: Array
    beyond: float


class Residuals(NamedTuple):
    """Of every sample: what C averages beside K, <|r|^2 x x^T> less the squares of mean gradients.

    Attributes
    ----------
    squares : ndarray, (N,)
    each : ndarray, (N, c)
    decayed : ndarray, (c, k)
        gamma W* in the leading modes, or less the gradient of the mean where that is not at rest.
    slope : float
        What times A the squares of mean gradients beyond the leading modes are at most.
    """

    squares: Array
    each: AnyArray
    decayed: Array
    slope: float = 0.0


@dataclass(frozen=True)
class Pinched:
    """K of a problem in its leading modes, with bounds (F151).

    Attributes
    ----------
    problem : LeadingModes
    residuals : Residuals, optional
        With them C + K is bounded together, of which C in the leading modes is added elsewhere.
    """

    problem: LeadingModes
    residuals: Residuals | None = None

    def factors(self, state: State) -> Array:
        """Return x . E x of each sample, (N,)."""
        inside = self.problem.inside
        out = state.beyond * self.problem.lengths_left
        for rows in inside.blocks(inside.rank):
            out[rows] += symmetric_form(inside.projections[rows], state.inside)
        return out

    def feedback(self, state: State, factors: Array | None = None) -> Array:
        """Return K[E] in the leading modes, exactly, (k, k)."""
        a = self.problem.curvatures
        factors = self.factors(state) if factors is None else factors
        return self.problem.inside.scatter(weights=factors) - a[:, None] * state.inside * a

    def bounded(self, state: State, side: Side, weigh: Array, beyond: float) -> State:
        """Return K[E] as a matrix in the leading modes, and what multiplies A beyond them; bounded, or estimated.

        Parameters
        ----------
        state : State
            E.
        side : {-1, 0, 1}
            Which of them.
        weigh : ndarray, (k, k)
            What a matrix inside costs is its trace with this; theta makes the least of what it costs.
        beyond : float
            What one times A beyond costs.
        """
        factors = self.factors(state)
        inside = self.feedback(state, factors)
        left = self.problem.lengths_left
        factors = factors if self.residuals is None else factors + self.residuals.squares
        if not side:
            total = float(left.sum())
            return State(inside, float(factors @ left) / total if total else 0.0)
        more, outer = self.coupled(factors, state.beyond, side, (weigh, beyond))
        return State(inside + more, outer)

    def coupled(
        self, factors: Array, held: float, side: Side, costs: tuple[Array, float], kept: Array | None = None
    ) -> State:
        """What the coupling adds inside, at most or at least, and what multiplies A beyond (F151).

        Parameters
        ----------
        factors : ndarray, (N,)
            x . E x, and |r|^2 where C is bounded too.
        held : float
            What multiplies 1 in E beyond the leading modes.
        side : {-1, 1}
            Which of them.
        costs : (ndarray, float)
            As in `bounded`.
        kept : ndarray, (k,), optional
            Variances of which no more than half is taken.
        """
        (weigh, beyond), steep = costs, float(self.problem.curvatures[-1])
        crossed = self._crossed(factors - factors.mean())
        edge = float(factors.max() if side > 0 else factors.min() - self._slope)
        own = min(held, 0.0) if side > 0 else max(held, 0.0)  # of A E A beyond, from 0 to this
        if not crossed.any():
            return State(crossed, edge - own * steep)
        usual = np.sqrt(self.problem.curvatures.sum() / max(float(np.trace(crossed)), _TINY))
        theta = float(np.clip(_balanced(float(np.sum(weigh * crossed)), beyond), usual / _FAR, usual * _FAR))
        if kept is not None:
            theta = min(theta, 0.5 * float((kept / np.maximum(np.diag(crossed), _TINY)).min()))
        theta = max(theta, _TINY)
        return State(side * theta * crossed, edge + side / theta - own * steep)

    @property
    def _slope(self) -> float:
        return 0.0 if self.residuals is None else self.residuals.slope

    def _crossed(self, delta: Array) -> Array:
        """<y y^T> of y = delta z, and of the mean gradients that weight decay holds against, (k, k)."""
        inside, known = self.problem.inside, self.residuals
        if known is None or not known.decayed.any():
            return inside.scatter(weights=delta**2)
        out = np.zeros((inside.rank,) * 2)
        for rows in inside.blocks(inside.rank):
            y = delta[rows, None] * inside.projections[rows] + known.each[rows] @ known.decayed
            out += y.T @ y
        return out / inside.samples


def _balanced(inside: float, beyond: float) -> float:
    """The theta that makes theta times one and the other over theta least."""
    return float(np.sqrt(max(beyond, _TINY) / max(inside, _TINY)))

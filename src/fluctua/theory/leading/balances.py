r"""Bounds of the stationary balance in a few modes: supersolutions and subsolutions of it, found by substitution.

The map E -> kappa Phi o (M + K[E]) keeps positive matrices positive. Whatever E* is at least its image bounds the
solution from above, and proves that there is one; what begins at 0 and never exceeds its image stays below it (F152).
Bounds of K by `Pinched` keep both within a matrix of the leading modes and a number.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from ..._arrays import Array
from ...errors import Unconverged
from .pinched import Pinched, Side, State
from .ranges import Ranges

__all__ = ["Balance", "Unbounded"]

_ROUNDS, _CLOSE = 200, 1e-6  # of substitution, and the relative change at which a bound is tried
_ROUNDED = 1e-9  # of what is compared
_SOMETIMES = 8  # rounds, after which an estimate goes where the last two point
_AMPLE = 2.0  # times what the next rounds would add
_DIVERGED = 1e12


class Unbounded(ArithmeticError):
    """No bound was found: the balance may have no solution."""


@dataclass(frozen=True)
class Balance:
    """E = kappa Phi o (M + K[E]), of which the loss or the noise may be the source M.

    Attributes
    ----------
    pinched : Pinched
    ranges : Ranges
    source : ndarray, (k, k)
        M in the leading modes.
    beyond : (float, float)
        kappa Phi o M there, at least and at most, as a multiple of 1.
    weigh : ndarray, (k, k)
        What a unit of E inside costs.
    weigh_beyond : float
        The same beyond the leading modes.
    """

    pinched: Pinched
    ranges: Ranges
    source: Array
    beyond: tuple[float, float]
    weigh: Array
    weigh_beyond: float

    def estimate(self) -> State:
        """Return the solution where all that is beyond the leading modes is alike."""
        return self._substituted(0)

    def lower(self) -> State:
        """Return a state that is at most the solution."""
        return self._substituted(-1)

    def upper(self) -> State:
        """Return a state that is at least the solution; raises `Unbounded` where none was found."""
        return self._substituted(1)

    def image(self, state: State, side: Side) -> State:
        """Return kappa Phi o (M + K[E]), bounded."""
        fed = self.pinched.bounded(state, side, self.weigh * self.ranges.phi, self.weigh_beyond * self.ranges.noise[1])
        inside = self.ranges.phi * (self.source + fed.inside)
        least, most = self.ranges.noise
        if not side:
            return State(inside, 0.5 * (sum(self.beyond) + (least + most) * fed.beyond))
        factor = most if (side > 0) == (fed.beyond > 0) else least
        return State(inside, self.beyond[side > 0] + factor * fed.beyond)

    def value(self, state: State) -> float:
        """Return what a state costs."""
        return float(np.sum(self.weigh * state.inside)) + self.weigh_beyond * state.beyond

    def _substituted(self, side: Side) -> State:
        """Substitute until what changes is small, and, of an upper bound, until it is proved.

        A lower bound is one after each round; of an estimate that has not settled by the last round, a warning says so.
        """
        state, change = State(np.zeros_like(self.source), 0.0), np.inf
        for number in range(1, _ROUNDS + 1):
            then = self.image(state, side)
            before, change = change, abs(self.value(then) - self.value(state))
            size = abs(self.value(then))
            if not size < _DIVERGED * max(abs(float(np.sum(self.weigh * self.ranges.phi * self.source))), 1e-300):
                break  # there is nothing that it would settle at
            ratio = min(change / before, 0.999) if np.isfinite(before) and before else 0.0
            if change <= _CLOSE * size:
                if side <= 0:
                    return then
                ample = _further(state, then, _AMPLE * ratio / (1 - ratio))
                if self._proved(ample):
                    return ample
            ahead = not side and not number % _SOMETIMES
            state = _further(state, then, ratio / (1 - ratio)) if ahead else then
        else:
            if not side:
                advice = "It is too small, within its bounds. Use a smaller learning rate, further from the limit."
                warnings.warn(Unconverged("the estimate", _ROUNDS, change / (_CLOSE * size), advice), stacklevel=3)
        if side > 0:
            raise Unbounded
        return state

    def _proved(self, state: State) -> bool:
        """Whether a state is at least its image."""
        image = self.image(state, 1)
        scale = 1 / np.sqrt(np.maximum(np.diag(state.inside), np.finfo(float).tiny))
        least = float(np.linalg.eigvalsh((state.inside - image.inside) * np.multiply.outer(scale, scale))[0])
        return least >= -_ROUNDED and image.beyond <= state.beyond * (1 + _ROUNDED)


def _further(before: State, now: State, factor: float) -> State:
    """Where substitution would end, and somewhat beyond."""
    inside = now.inside + factor * (now.inside - before.inside)
    return State(inside, now.beyond + factor * (now.beyond - before.beyond))

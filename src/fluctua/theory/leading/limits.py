r"""Bounds of the largest stable learning rate from the leading modes (F153).

From above: the map restricted to the leading modes has no larger spectral radius, because K is its own adjoint and
positive, and Phi positive. From below: a positive state that is at least its image under an upper bound of the map, at
a learning rate, proves that the map does not grow there (Collatz and Wielandt); K of the state does not depend on the
learning rate, so that one pass over the samples proves it of any.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._arrays import even
from ...recipe.step import Step
from ..source import BatchNoise
from ..stability import limit_of
from .pinched import Pinched, State
from .ranges import Ranges, ranges_of

__all__ = ["Limits"]

_FIRST, _ROUNDS, _AGAIN = 0.9, 14, 3  # of what the limit is at most; learning rates tried, and substitutions at each
_HALVINGS, _ENOUGH = 40, 1e-3  # of the learning rate, and between one that is proved and one that grows


@dataclass(frozen=True)
class Limits:
    """The largest stable learning rate of a step, at least and at most.

    Attributes
    ----------
    pinched : Pinched
    noise : BatchNoise
        Of a batch's gradient in the leading modes.
    decay : float
        Gamma.
    step : Step
    """

    pinched: Pinched
    noise: BatchNoise  # type: ignore[type-arg]
    decay: float
    step: Step

    def _ranges(self, lr: float) -> Ranges:
        return ranges_of(self.pinched.problem.curvatures, self.decay, self.step, lr, self.noise.kappa)

    def most(self) -> float:
        """Return a learning rate that the limit does not exceed: that of the leading modes, or of the mean."""
        edge = self.step.mean_limit(self.noise.minimum.curvatures)
        if not self.noise.kappa:
            return edge
        inside = limit_of(self.noise, self.step)
        return inside if self._ranges(min(inside, 0.999 * edge)).positive else edge

    def least(self, most: float) -> float:
        """Return a learning rate up to which runs are surely stable, given one that the limit does not exceed.

        What was proved of any round holds; where rounds end before the two are close, their distance says so.
        """
        if not self.noise.kappa:
            return most
        found, grows, lr = 0.0, most, _FIRST * most
        state = self._begun(self._ranges(lr))
        for _ in range(_ROUNDS):
            here, growth = self._ranges(lr), 1.0
            for _ in range(_AGAIN):
                fed = self._fed(state, here)
                then = State(here.phi * fed.inside, here.noise[1] * max(fed.beyond, 0.0))
                growth = float(np.trace(then.inside))
                state, before = _unit(then), state
            found = max(found, self._largest(before, fed, most))
            found, grows = (max(found, 0.0), lr) if growth > 1 else (found, grows)
            if most - found <= _ENOUGH * most:
                break
            grows = most if grows - found <= _ENOUGH * most else grows  # it was told of a state too early
            lr = 0.5 * (found + grows)
        return found

    def _begun(self, here: Ranges) -> State:
        """A positive state: what noise like the curvature makes."""
        a = self.pinched.problem.curvatures
        return _unit(State(here.phi * np.diag(a), here.noise[1]))

    def _fed(self, state: State, here: Ranges) -> State:
        """K of a state, bounded from above, at no matter which learning rate."""
        minimum, left = self.noise.minimum, float(self.pinched.problem.lengths_left.mean())
        return self.pinched.bounded(state, 1, here.phi * np.diag(minimum.curvatures), here.noise[1] * left)

    def _largest(self, state: State, fed: State, most: float) -> float:
        """The largest learning rate at which a state is at least its image."""
        low, high = 0.0, most
        for _ in range(_HALVINGS):
            lr = 0.5 * (low + high)
            low, high = (lr, high) if self._holds(state, fed, lr) else (low, lr)
        return low

    def _holds(self, state: State, fed: State, lr: float) -> bool:
        here = self._ranges(lr)
        if not here.stable or here.noise[1] * fed.beyond > state.beyond:
            return False
        scale = 1 / np.sqrt(np.diag(state.inside))
        left = (state.inside - here.phi * fed.inside) * np.multiply.outer(scale, scale)
        return float(np.linalg.eigvalsh(left)[0]) >= 0.0


def _unit(state: State) -> State:
    size = float(np.trace(state.inside))
    return State(even(state.inside / size), state.beyond / size)

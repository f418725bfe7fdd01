r"""One step of an optimiser, as every part of fluctua sees it: s' = B s + e g.

An optimiser keeps a few numbers per weight: s = (V, u, ...), the weight about W* first, then what it remembers. One
step takes the gradient g = h V + n of a mode of curvature h, n the noise of the batch, to

    s' = B s + e g,    V = o . s,    o = (1, 0, ...),    (F11)

and nothing else knows the optimiser. Torch's first step has its own (B0, e0). The kernel is the eigendecomposition of
B + h e o^T, a schedule is a product of them, the simulator applies B and e, and E V stops to decay where an eigenvalue
reaches the unit circle.

A sampler is a step with a thermal source, s' = B s + e g + f xi with a standard normal xi of its own for every weight
(F90). SGD's steps answer f = 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array

__all__ = ["Motion", "Moves", "Step", "plain", "quasi_hyperbolic", "with_momentum"]


class Motion(ABC):
    """B, e and f of one step at any learning rate.

    Attributes
    ----------
    temperature : float
        T of the thermal noise; 0 without.
    """

    temperature: float = 0.0

    @abstractmethod
    def at(self, lr: ArrayLike) -> tuple[Array, Array]:
        """Return B, (..., k, k), and e, (..., k), at the learning rates `lr`, (...)."""

    def lost(self, lr: float) -> Array:
        """Return 1 - B, (k, k), to all its digits."""
        motion, push = self.at(lr)
        return np.asarray(np.eye(push.size) - motion)

    def thermal(self, lr: ArrayLike) -> Array:
        """Return f, (..., k), what a unit of thermal noise puts into s: zero without a temperature."""
        return np.zeros_like(self.at(lr)[1])

    def shown(self, lr: float) -> Array:
        """Return the factors of s, (k,), whose sum is the weight that the optimiser shows after a step: V."""
        return np.asarray(np.eye(self.at(lr)[1].size)[0])

    def instability(self, lr: float, curvatures: Array) -> str:
        """Return why E V does not decay at `lr`, as a sentence, where more is known than the limit; else nothing."""
        del lr, curvatures
        return ""

    @abstractmethod
    def mean_limit(self, curvatures: ArrayLike) -> float:
        """Return the learning rate at which E V stops to decay in one of the modes."""

    @abstractmethod
    def scaled(self, curvature: float) -> tuple[Self, float]:
        """Return the same motion in units in which `curvature` is 1, and what multiplies the learning rate there."""


@dataclass(frozen=True, eq=False)
class Moves(Motion):
    """B and e, affine in the learning rate: B = kept + eta moved, e = given + eta pushed.

    Attributes
    ----------
    kept, moved : ndarray, (k, k)
    given, pushed : ndarray, (k,)
    """

    kept: Array
    moved: Array
    given: Array
    pushed: Array

    def at(self, lr: ArrayLike) -> tuple[Array, Array]:
        """Return B, (..., k, k), and e, (..., k), at the learning rates `lr`, (...)."""
        rate = np.asarray(lr, np.float64)[..., None]
        return self.kept + rate[..., None] * self.moved, self.given + rate * self.pushed

    def mean_limit(self, curvatures: ArrayLike) -> float:
        """Return the learning rate at which E V stops to decay in the steepest mode: an eigenvalue reaches -1.

        det(1 + B + h e o^T) is affine in the learning rate for the optimisers here: one of its rows moves with it. The
        slope is the sum of the determinants with each row's motion in the place of that row, and not a difference of
        two values, in which a slow optimiser would be lost.
        """
        curvature, slots = float(np.max(curvatures)), len(self.given)
        still, moving = np.eye(slots) + self.kept, self.moved.copy()
        still[:, 0] += curvature * self.given
        moving[:, 0] += curvature * self.pushed
        rows = np.eye(slots, dtype=bool)[:, :, None]
        return float(-np.linalg.det(still) / np.linalg.det(np.where(rows, moving, still)).sum())

    def scaled(self, curvature: float) -> tuple[Self, float]:
        """Return itself: only the product of learning rate and curvature counts."""
        return self, curvature


@dataclass(frozen=True, eq=False)
class Step:
    """A linear, isotropic optimiser.

    Attributes
    ----------
    later : Motion
        Every step but the first.
    first : Motion
        The first one, from s = (V(0), 0, ...).
    lr : float
        A learning rate at which it is asked for what does not depend on it, or is meant at the recipe's own.
    """

    later: Motion
    first: Motion
    lr: float = 1.0

    @cached_property
    def slots(self) -> int:
        """Numbers kept per weight, k."""
        return int(self.at(self.lr)[1].size)

    @property
    def temperature(self) -> float:
        """T of the thermal noise; 0 without."""
        return self.later.temperature

    @property
    def memory(self) -> float:
        """Share of what is remembered that a step keeps, q = B_11; 0 without a memory."""
        return float(self.at(self.lr)[0][1, 1]) if self.slots > 1 else 0.0

    @cached_property
    def autoregressive(self) -> bool:
        """Whether each gradient enters one step, d(t) = V(t+1) - V(t) = q d(t-1) + e_0 g(t): where p e_1 = q e_0.

        Elsewhere g(t-1) enters beside the last step, as with Nesterov's: the weights are then an autoregressive chain
        with a moving average of the noise.
        """
        if self.slots == 1:
            return True
        motion, push = self.at(self.lr)
        return bool(np.isclose(motion[0, 1] * push[1], motion[1, 1] * push[0], rtol=1e-12, atol=0.0))

    @cached_property
    def heavy_ball(self) -> bool:
        """Whether it is plain, or momentum that takes each gradient once and whole: no Nesterov, no dampening."""
        return self.slots == 1 or (self.autoregressive and self.at(self.lr)[1][1] == 1)

    @cached_property
    def begins_alike(self) -> bool:
        """Whether the first step does to s = (V, 0, ...) what every other one does."""
        both = [(self.first.at(lr), self.later.at(lr)) for lr in (self.lr, 2 * self.lr)]
        return all(np.array_equal(a[:, 0], b[:, 0]) and np.array_equal(d, e) for (a, d), (b, e) in both)

    def at(self, lr: float) -> tuple[Array, Array]:
        """Return B, (k, k), and e, (k,), of every step but the first."""
        return self.later.at(lr)

    def along(self, rates: Array, begin: int = 0) -> tuple[Array, Array]:
        """Return B, (T, k, k), and e, (T, k), of T steps at their learning rates, the first of them number `begin`."""
        motion, push = self.later.at(rates)
        if len(rates) and begin == 0:
            motion[0], push[0] = self.first.at(rates[0])
        return motion, push

    def transition(self, lr: float, curvatures: ArrayLike) -> Array:
        """Return B + h e o^T for each curvature, (r, k, k)."""
        motion, push = self.at(lr)
        out = np.repeat(motion[None], np.size(curvatures), axis=0)
        out[:, :, 0] += np.multiply.outer(np.asarray(curvatures, np.float64), push)
        return out

    def gradient(self, before: Array, after: Array, lr: float, number: int) -> Array:
        """Return the g that took s to s', (k, ...) each, in step `number`, counted from 0."""
        motion, push = (self.later if number else self.first).at(lr)
        moved = after - np.tensordot(motion, before, 1)
        return np.asarray(np.tensordot(push, moved, 1) / (push @ push))

    def effective_lr(self, lr: float) -> float:
        """Return the rate of plain SGD that drifts as fast in flat modes (F33): o (1 - B)^-1 e, on what is kept."""
        motion, push = self.at(lr)
        memory = np.linalg.solve(np.eye(self.slots - 1) - motion[1:, 1:], push[1:])
        return float(-(push[0] + motion[0, 1:] @ memory))

    def thermal(self, lr: float) -> Array:
        """Return f, (k,), of every step but the first."""
        return self.later.thermal(lr)

    def thermal_along(self, rates: Array, begin: int = 0) -> Array:
        """Return f, (T, k), of T steps at their learning rates, the first of them number `begin`."""
        out = self.later.thermal(rates)
        if len(rates) and begin == 0:
            out[0] = self.first.thermal(rates[0])
        return out

    def mean_limit(self, curvatures: ArrayLike) -> float:
        """Return the learning rate at which E V stops to decay in one of the modes."""
        return self.later.mean_limit(curvatures)

    def scaled(self, curvature: float) -> tuple[Step, float]:
        """Return the same in units in which `curvature` is 1, and what multiplies the learning rate there."""
        (later, factor), (first, _) = self.later.scaled(curvature), self.first.scaled(curvature)
        return Step(later, first, factor * self.lr), factor


def plain() -> Step:
    """W' = W - eta g (F3)."""
    moves = Moves(np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1), -np.ones(1))
    return Step(moves, moves)


def with_momentum(momentum: float, dampening: float, nesterov: bool) -> Step:
    """F10: u' = beta u + (1 - dampening) g and W' = W - eta u', or Nesterov's W - eta (g + beta u'); first u' = g."""
    nu, mu = (1.0, momentum) if nesterov else (0.0, 1.0)

    def moves(kept: float, given: float) -> Moves:
        return Moves(
            kept=np.array([[1.0, 0.0], [0.0, kept]]),
            moved=np.array([[0.0, -mu * kept], [0.0, 0.0]]),
            given=np.array([0.0, given]),
            pushed=np.array([-(nu + mu * given), 0.0]),
        )

    return Step(later=moves(momentum, 1 - dampening), first=moves(0.0, 1.0))


def quasi_hyperbolic(momentum: float, nu: float) -> Step:
    """Quasi-hyperbolic momentum, F18: u' = beta u + (1 - beta) g and W' = W - eta ((1 - nu) g + nu u'), from u = 0."""
    moves = Moves(
        kept=np.array([[1.0, 0.0], [0.0, momentum]]),
        moved=np.array([[0.0, -nu * momentum], [0.0, 0.0]]),
        given=np.array([0.0, 1 - momentum]),
        pushed=np.array([-((1 - nu) + nu * (1 - momentum)), 0.0]),  # no rounding of 1 - nu momentum where it is small
    )
    return Step(moves, moves)

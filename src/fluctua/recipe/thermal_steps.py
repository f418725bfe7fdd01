r"""Steps with a thermal source: s' = B s + e g + f xi, the discretisations of Langevin dynamics (F90).

Overdamped, s = (V): the Euler step. Kinetic, s = (V, p) with a momentum of unit mass: the explicit step of SGHMC, and
splittings, of which A moves V along p, B kicks p by the gradient and O is the exact motion of friction and noise, with
c = exp(-friction lr). A chain of splittings begins where its gradient is taken, so that one batch a step is one vector
e: BAOA's at the opening position, ABOBA's and OBABO's, which are the same chain, after the drift A.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array
from .step import Motion, Moves, Step

__all__ = ["MomentumReading", "baoa", "baoab", "boba", "explicit_kinetic", "obabo", "overdamped"]


@dataclass(frozen=True, eq=False)
class Overdamped(Moves):
    """W' = W - eta g + sqrt(2 eta T) xi (F91)."""

    temperature: float = 0.0

    def thermal(self, lr: ArrayLike) -> Array:
        """Return f, (..., 1)."""
        return np.sqrt(2 * self.temperature * np.asarray(lr, np.float64))[..., None]


@dataclass(frozen=True)
class MomentumReading:
    """The momentum that a scheme shows after a step: p = row . s + push g + warm xi, g of a fresh batch.

    Attributes
    ----------
    row : ndarray, (2,)
    push, warm : float
    """

    row: Array
    push: float = 0.0
    warm: float = 0.0


@dataclass(frozen=True, eq=False)
class Kinetic(Motion):
    """A step of a position and a momentum.

    Attributes
    ----------
    friction : float
        What the momentum loses per unit of time.
    temperature : float
        T.
    """

    friction: float
    temperature: float = 0.0

    def lost(self, lr: float) -> Array:
        """Return 1 - B, (2, 2), to all its digits."""
        out = super().lost(lr)
        out[1, 1] = self.forgotten(lr)
        return out

    @abstractmethod
    def forgotten(self, lr: float) -> float:
        """Return 1 - B_11, what of the momentum is lost in a step."""

    def scaled(self, curvature: float) -> tuple[Self, float]:
        """Return the same in units of time in which `curvature` is 1."""
        root = float(np.sqrt(curvature))
        return replace(self, friction=self.friction / root), root

    @abstractmethod
    def at(self, lr: ArrayLike) -> tuple[Array, Array]:
        """Return B, (..., 2, 2), and e, (..., 2)."""

    def momentum(self, lr: float) -> MomentumReading:
        """Return how the momentum is read after a step."""
        del lr
        return MomentumReading(np.array([0.0, 1.0]))


@dataclass(frozen=True, eq=False)
class Explicit(Kinetic):
    """V' = V + eps p, p' = (1 - eps al) p - eps g + N(0, eps T (2 al - eps T beta)), both from old values (F93)."""

    beta: float = 0.0

    def forgotten(self, lr: float) -> float:
        """Return what of the momentum is lost in a step."""
        return lr * self.friction

    def at(self, lr: ArrayLike) -> tuple[Array, Array]:
        """Return B, (..., 2, 2), and e, (..., 2)."""
        eps = np.asarray(lr, np.float64)
        return _moved(eps, 1 - eps * self.friction), _pair(0.0 * eps, -eps)

    def thermal(self, lr: ArrayLike) -> Array:
        """Return f, (..., 2)."""
        eps, heat = np.asarray(lr, np.float64), self.temperature
        return _pair(0.0 * eps, np.sqrt(eps * heat * np.maximum(2 * self.friction - eps * heat * self.beta, 0.0)))

    def mean_limit(self, curvatures: ArrayLike) -> float:
        """Return the least of friction/h_max, where det F = 1, and of where a flat mode overshoots, det(1 + F) = 0."""
        h, al = np.asarray(curvatures, np.float64), self.friction
        flattest, steepest = float(h.min()), float(h.max())
        if al * al <= 4 * flattest:
            return al / steepest
        return min(al / steepest, 4 / (al + float(np.sqrt(al * al - 4 * flattest))))

    def instability(self, lr: float, curvatures: Array) -> str:
        """Return whether det F = 1 - eps al + eps^2 h is above 1 in the steepest mode."""
        steepest, al = float(np.max(curvatures)), self.friction
        if lr * steepest < al:
            return ""
        return (
            f"SGHMC's explicit step needs det F = 1 - lr friction + lr^2 h < 1 in every mode, lr h_max < friction: "
            f"here lr h_max = {lr * steepest:.6g} and friction = {al:.6g}. A larger friction, or fluctua.BAOAB, whose "
            f"mean is stable up to 2/sqrt(h_max) = {2 / np.sqrt(steepest):.6g}, helps too."
        )


@dataclass(frozen=True, eq=False)
class Splitting(Kinetic):
    """A splitting whose chain begins where its gradient is taken: det F = c and E V decays up to 2/sqrt(h_max)."""

    def kept(self, lr: ArrayLike) -> tuple[Array, Array, Array]:
        """Return eps, c = exp(-al eps) and the size of O's noise, sqrt(T (1 - c^2))."""
        eps = np.asarray(lr, np.float64)
        return eps, np.exp(-self.friction * eps), np.sqrt(-self.temperature * np.expm1(-2 * self.friction * eps))

    def forgotten(self, lr: float) -> float:
        """Return what of the momentum is lost in a step."""
        return float(-np.expm1(-self.friction * lr))

    def mean_limit(self, curvatures: ArrayLike) -> float:
        """Return 2/sqrt(h_max)."""
        return 2 / float(np.sqrt(np.max(curvatures)))


@dataclass(frozen=True, eq=False)
class Baoa(Splitting):
    """One full kick, half a drift, O, half a drift (F94)."""

    share: float = 1.0
    """Of the kick: half in BAOAB's first step, which has no last half of a step before it."""
    last_kick: bool = False
    """Whether the momentum is read after the half kick that ends BAOAB's step."""

    def at(self, lr: ArrayLike) -> tuple[Array, Array]:
        """Return B, (..., 2, 2), and e, (..., 2)."""
        eps, c, _ = self.kept(lr)
        drift = eps * (1 + c) / 2
        return _moved(drift, c), -self.share * _pair(eps * drift, eps * c)

    def thermal(self, lr: ArrayLike) -> Array:
        """Return f, (..., 2)."""
        eps, _, noise = self.kept(lr)
        return _pair(eps / 2 * noise, noise)

    def momentum(self, lr: float) -> MomentumReading:
        """Return how the momentum is read after a step."""
        return MomentumReading(np.array([0.0, 1.0]), -lr / 2 * self.last_kick)


@dataclass(frozen=True, eq=False)
class Boba(Splitting):
    """Half a kick, O, half a kick by the same gradient, a full drift (F95); seen at the middle of the drift, or not."""

    middle: bool = False
    """Whether the position that is shown is half a drift before the end: ABOBA's."""
    last_half: bool = False
    """Whether the momentum is read after half a kick and half of O: OBABO's."""

    def at(self, lr: ArrayLike) -> tuple[Array, Array]:
        """Return B, (..., 2, 2), and e, (..., 2)."""
        eps, c, _ = self.kept(lr)
        kick = eps / 2 * (1 + c)
        return _moved(eps * c, c), -_pair(eps * kick, kick)

    def thermal(self, lr: ArrayLike) -> Array:
        """Return f, (..., 2)."""
        eps, _, noise = self.kept(lr)
        return _pair(eps * noise, noise)

    def shown(self, lr: float) -> Array:
        """Return V's factors, (2,)."""
        return np.array([1.0, -lr / 2 * self.middle])

    def momentum(self, lr: float) -> MomentumReading:
        """Return how the momentum is read after a step."""
        if not self.last_half:
            return MomentumReading(np.array([0.0, 1.0]))
        root = float(np.exp(-self.friction * lr / 2))
        noise = float(np.sqrt(-self.temperature * np.expm1(-self.friction * lr)))
        return MomentumReading(np.array([0.0, root]), -lr / 2 * root, noise)


@dataclass(frozen=True, eq=False)
class FirstObabo(Boba):
    """OBABO's first step, from rest: half of O, half a kick, a full drift."""

    def at(self, lr: ArrayLike) -> tuple[Array, Array]:
        """Return B, (..., 2, 2), and e, (..., 2)."""
        eps = np.asarray(lr, np.float64)
        root = np.exp(-self.friction * eps / 2)
        return _moved(eps * root, root), -_pair(eps * eps / 2, eps / 2)

    def thermal(self, lr: ArrayLike) -> Array:
        """Return f, (..., 2)."""
        eps = np.asarray(lr, np.float64)
        noise = np.sqrt(-self.temperature * np.expm1(-self.friction * eps))
        return _pair(eps * noise, noise)


def _moved(drift: Array, kept: Array) -> Array:
    """B = [[1, drift], [0, kept]], (..., 2, 2)."""
    out = np.zeros((*np.shape(drift), 2, 2))
    out[..., 0, 0], out[..., 0, 1], out[..., 1, 1] = 1.0, drift, kept
    return out


def _pair(position: Array, momentum: Array) -> Array:
    """A vector of the state, (..., 2)."""
    return np.stack([position, momentum], axis=-1)


def overdamped(temperature: float) -> Step:
    """W' = W - eta g + sqrt(2 eta T) xi (F91)."""
    moves = Overdamped(np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1), -np.ones(1), temperature)
    return Step(moves, moves)


def explicit_kinetic(lr: float, friction: float, temperature: float, beta: float) -> Step:
    """SGHMC's step (F93)."""
    motion = Explicit(friction, temperature, beta)
    return Step(motion, motion, lr)


def baoa(lr: float, friction: float, temperature: float) -> Step:
    """BAOA, every step with one full kick (F94)."""
    motion = Baoa(friction, temperature)
    return Step(motion, motion, lr)


def baoab(lr: float, friction: float, temperature: float) -> Step:
    """BAOAB: BAOA but for half of the first kick, its momentum read after the last half kick (F94)."""
    motion = Baoa(friction, temperature, last_kick=True)
    return Step(motion, replace(motion, share=0.5), lr)


def boba(lr: float, friction: float, temperature: float) -> Step:
    """ABOBA, from where its gradient is taken, in the middle of the drift (F95)."""
    motion = Boba(friction, temperature, middle=True)
    return Step(motion, motion, lr)


def obabo(lr: float, friction: float, temperature: float) -> Step:
    """OBABO, from where its gradient is taken, after the drift (F95)."""
    motion = Boba(friction, temperature, last_half=True)
    return Step(motion, FirstObabo(friction, temperature, last_half=True), lr)

r"""The mean of the weights as it comes to rest, from any start, also beyond the leading modes.

In the leading modes it is known. What the start has beyond them, V_Q, moves within the space that A spans from it, and
Lanczos' vectors reduce that to a small matrix: of its own modes the mean is a sum whose factors are those of the kernel
at their curvatures. Orthogonal is meant in the product of H, in which flat directions of large weights count little,
and in which half the square is the loss itself (F157).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array, even
from ..._results import ByValue
from ..._validate.starts import start_weights
from ...kernels.constant import Kernel
from ...kernels.time_varying import Course
from ...problem.leading.curvature import Curvature
from ...problem.leading.tail import LeadingMinimum
from ...recipe.sgd import Recipe
from .ranges import motion_of

__all__ = ["Drifting"]

_BLOCKS, _NONE = 32, 1e-13  # products with A at most; of the largest square, what is no direction
_AT_ONCE = 2**12  # steps
_HELD = 2**28  # bytes of a basis at most


@dataclass(frozen=True, eq=False)
class Drifting(ByValue):
    """V(0) = W(0) - W*, in the leading modes and in those that Lanczos' vectors find beyond.

    Attributes
    ----------
    inside : ndarray, (c, k)
        V(0) in the leading modes.
    leading : ndarray, (k,)
        Curvatures of the leading modes.
    beyond : ndarray, (c, l)
        V(0) in the vectors beyond; half its square, summed, is the loss of it.
    curvatures : ndarray, (l,)
        Theirs, without weight decay.
    vectors : ndarray, (d, l)
        Of unit length in the product of H.
    leaving : ndarray, (l, m)
        What A makes of each that no vector has, in m directions of unit length.
    """

    inside: Array
    leading: Array
    beyond: Array
    curvatures: Array
    vectors: Array
    leaving: Array

    @classmethod
    def at(cls, minimum: LeadingMinimum, start: ArrayLike | str) -> Drifting | None:
        """Read a start: "optimum" (None), "zero", or weights (c, d)."""
        weights = start_weights(start, minimum.weights.shape)
        if weights is None:
            return None
        displaced = weights - minimum.weights
        problem = minimum.problem
        modes, edge = problem.modes, float(problem.curvatures[-1])
        inside = displaced @ modes
        rest = (displaced - inside @ modes.T).T
        return cls(
            inside, problem.curvatures, *_spanned(problem.inside.operator, modes, rest, minimum.weight_decay, edge)
        )

    def motion(self, sgd: Recipe, steps: int) -> Kernel | Course:
        """Return what steps do to the leading modes and to the vectors beyond."""
        return motion_of(np.concatenate([self.leading, self.curvatures]) + sgd.weight_decay, sgd, steps)

    def after(self, step: int, motion: Kernel | Course) -> tuple[Array, Array]:
        """Return E V after so many steps, in the leading modes, (c, k), and in the vectors beyond, (c, l)."""
        drift = motion.drift(step)
        k = self.inside.shape[1]
        return self.inside * drift[:k], self.beyond * drift[k:]

    def second(self, steps: tuple[int, ...], motion: Kernel | Course) -> Array:
        """Return the mean over steps of products of two factors of the mean, (k + l, k + l)."""
        total = np.zeros(())
        for begin in range(0, len(steps), _AT_ONCE):
            drift = motion.drift(np.array(steps[begin : begin + _AT_ONCE]))
            total = total + drift.T @ drift
        return np.asarray(total / len(steps))

    def uncertain(self, last: int, sgd: Recipe, motion: Kernel | Course) -> float:
        """Return what V beyond the leading modes may be off by up to the last step, in the product of H (F157).

        The vectors leave out what A makes of them outside; from there on it moves no more than in the flattest mode.
        """
        if not self.leaving.size or not last:
            return 0.0
        k = self.inside.shape[1]
        times = np.unique(np.r_[0 : min(last, 64), np.geomspace(1, last, 256).astype(int)])
        left = np.array([np.linalg.norm((self.beyond * each[k:]) @ self.leaving) for each in motion.drift(times)])
        most = np.maximum(left, np.append(left[1:], left[-1]))
        rate = sgd.lr if sgd.schedule is None else float(sgd.rates(np.arange(last)).max())
        return float(sgd.step.effective_lr(rate) * np.sum(np.diff(np.append(times, last)) * most)) if rate else 0.0


def _spanned(
    operator: Curvature, modes: Array, start: Array, decay: float, edge: float
) -> tuple[Array, Array, Array, Array]:
    """The start in the modes of A in the space that it spans, (c, l), their curvatures, vectors, and what leaves."""
    d, width = start.shape
    basis, images, last, least = np.empty((d, 0)), np.empty((d, 0)), start, 0.0
    most = max(1, min(_BLOCKS, int(_HELD / (16.0 * d * width))))
    for number in range(most + 1):
        block, image = _orthonormal(operator, modes, (basis, images + decay * basis), last, least, decay)
        leaving = images.T @ (image + decay * block)
        if number == most or not block.shape[1]:
            break
        basis, images, last, least = np.hstack([basis, block]), np.hstack([images, image]), image, _NONE * edge**2
    h, turned = np.linalg.eigh(even(images.T @ (images + decay * basis)))
    share = start.T @ ((images + decay * basis) @ turned)
    return share, np.maximum(h, 0.0), basis @ turned, turned.T @ leaving


def _orthonormal(
    operator: Curvature, modes: Array, known: tuple[Array, Array], block: Array, least: float, decay: float
) -> tuple[Array, Array]:
    """Columns orthonormal in the product of H to those known and to each other, and A of them; as many as there are."""
    basis, weighed = known
    for _ in range(2):
        block = block - modes @ (modes.T @ block)
        block = block - basis @ (weighed.T @ block)
    image = operator.times(block)
    image = image - modes @ (modes.T @ image)
    squares, turned = np.linalg.eigh(even(block.T @ (image + decay * block)))
    kept = squares > max(least, _NONE * float(squares[-1]), np.finfo(float).tiny)
    scaled = turned[:, kept] / np.sqrt(squares[kept])
    return block @ scaled, image @ scaled

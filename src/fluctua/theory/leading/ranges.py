"""The kernel of one step in the leading modes, and between what it lies in all others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..._arrays import Array
from ...kernels.constant import Kernel
from ...kernels.momentum import step_kernel
from ...kernels.time_varying import Course, course
from ...recipe.sgd import Recipe
from ...recipe.step import Step

__all__ = ["Ranges", "extremes", "flat_curvatures", "motion_of", "ranges_of"]

_POINTS, _FLATTEST = 129, 1e-12  # of the curvatures beyond, over the last of the leading ones


@dataclass(frozen=True)
class Ranges:
    """Kappa Phi in the leading modes, and what it may be beyond them.

    Attributes
    ----------
    phi : ndarray, (k, k)
        kappa Phi.
    noise : (float, float)
        kappa a Phi_pp beyond the leading modes: what noise a there becomes, at least and at most.
    loss : (float, float)
        kappa h Phi_pp, h = a + gamma, there.
    stable : bool
        Whether E V decays in every mode.
    positive : bool
        Whether no two modes answer in antiphase.
    """

    phi: Array
    noise: tuple[float, float]
    loss: tuple[float, float]
    stable: bool
    positive: bool


def ranges_of(curvatures: Array, decay: float, step: Step, lr: float, kappa: float) -> Ranges:
    """Return the kernel of a step at a learning rate, given the leading curvatures without weight decay, (k,).

    Those beyond are anywhere between none and the last of these: the extremes are looked for at 129 of them, and
    widened by the largest difference between neighbours.
    """
    flat = flat_curvatures(curvatures)
    everywhere = np.concatenate([curvatures, flat])
    kernel = step_kernel(everywhere + decay, step, lr)
    phi = kappa * np.real(kernel.stationary)
    own = np.diag(phi)[len(curvatures) :]
    noise, loss = (extremes(each * own) for each in (flat, flat + decay))
    k = len(curvatures)
    return Ranges(phi[:k, :k], noise, loss, bool(kernel.contracts), bool((phi > 0).all()))


def motion_of(curvatures: Array, sgd: Recipe, steps: int) -> Kernel | Course:
    """Return what the first steps of a recipe do to modes, a schedule's rates included."""
    if sgd.schedule is None:
        return step_kernel(curvatures, sgd.step, sgd.lr)
    sgd.schedule.refuse_beyond(steps)
    return course(curvatures, sgd, None, steps)


def flat_curvatures(curvatures: Array) -> Array:
    """Return curvatures, steepest first, that stand for all those beyond the leading ones."""
    return np.asarray(curvatures[-1] * np.geomspace(1.0, _FLATTEST, _POINTS))


def extremes(values: Array) -> tuple[float, float]:
    """Return the least and the largest value between neighbours too, at least 0."""
    wide = float(np.abs(np.diff(values)).max())
    return max(float(values.min()) - wide, 0.0), float(values.max()) + wide

"""What a law says at given steps, apart from the prediction that asks: outside the modes, of a curve, in words."""

from __future__ import annotations

import numpy as np

from .._arrays import Array, Ints
from .._validate.sizes import refuse_bytes
from ..kernels.constant import Kernel
from ..problem.start import Start
from ..recipe.averages import EMA
from .law import Law
from .reshuffling.followed import FollowedRun

__all__ = [
    "contracted",
    "kernel_relaxation",
    "left_outside",
    "mean_with_left",
    "outside",
    "refuse_curve",
    "relaxation_steps_of",
    "spelled",
]


def refuse_curve(steps: int) -> None:
    """Raise `InvalidInput` where a curve of so many steps does not fit into memory."""
    refuse_bytes(
        f"a learning curve of {steps:,} steps",
        48.0 * steps,
        "Ask for fewer steps, or for single ones with predict(...).after(steps).",
    )


def outside(law: Law, start: Start | None, steps: Ints) -> Array:
    """Loss outside the modes at `steps`: of thermal noise and of the start, which weight decay alone moves."""
    square, warm = 0.0 if start is None else float(np.sum(start.null**2)), law.loss_outside(steps)
    if not square:
        return warm
    return np.asarray(warm + 0.5 * law.sgd.weight_decay * square * left_outside(law, steps) ** 2)


def left_outside(law: Law, steps: Ints) -> Array:
    """What is left at `steps` of one that a start had outside the modes, (n,)."""
    return law.null_motion(int(steps.max())).drift(steps, observed=True)[..., 0]


def mean_with_left(law: Law, start: Start | None, steps: Ints, run: FollowedRun) -> Array | None:
    """E V in the modes of a `run` in epochs times `left_outside`, averaged over `steps`, (c, r).

    None where one of the two is the same at all of them.
    """
    if start is None or not start.null.any() or not law.sgd.weight_decay or steps.min() == steps.max():
        return None
    means = run.at_each(steps.tolist())
    left = left_outside(law, steps).tolist()
    return np.asarray(np.mean([part * means[t][1] for t, part in zip(steps.tolist(), left, strict=True)], axis=0))


def contracted(law: Law, adjoint: Array) -> Array:
    """Return kappa tr(adjoint C_kl) for all pairs of outputs, (c, c)."""
    return law.source.traces(adjoint) if law.rung != "hessian" else law.source.traces_of_the_loss(adjoint)


def relaxation_steps_of(law: Law) -> Array:
    """-1/log|m| of the slowest component of each mode, an EMA included, infinite where it does not shrink, (r,)."""
    steps, average = kernel_relaxation(law.kernel), law.averaging
    if not isinstance(average, EMA) or average.period == 1:  # else it is not among the kernel's components
        return steps
    return np.maximum(steps, -average.period / np.log(average.decay) if average.decay else 0.0)


def kernel_relaxation(kernel: Kernel) -> Array:
    """-1/log|m| of the slowest component of a kernel in each mode, from 1 - m, (r,)."""
    with np.errstate(divide="ignore"):
        shrink = -0.5 * np.log1p(np.abs(kernel.rate) ** 2 - 2 * kernel.rate.real)
        lost = kernel.rate.real if kernel.continuous else shrink
        steps = np.where(lost > 0, 1 / np.maximum(lost, 0.0), np.inf)
    return np.asarray(steps.reshape(kernel.components, kernel.modes).max(axis=0))


def spelled(steps: tuple[int, ...]) -> str:
    """Return steps as a title has them: one, or the first and the last of those averaged over."""
    return f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,}..{steps[-1]:,} (average of {len(steps)})"

r"""The dissipation kernel of an optimiser with a memory, from its step: momentum, with torch's first step.

One step is s' = B s + e g on s = (V, u), g = h V + n (`fluctua.recipe.step`, F11). Per mode that is the
2 x 2 matrix B + h e o^T, and its two eigenvalues are the kernel's components.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._arrays import Array, Bools
from ..recipe.step import Step
from .constant import Kernel, gradient_step
from .coupled import CoupledKernel

__all__ = ["step_kernel"]

_CRITICAL = 1e-8  # discriminant over (x_1 + x_2)^2 at which components are held apart
_NEAR = 1e-2  # the same, below which they are coupled instead


def step_kernel(curvatures: Array, step: Step, lr: float, *, diagonal: bool = False) -> Kernel:
    """Return the kernel of an optimiser that keeps one or two numbers per weight: the eigenvectors of B + h e o^T.

    With s = (V, u), p = B_01 and q = B_11, the rates x = 1 - m solve x^2 - (1 - q - e_0 h) x - h (e_0 (1 - q) + p e_1)
    = 0. Near critical damping they coincide, and the components become a chain: V, and what feeds it
    (`fluctua.kernels.coupled`).

    Parameters
    ----------
    curvatures : ndarray, (r,)
        Eigenvalues of H.
    step : Step
        The recipe's: what it does with a gradient.
    lr : float
        Learning rate, per step.
    diagonal : bool
        Do without the chain, as the law of an epoch does: within 1e-8 of critical damping (relative, of the
        discriminant) the two are then held apart, at a relative error of about 1e-8 in that mode: a heuristic.
    """
    h, (motion, push) = curvatures, step.at(lr)
    if step.slots == 1:
        return gradient_step(h, float(-push[0]))
    p, forgotten = motion[0, 1], step.later.lost(lr)[1, 1]
    slow, fast, root = _rates(forgotten - push[0] * h, -h * (push[0] * forgotten + p * push[1]), diagonal)
    near = np.zeros(len(h), bool) if diagonal else np.abs(root) ** 2 < _NEAR * (forgotten - push[0] * h) ** 2
    scale = np.where(near, 0.5 * (forgotten - push[0] * h), root)
    first, last = (_apart(x, push[0] * h, forgotten, p * push[1] * h) for x in (slow, fast))
    # component = share_v V + share_u u
    share_v = np.array([last, np.where(near, scale, -first)]) / scale
    share_u = np.array([p / scale, np.where(near, 0.0, -p / scale)])
    rate, drive = np.array([slow, fast]).ravel(), (push[1] * share_u + push[0] * share_v).ravel()
    plain = Kernel.alike(rate, drive, share_v.ravel(), components=2)
    if not step.begins_alike or near.any():
        entered, driven = _after_first_step(h, step, lr, share_v, share_u)
        plain = replace(plain, entered=entered, driven=driven)
    kernel = _coupled(plain, near, scale) if near.any() else plain
    position, momentum = step.later.shown(lr)
    if not momentum:
        return kernel
    fed = np.array([np.where(near, scale, -first), -last]) / p  # u in terms of the components
    return replace(kernel, observed=position * kernel.readout + momentum * fed)


def _apart(rate: Array, pushed: Array, forgotten: float, crossed: Array) -> Array:
    """X + e_0 h, which is -p e_1 h/(1 - q - x): in whichever way loses fewer digits."""
    plain, left = rate + pushed, forgotten - rate
    sure = np.abs(plain) * (forgotten + np.abs(rate)) >= np.abs(left) * (np.abs(rate) + np.abs(pushed))
    return np.asarray(np.where(sure, plain, -crossed / np.where(sure, 1.0, left)))


def _after_first_step(h: Array, step: Step, lr: float, share_v: Array, share_u: Array) -> tuple[Array, Array]:
    """Shares of V(0) and of n in the components after the optimiser's own first step."""
    motion, push = step.first.at(lr)
    entered = share_v * (motion[0, 0] + push[0] * h) + share_u * (motion[1, 0] + push[1] * h)
    return entered.ravel(), (share_u * push[1] + share_v * push[0]).ravel()


def _coupled(plain: Kernel, near: Bools, scale: Array) -> CoupledKernel:
    coupling = np.zeros((2, 2, len(near)), complex)
    coupling[1, 0] = np.where(near, scale, 0.0)
    shown = np.array([np.where(near, 0.0, 1.0), np.ones(len(near))])
    return CoupledKernel(**{**vars(plain), "readout": shown, "observed": shown, "coupling": coupling})


def _rates(total: Array, product: Array, diagonal: bool) -> tuple[Array, Array, Array]:
    """The roots of x^2 - total x + product, the slow one without cancellation, and their distance."""
    discriminant = total**2 - 4 * product
    held = np.abs(discriminant) < _CRITICAL * total**2 if diagonal else np.zeros(len(total), bool)
    root = np.sqrt(np.where(held, _CRITICAL * total**2, discriminant) + 0j)
    fast = 0.5 * (total + root)
    return np.where(held, total - fast, product / fast), fast, root

r"""The dissipation kernel of momentum, with torch.optim.SGD's dampening, Nesterov step and first step.

One step is u' = beta u + tau g and V' = V - eta (nu g + mu u') with g = h V + n; tau = 1 - dampening and
(nu, mu) = (0, 1), for Nesterov (1, beta); the first step sets u = g (theory.md section 4). Per mode that is a 2 x 2
matrix on (V, u), and its two eigenvalues are the kernel's components.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .kernels import Kernel

__all__ = ["effective_lr", "mean_limit", "momentum_step"]

Array = NDArray[np.float64]
_CRITICAL = 1e-8


def momentum_step(curvatures: Array, lr: float, momentum: float, dampening: float, nesterov: bool) -> Kernel:
    """Return the kernel of SGD with momentum.

    The rates x = 1 - m solve x^2 - (1 - beta + eta a h) x + eta h (a - beta nu) = 0, a = nu + mu tau. At critical
    damping they coincide and the components with them; within 1e-8 of it (relative, of the discriminant) the two are
    held apart, at a relative error of about 1e-8 in that mode: a heuristic.
    """
    beta, tau, h = momentum, 1 - dampening, curvatures
    nu, mu = (1.0, beta) if nesterov else (0.0, 1.0)
    a, gain = nu + mu * tau, lr * mu * beta
    total, product = 1 - beta + lr * a * h, lr * h * (a - beta * nu)
    discriminant = total**2 - 4 * product
    critical = np.abs(discriminant) < _CRITICAL * total**2
    root = np.sqrt(np.where(critical, _CRITICAL * total**2, discriminant) + 0j)
    fast = 0.5 * (total + root)
    slow = np.where(critical, total - fast, product / fast)  # no cancellation in flat modes
    share_v = np.array([fast - lr * a * h, lr * a * h - slow]) / root
    share_u = np.array([-gain / root, gain / root])  # component = share_v V + share_u u
    opening = None
    if dampening:
        straight = lr * (nu + mu)  # the first step is not dampened
        opening = (share_v * (1 - straight * h) + share_u * h).ravel(), (share_u - straight * share_v).ravel()
    return Kernel(
        rate=np.array([slow, fast]).ravel(), lr=lr, components=2, drive=(tau * share_u - lr * a * share_v).ravel(),
        entry=share_v.ravel(), opening=opening,
    )  # fmt: skip


def mean_limit(curvature: float, momentum: float, dampening: float, nesterov: bool) -> float:
    """Return the learning rate at which E V stops to decay in a mode: where an eigenvalue passes -1."""
    nu, mu = (1.0, momentum) if nesterov else (0.0, 1.0)
    return 2 * (1 + momentum) / (curvature * (nu + mu * (1 - dampening) + momentum * nu))


def effective_lr(lr: float, momentum: float, dampening: float) -> float:
    """Return eta tau/(1 - beta), the learning rate of plain SGD with the same drift in flat modes."""
    return lr * (1 - dampening) / (1 - momentum) if momentum else lr

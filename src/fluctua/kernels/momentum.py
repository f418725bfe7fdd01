r"""The dissipation kernel of momentum, with torch.optim.SGD's dampening, Nesterov step and first step.

One step is u' = beta u + tau g and V' = V - eta (nu g + mu u') with g = h V + n; tau = 1 - dampening and
(nu, mu) = (0, 1), for Nesterov (1, beta); the first step sets u = g (theory.md section 4). Per mode that is a 2 x 2
matrix on (V, u), and its two eigenvalues are the kernel's components.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .constant import Kernel
from .coupled import CoupledKernel

__all__ = ["effective_lr", "mean_limit", "momentum_step"]

Array = NDArray[np.float64]
_CRITICAL = 1e-8  # discriminant over (x_1 + x_2)^2 at which components are held apart
_NEAR = 1e-2  # the same, below which they are coupled instead


def momentum_step(
    curvatures: Array, lr: float, momentum: float, dampening: float, nesterov: bool, *, diagonal: bool = False
) -> Kernel:
    """Return the kernel of SGD with momentum.

    The rates x = 1 - m solve x^2 - (1 - beta + eta a h) x + eta h (a - beta nu) = 0, a = nu + mu tau. Near critical
    damping they coincide, and the components become a chain: V, and what feeds it (`fluctua.kernels.coupled`).

    Parameters
    ----------
    curvatures : ndarray, (r,)
    lr, momentum, dampening : float
    nesterov : bool
    diagonal : bool
        Do without the chain, as the law of an epoch does: within 1e-8 of critical damping (relative, of the
        discriminant) the two are then held apart, at a relative error of about 1e-8 in that mode: a heuristic.
    """
    beta, tau, h = momentum, 1 - dampening, curvatures
    nu, mu = (1.0, beta) if nesterov else (0.0, 1.0)
    a, gain, straight = nu + mu * tau, lr * mu * beta, lr * (nu + mu)  # the first step is not dampened
    total, product = 1 - beta + lr * a * h, lr * h * (a - beta * nu)
    slow, fast, root = _rates(total, product, diagonal)
    near = np.zeros(len(h), bool) if diagonal else np.abs(root) ** 2 < _NEAR * total**2
    scale, last = np.where(near, 0.5 * total, root), fast - lr * a * h
    share_v = np.array([last, np.where(near, scale, lr * a * h - slow)]) / scale  # component = share_v V + share_u u
    share_u = np.array([-gain / scale, np.where(near, 0.0, gain / scale)])
    opening = None
    if dampening or near.any():
        opening = (share_v * (1 - straight * h) + share_u * h).ravel(), (share_u - straight * share_v).ravel()
    plain = Kernel(
        rate=np.array([slow, fast]).ravel(), lr=lr, components=2, drive=(tau * share_u - lr * a * share_v).ravel(),
        entry=share_v.ravel(), opening=opening,
    )  # fmt: skip
    if not near.any():
        return plain
    coupling = np.zeros((2, 2, len(h)), complex)
    coupling[1, 0] = np.where(near, scale, 0.0)
    shown = np.array([np.where(near, 0.0, 1.0), np.ones(len(h))]).ravel()
    return CoupledKernel(**{**vars(plain), "weights": shown, "coupling": coupling})


def _rates(total: Array, product: Array, diagonal: bool) -> tuple[Array, Array, Array]:
    """The roots of x^2 - total x + product, the slow one without cancellation, and their distance."""
    discriminant = total**2 - 4 * product
    held = np.abs(discriminant) < _CRITICAL * total**2 if diagonal else np.zeros(len(total), bool)
    root = np.sqrt(np.where(held, _CRITICAL * total**2, discriminant) + 0j)
    fast = 0.5 * (total + root)
    return np.where(held, total - fast, product / fast), fast, root


def mean_limit(curvature: float, momentum: float, dampening: float, nesterov: bool) -> float:
    """Return the learning rate at which E V stops to decay in a mode: where an eigenvalue passes -1."""
    nu, mu = (1.0, momentum) if nesterov else (0.0, 1.0)
    return 2 * (1 + momentum) / (curvature * (nu + mu * (1 - dampening) + momentum * nu))


def effective_lr(lr: float, momentum: float, dampening: float) -> float:
    """Return eta tau/(1 - beta), the learning rate of plain SGD with the same drift in flat modes."""
    return lr * (1 - dampening) / (1 - momentum) if momentum else lr

r"""The excess loss of a two-layer net beyond 1/2 tr(H S): the mean is displaced, and the product is bilinear (F107).

W = W0 + mu + v with W0 on the manifold: the product is off by Jac mu + mu2 mu1 + E v2 v1 in the mean, v is felt with
the layers at their own mean, and v2 v1 fluctuates. The third cumulant, E <Jac v, v2 v1>, is left out.
"""

from __future__ import annotations

import numpy as np

from ..._arrays import Array
from .frame import Frame

__all__ = ["displacement", "expected_loss", "quadratic_loss"]


def quadratic_loss(frame: Frame, covariance: Array) -> float:
    """Return 1/2 tr(H S)."""
    return 0.5 * float(np.vdot(frame.hessian, covariance))


def displacement(frame: Frame, push: Array) -> Array:
    """Return the mean at rest under a push, the second order of the mean gradient: -H^+ times it, (n,)."""
    return np.asarray(-frame.modes @ ((frame.modes.T @ push) / frame.curvatures))


def expected_loss(frame: Frame, covariance: Array, mean: Array) -> float:
    """Return E L(W) - L* of a law of the weights about `frame` + `mean`, (n,), with S, (n, n)."""
    first, second = (mean[: frame.split].reshape(frame.first.shape), mean[frame.split :].reshape(frame.second.shape))
    own = Frame(frame.first + first, frame.second + second, frame.inputs)
    _, mixed, _ = frame.blocks(covariance)
    off = own.second @ own.first - frame.second @ frame.first + np.einsum("hrch->cr", mixed)
    displaced = float(np.sum(off**2 * frame.inputs))
    return quadratic_loss(own, covariance) + 0.5 * (displaced + _bilinear(frame, covariance))


def _bilinear(frame: Frame, covariance: Array) -> float:
    """The variance of v2 v1 in units of the loss, of Gaussian v."""
    one, mixed, two = frame.blocks(covariance)
    upper = np.einsum("hrkr,r->hk", one, frame.inputs)
    lower = np.einsum("chck->hk", two)
    return float(np.vdot(upper, lower) + np.einsum("krch,hrck,r->", mixed, mixed, frame.inputs, optimize=True))

r"""The kernel of an average, F13: one more component beside the optimiser's own."""

from __future__ import annotations

import numpy as np

from .._arrays import Array
from ..errors import InvalidInput
from ..recipe.averages import EMA
from .constant import Kernel
from .coupled import CoupledKernel

__all__ = ["beside", "phi_of_average"]

_NEAR, _NEAR_CHAIN = 0.1, 0.5  # relative distance of rates, below which components, or a chain of them, are coupled


def phi_of_average(kernel: Kernel, average: EMA) -> Array:
    r"""Return the stationary second moment of an average per unit of the source of the weights, (r, r).

    Updated after every k-th step, a' = (1 - y) a + y V', it meets s after F = T^k. With S^s = E[s s^T], X = E[s a] and
    Y = o F X, o picking V, one update leaves unchanged (F13)

        (y + (1 - y)(1 - F)) X = y E[s V],    (2 - y) A = (1 - y)(Y + Y^T) + y S.

    It needs no average among the components, and so no distance between its rate and theirs.
    """
    _refuse_flow(kernel)
    if average.period == 1:
        return beside(kernel, average).phi(observed=True)
    k, y, one = kernel.components, 1 - average.decay, np.eye(kernel.components)[:, :, None]
    moments = kernel.settled(np.ones((kernel.modes,) * 2)).reshape(k, kernel.modes, k, kernel.modes)
    gone = _gone(kernel, average.period)
    left, seen = y * one + (1 - y) * gone, np.einsum("ipjq,jq->piq", moments, kernel.readout)
    crossed = y * np.linalg.solve(left.transpose(2, 0, 1), seen)
    ahead = np.einsum("ip,ijp->jp", kernel.readout, one - gone)
    met, now = (np.einsum("jp,pjq->pq", row, part).real for row, part in ((ahead, crossed), (kernel.readout, seen)))
    return np.asarray(((1 - y) * (met + met.T) + y * now) / (2 - y))


def _gone(kernel: Kernel, steps: int) -> Array:
    """1 - T^n, (k, k, r), from the rates."""
    if isinstance(kernel, CoupledKernel):
        return kernel._gone(steps)
    alone = kernel._lost_alone(steps).reshape(kernel.components, kernel.modes)
    return np.asarray(np.eye(kernel.components)[:, :, None] * alone)


def _refuse_flow(kernel: Kernel) -> None:
    if kernel.continuous:
        raise InvalidInput("an average over steps is not defined in continuous time: use theory='exact' or 'discrete'.")


def beside(kernel: Kernel, average: EMA) -> Kernel:
    r"""Return the kernel that follows V and its average, updated after every step, together.

    With y = 1 - decay, the average w' = (1 - y) w + y V' of V = sum v s, s' = T s + f n, is sum g s + a, where
    a' = (1 - y) a + c s + (y v - g) f n and c = (1 - y) g + (y v - g) T. For components of a rate x far from y,
    g = y (1 - x) v/(y - x) makes c zero; where x is near y, g = 0 and c couples the average to them
    (`fluctua.kernels.coupled`).

    Raises
    ------
    InvalidInput
        For a flow in continuous time, which has no steps to average over.
    """
    _refuse_flow(kernel)
    shape = kernel.components, kernel.modes
    v, f = kernel.readout, kernel.drive.reshape(shape)
    y, links = 1 - average.decay, kernel.coupling if isinstance(kernel, CoupledKernel) else None
    shares, coupled = _shares(kernel.rate.reshape(shape), v, y, links)
    # the first update copies W: a(1) = V(1) - sum g s(1)
    entered, driven = (
        np.vstack([part, ((v - shares) * part).sum(axis=0)]).ravel()
        for part in (kernel.entered.reshape(shape), kernel.driven.reshape(shape))
    )
    none, one = np.zeros(shape[1]), np.ones(shape[1])
    whole = Kernel(
        rate=np.concatenate([kernel.rate, np.full(shape[1], y)]),
        drive=np.vstack([f, ((y * v - shares) * f).sum(axis=0)]).ravel(),
        entry=np.concatenate([kernel.entry, none]),
        entered=entered,
        driven=driven,
        readout=np.vstack([kernel.readout, none]),
        observed=np.vstack([shares, one]),
    )
    if links is None and not coupled.any():
        return whole
    coupling = np.pad(np.zeros((*shape[:1], *shape)) if links is None else links, ((0, 1), (0, 1), (0, 0)))
    coupling = coupling.astype(np.result_type(coupling, coupled))
    coupling[-1, :-1] = coupled
    return CoupledKernel(**vars(whole), coupling=coupling)


def _shares(x: Array, v: Array, y: float, links: Array | None) -> tuple[Array, Array]:
    """The vectors g and c of `beside`, (k, r): one of them is zero in each component."""
    near = np.abs(y - x) < _NEAR * y
    if links is not None:  # a chain is near as a whole
        near |= (np.abs(y - x) < _NEAR_CHAIN * y).any(axis=0) & links.any(axis=(0, 1))
    g, c = np.zeros(x.shape, np.result_type(x, v)), np.zeros(x.shape, np.result_type(x, v))
    for i in reversed(range(len(x))):
        fed = y * v[i] * (1 - x[i])
        if links is not None:
            fed = fed + ((y * v - g)[i + 1 :] * links[i + 1 :, i]).sum(axis=0)
        c[i], g[i] = np.where(near[i], fed, 0.0), np.where(near[i], 0.0, fed / np.where(near[i], 1.0, y - x[i]))
    return g, c

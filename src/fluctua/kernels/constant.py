r"""Dissipation kernels: what the optimiser does to a pair of modes. O(r^2) formulas and nothing else.

An optimiser is linear in each mode, so the mode's weight is a sum of components that each decay geometrically, one
for plain SGD and two with momentum: s' = m s + f n, V = sum s, with n the noise of the batch gradient. For components
p and q of any two modes every law then reads (F9, F11)

    S(t+1) = m_p m_q S(t) + i_pq kappa G(t),   i_pq = f_p f_q,

with G the fluctuation source C + K[S] + X(E V). A kernel is the decays m, the drives f, and how a start V(0) is split
among the components. Everything else follows: the stationary kernel Phi = sum i / (1 - m m), and the finite-time sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .series import alternating, lost
from .state import Components

__all__ = ["Kernel", "gradient_step", "langevin_flow"]

Array = NDArray[np.float64]
Vector = NDArray[Any]
_ALL = slice(None)
_SMALL = 1e-2  # n times a gap below which a series is used
_BLOCK_ELEMENTS = 2**16  # rows handled at once in `advance`: half a megabyte an array, so that its passes stay in cache


@dataclass(frozen=True)
class Kernel(Components):
    """One optimiser at one setting, seen by the modes.

    Vectors of k r elements hold all modes at the first component, then all at the second, and so on. With one component
    a state is S itself.

    Attributes
    ----------
    rate : ndarray, (k r,)
        1 - m; complex where momentum makes modes oscillate. In continuous time -log m. eta h_p for plain SGD.
    lr : float
        eta.
    continuous : bool
        Whether the step is a stretch of continuous time, of length eta, instead of one discrete step.
    components : int
        k.
    drive : ndarray, (k r,), optional
        f; by default eta.
    entry : ndarray, (k r,), optional
        The components' shares of V(0), 1 in sum over a mode; by default 1.
    opening : tuple of two ndarray, (k r,), optional
        Shares of V(0) and of n after the first step, where that differs from the others.
    observed : ndarray, (k r,), optional
        Weights of the components in an average of the weights that the optimiser keeps beside them; by default what
        is observed is V.
    weights : ndarray, (k r,), optional
        Weights of the components in V; by default 1.
    whole : bool
        Whether what is observed is the state itself.
    """

    rate: Vector
    lr: float
    continuous: bool = False
    components: int = 1
    drive: Vector | None = None
    entry: Vector | None = None
    opening: tuple[Vector, Vector] | None = None
    observed: Vector | None = None
    weights: Vector | None = None
    whole: bool = False

    @property
    def decay(self) -> Vector:
        """m, the factor by which a component shrinks per step, (k r,)."""
        return np.exp(-self.rate) if self.continuous else 1 - self.rate

    @property
    def modes(self) -> int:
        """Number of modes, r."""
        return len(self.rate) // self.components

    @property
    def contracts(self) -> bool:
        """Whether E V decays in every mode: |m| < 1, told from the rates, where 1 - rate may round to 1."""
        rate = self.rate
        return bool(np.all(rate.real > 0 if self.continuous else 2 * rate.real > np.abs(rate) ** 2))

    def drift(self, steps: Any, *, observed: bool = False) -> Array:
        """Factor of E V in each mode after each number of `steps`, (..., r)."""
        t = np.asarray(steps)[..., None]
        entry, _ = self.opened
        later = entry * self.decay ** np.maximum(t - 1, 0) * self._readout(observed).ravel()
        mean = later.reshape(*t.shape[:-1], self.components, self.modes).sum(axis=-2).real
        return np.asarray(np.where(t == 0, 1.0, mean))

    def begin(self, covariance: Array, source: Array) -> Array:
        """Return the state after one step from `covariance`, (r, r), under `source` = kappa G."""
        (entry, drive), tiles = self.opened, (self.components,) * 2
        injection = self.injection() if drive is None else np.multiply.outer(drive, drive)
        shares = np.multiply.outer(entry, entry)
        return np.asarray(shares * np.tile(covariance, tiles) + injection * np.tile(source, tiles))

    @property
    def opened(self) -> tuple[Vector, Vector | None]:
        """Shares of V(0) and of n in the components after the first step; None stands for eta."""
        if self.opening is not None:
            return self.opening
        return (self.decay if self.entry is None else self.decay * self.entry), self.drive

    def _readout(self, observed: bool) -> Vector:
        """Weights of the components in V, or in what is observed, (k, r)."""
        given = self.observed if observed and self.observed is not None else self.weights
        return np.ones((self.components, self.modes)) if given is None else self._parted(given)

    def _parted(self, values: Vector) -> Vector:
        """Values of all components, (k r,) to (k, r)."""
        return values.reshape(self.components, self.modes)

    def fold(self, state: Array, *, observed: bool = False) -> Array:
        """S of a state, (r, r), or the second moment of what is observed."""
        return state if observed and self.whole else super().fold(state, observed=observed)

    def gap(self, rows: slice = _ALL) -> Array:
        """1 - m_p m_q for the given rows, from the rates: the decays would lose the flat modes to rounding."""
        p, q = self.rate[rows, None], self.rate
        return np.asarray(-np.expm1(-(p + q)) if self.continuous else p + q - p * q)

    def injection(self, rows: slice = _ALL) -> Array | float:
        """i_pq, the covariance that one step adds per unit of kappa G."""
        if self.drive is not None:
            return np.asarray(np.multiply.outer(self.drive[rows], self.drive))
        if not self.continuous:
            return self.lr**2
        return np.asarray(self.lr**2 * self.gap(rows) / (self.rate[rows, None] + self.rate))

    @property
    def stationary(self) -> Array:
        """Phi of S = Phi o kappa (C + K[S]), the dissipation kernel of F2, (r, r)."""
        return self.phi()

    def phi(self, *, observed: bool = False) -> Array:
        """Stationary second moment per unit of kappa G: of V, or of what is observed, (r, r)."""
        out, weights = np.zeros((self.modes, self.modes)), self._readout(observed)
        for k, start in enumerate(range(0, len(self.rate), self.modes)):
            rows = slice(start, start + self.modes)
            part = (self.injection(rows) / self.gap(rows)).reshape(self.modes, self.components, self.modes)
            out += (weights[k][:, None] * np.einsum("pjq,jq->pq", part, weights)).real
        return out

    @property
    def breaks(self) -> list[int]:
        """Steps at which the coefficients jump: none."""
        return []

    def unsettled(self, origin: int, end: int, rtol: float) -> float:
        """Step until which an alternating part of the source, begun at `origin`, is above `rtol`."""
        del end
        alternating = self.decay[self.decay.real < 0]
        if not len(alternating):
            return 0.0
        slowest = float(np.abs(alternating).max())
        return float("inf") if slowest >= 1 else origin + log(rtol) / log(slowest)

    def follow(self, state: Array, sources: Iterable[Array], start: int) -> Iterator[Array]:
        """Yield what is observed of S_pp, (r,), step after step; `sources` are diagonals of kappa G, (r,) each."""
        del start  # every step is alike
        decay = self.decay.reshape(self.components, self.modes)
        shrink, moments = decay[:, None] * decay, self.within(state)
        injection = self.within(np.broadcast_to(self.injection(), state.shape))
        for source in sources:
            moments = shrink * moments + injection * source
            yield self.gathered(moments, observed=True)

    def settled(self, source: Array) -> Vector:
        """Stationary state, (k r, k r), under `source` = kappa G, (r, r)."""
        return np.asarray(self.injection() / self.gap() * np.tile(source, (self.components,) * 2))

    def lagged(self, state: Array, lag: int) -> Array:
        """E[V(t)^T V(t + lag)] of a state at t, (r, r): the later factor has decayed (F20, F32)."""
        return self._paired(state, self._ahead(lag))

    def faded(self, state: Array, lag: int) -> Array:
        """E[V(t)^T (V(t) - V(t + lag))], (r, r), without the cancellation that flat modes would suffer."""
        return self._paired(state, self._fading(lag))

    def stirred(self, state: Array, lag: int) -> Array:
        """The antisymmetric part of `lagged`, (r, r), from what has faded: exact also where it is small."""
        blocks, lost, now = state.reshape((self.components, self.modes) * 2), self._fading(lag), self._readout(False)
        apart = np.multiply.outer(lost, now) - np.multiply.outer(now, lost)
        return np.asarray(0.5 * np.einsum("ipjq,ipjq->pq", blocks, apart).real)

    def _paired(self, state: Array, later: Vector) -> Array:
        blocks, now = state.reshape((self.components, self.modes) * 2), self._readout(False)
        return np.asarray(np.einsum("ip,ipjq,jq->pq", now, blocks, later, optimize=True).real)

    def response(self, lag: int) -> Array:
        """Shift of E V `lag` steps after a unit kick of V that spares the momentum, (r,)."""
        entry = 1.0 if self.entry is None else self._parted(self.entry)
        return np.asarray((entry * self._ahead(lag)).sum(axis=0).real)

    def step_response(self, lag: int) -> Array:
        """Shift of E V after `lag` steps under a unit force, a constant -1 in the gradient, (r,)."""
        return np.asarray(-(self._fading(lag) * self._built()).sum(axis=0).real)

    def _ahead(self, lag: int) -> Vector:
        """Weights of the components in the mean of V `lag` steps later, (k, r)."""
        return self._readout(False) * self._parted(self.decay**lag)

    def _fading(self, lag: int) -> Vector:
        """Weights of the components in V less those, (k, r)."""
        return self._readout(False) * self._parted(self._lost_alone(lag))

    def _built(self) -> Vector:
        """What a constant unit of noise builds up in the components, (k, r)."""
        return self._parted(self._push / self.rate)

    @property
    def _push(self) -> Vector:
        """f, (k r,), with its sign, which squares do not show."""
        return np.full(len(self.rate), -self.lr) if self.drive is None else self.drive

    def _lost_alone(self, steps: int) -> Vector:
        """1 - m^n, (k r,), from the rates."""
        return np.asarray(-np.expm1(-steps * self.rate)) if self.continuous else lost(self.rate, steps)

    def advance(self, state: Array, sources: Sequence[Array], weights: Array, start: int, steps: int) -> Array:
        """Return the state after `steps` steps under a source that moves linearly in time.

        Parameters
        ----------
        state : ndarray, (k r, k r)
            At the beginning.
        sources : sequence of ndarray, (r, r)
            kappa G at some times.
        weights : ndarray, (2, len(sources))
            The source at the beginning and at the end, as sums of `sources`.
        start, steps : int
            When it begins, which does not matter here, and how long it takes.
        """
        del start
        out = np.empty_like(state)
        power = self.decay**steps
        height = min(max(1, _BLOCK_ELEMENTS // len(state)), self.modes)
        starts = [c + p for c in range(0, len(state), self.modes) for p in range(0, self.modes, height)]
        for top, end in zip(starts, [*starts[1:], len(state)], strict=True):
            rows, modes = slice(top, end), slice(top % self.modes, (top % self.modes) + end - top)
            first, change = (
                self._across(sum(w * g[modes] for w, g in zip(row, sources, strict=True) if w != 0.0))
                for row in (weights[0], weights[1] - weights[0])
            )
            level, slope = self.sums(steps, rows)
            out[rows] = self.injection(rows) * (level * first + slope * change)
            out[rows] += power[rows, None] * power * state[rows]
        return out

    def sums(self, steps: int, rows: slice = _ALL) -> tuple[Array, Array]:
        r"""Weights of a source that moves linearly over an interval of n steps, from G_0 to G_n.

        Returns a = sum_j x^(n-1-j) and b = sum_j x^(n-1-j) j/n over j = 0..n-1, x = m_p m_q, so that the interval
        adds i o kappa (a G_0 + b (G_n - G_0)). Closed forms in the gap g = 1 - x: a = (1 - x^n)/g and
        b = (n - a)/(n g), by series where n |g| is small (the differences would cancel); g < 0 where a mode grows.
        """
        n, g = steps, self.gap(rows)
        if n == 1:
            return np.ones_like(g), np.zeros_like(g)
        small = np.abs(n * g) < _SMALL
        y = g[small]
        g[small] = 1.0
        a = self._lost(n, rows) / g
        b = (n - a) / (n * g)
        a[small], b[small] = n * alternating(n, y, 1), (n - 1) / 2 * alternating(n, y, 2)
        return a, b

    def _lost(self, steps: int, rows: slice) -> Array:
        """1 - (m_p m_q)^n for the given rows, from the rates: the rounded m would cost a flat mode eps/gap of it."""
        alone = self._lost_alone(steps)
        pairs = alone[rows, None] + alone - alone[rows, None] * alone
        monotone, power = self.rate.real < 1, self.decay**steps
        if self.continuous or monotone.all():
            return np.asarray(pairs)
        return np.asarray(np.where(monotone[rows, None] & monotone, pairs, 1 - power[rows, None] * power))


def gradient_step(curvatures: Array, lr: float) -> Kernel:
    """Plain SGD in discrete time: m = 1 - eta h, i = eta^2, so Phi = eta/(h_p + h_q - eta h_p h_q) (F2)."""
    return Kernel(lr * curvatures, lr)


def langevin_flow(curvatures: Array, lr: float) -> Kernel:
    """Continuous time, seen once per step: m = exp(-eta h), so Phi = eta/(h_p + h_q)."""
    return Kernel(lr * curvatures, lr, continuous=True)

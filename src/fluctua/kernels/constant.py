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
from typing import Any, ClassVar, Self

import numpy as np

from .._arrays import AnyArray, Array, Bools
from .series import alternating, falling, lost
from .two_times import TwoTimes

__all__ = ["Kernel", "gradient_step", "one_component"]

Vector = AnyArray
_ALL = slice(None)
_SMALL, _SMALL_HIGHER = 1e-2, 5e-2  # n times a gap below which a series is used; degrees 2 and 3 cancel earlier
_BLOCK_ELEMENTS = 2**16  # rows handled at once in `advance`: half a megabyte an array, so that its passes stay in cache


@dataclass(frozen=True)
class Kernel(TwoTimes):
    """One optimiser at one setting, seen by the modes, in steps that are all alike but perhaps the first.

    Vectors of k r elements hold all modes at the first component, then all at the second, and so on. With one component
    a state is S itself.

    Attributes
    ----------
    rate : ndarray, (k r,)
        1 - m; complex where momentum makes modes oscillate. eta h_p for plain SGD.
    drive : ndarray, (k r,)
        f; -eta for plain SGD.
    entry : ndarray, (k r,)
        The components' shares of V(0), 1 in sum over a mode.
    entered, driven : ndarray, (k r,)
        The components' shares of V(0) and of n after the first step, which may differ from the others.
    readout : ndarray, (k, r)
        V in terms of the components: the factors of their sum.
    observed : ndarray, (k, r)
        The same of what is looked at: V, or an average of the weights that the optimiser keeps beside them.
    """

    continuous: ClassVar[bool] = False
    """Whether a step is a stretch of continuous time, of length eta, instead of one discrete step."""

    rate: Vector
    drive: Vector
    entry: Vector
    entered: Vector
    driven: Vector
    readout: Vector
    observed: Vector

    @classmethod
    def alike(cls, rate: Vector, drive: Vector, entry: Vector, components: int = 1) -> Self:
        """Return the kernel whose first step is like all others, and whose components have the sum V."""
        ones = np.ones((components, len(rate) // components))
        entered = entry * (np.exp(-rate) if cls.continuous else 1 - rate)
        return cls(rate, drive, entry, entered, drive, ones, ones)

    @property
    def decay(self) -> Vector:
        """m, the factor by which a component shrinks per step, (k r,)."""
        return 1 - self.rate

    @property
    def contracts(self) -> bool:
        """Whether E V decays in every mode: |m| < 1, told from the rates, where 1 - rate may round to 1."""
        return bool(np.all(2 * self.rate.real > np.abs(self.rate) ** 2))

    def drift(self, steps: Any, *, observed: bool = False) -> Array:
        """Factor of E V in each mode after each number of `steps`, (..., r)."""
        t = np.asarray(steps)[..., None]
        later = self.entered * self.decay ** np.maximum(t - 1, 0) * self._readout(observed).ravel()
        mean = later.reshape(*t.shape[:-1], self.components, self.modes).sum(axis=-2)
        return np.asarray(np.where(t == 0, 1.0, mean if self.components == 1 else mean.real))

    def begin(self, covariance: Array, source: Array) -> Array:
        """Return the state after one step from `covariance`, (r, r), under `source` = kappa G."""
        tiles, shares = (self.components,) * 2, np.multiply.outer(self.entered, self.entered)
        return np.asarray(shares * np.tile(covariance, tiles) + self._first_injection * np.tile(source, tiles))

    @property
    def _first_injection(self) -> Array:
        """The covariance that the first step adds per unit of kappa G."""
        return np.asarray(np.multiply.outer(self.driven, self.driven))

    def _readout(self, observed: bool) -> Vector:
        """V, or what is observed, in terms of the components, (k, r)."""
        return self.observed if observed else self.readout

    @property
    def components(self) -> int:
        """Number of components, k."""
        return len(self.readout)

    @property
    def modes(self) -> int:
        """Number of modes, r."""
        return int(self.readout.shape[1])

    def gap(self, rows: slice = _ALL, columns: slice = _ALL) -> Array:
        """1 - m_p m_q for the given rows, from the rates: the decays would lose the flat modes to rounding."""
        p, q = self.rate[rows, None], self.rate[columns]
        return np.asarray(p + q - p * q)

    def injection(self, rows: slice = _ALL, columns: slice = _ALL) -> Array:
        """i_pq, the covariance that one step adds per unit of kappa G."""
        return np.asarray(np.multiply.outer(self.drive[rows], self.drive[columns]))

    @property
    def stationary(self) -> Array:
        """Phi of S = Phi o kappa (C + K[S]), the dissipation kernel of F2, (r, r)."""
        return self.phi()

    @property
    def stationary_variances(self) -> Array:
        """The diagonal of `stationary`, (r,), in the time that it takes."""
        rate, drive = (x.reshape(self.readout.shape) for x in (self.rate, self.drive * self.readout.ravel()))
        return np.asarray(
            (drive[:, None] * drive / (rate[:, None] + rate - rate[:, None] * rate)).sum(axis=(0, 1)).real
        )

    def phi(self, *, observed: bool = False) -> Array:
        """Stationary second moment per unit of kappa G: of V, or of what is observed, (r, r)."""
        out = np.empty((self.modes, self.modes))
        for rows, columns, values in self._bands(observed):
            out[rows, columns], out[columns, rows] = values, values.T
        return out

    def weighed(self, weights: Array) -> float:
        """The sum over pairs of modes of `stationary` times a symmetric matrix of weights, (r, r)."""
        total = 0.0
        for rows, columns, values in self._bands(False):
            parts = values * weights[rows, columns]
            total += float(2 * parts.sum() - parts[:, : len(parts)].sum())
        return total

    def _bands(self, observed: bool) -> Iterator[tuple[slice, slice, Array]]:
        """Yield some rows of Phi from the diagonal on, a cacheful at a time."""
        r, readout, height = self.modes, self._readout(observed), max(1, _BLOCK_ELEMENTS // self.modes)
        for top in range(0, r, height):
            rows, columns, total = slice(top, min(top + height, r)), slice(top, r), np.zeros(())
            for j, k in np.ndindex(readout.shape[:1] * 2):
                ends = slice(j * r + top, j * r + rows.stop), slice(k * r + top, (k + 1) * r)
                shown = readout[j, rows, None] * readout[k, columns]
                total = total + _real_ratio(self.injection(*ends) * shown, self.gap(*ends))
            yield rows, columns, total

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

    def _lost_alone(self, steps: int) -> Vector:
        """1 - m^n, (k r,), from the rates."""
        return lost(self.rate, steps)

    def advance(self, state: Array, sources: Sequence[Array], shares: Array, start: int, steps: int) -> Array:
        """Return the state after `steps` steps under a source that is a polynomial in time.

        Parameters
        ----------
        state : ndarray, (k r, k r)
            At the beginning; symmetric, unless it is one step.
        sources : sequence of ndarray, (r, r)
            kappa G at some times; as symmetric.
        shares : ndarray, (d + 1, len(sources))
            The source at d + 1 evenly spaced times from the beginning to the end, as sums of `sources`; d at most 3,
            and at most `steps`.
        start, steps : int
            When it begins, which does not matter here, and how long it takes.
        """
        del start
        out, coefficients = np.empty_like(state), falling(shares, steps)
        power = self.decay**steps
        height = min(max(1, _BLOCK_ELEMENTS // len(state)), self.modes)
        starts = [c + p for c in range(0, len(state), self.modes) for p in range(0, self.modes, height)]
        for top, end in zip(starts, [*starts[1:], len(state)], strict=True):
            rows, modes = slice(top, end), slice(top % self.modes, (top % self.modes) + end - top)
            columns = _ALL if steps == 1 else slice(top, None)
            parts = (
                self._across(sum(w * g[modes] for w, g in zip(row, sources, strict=True) if w != 0.0), columns)
                for row in coefficients
            )
            weights = self.moments(steps, len(coefficients), rows, columns)
            added = sum(weight * part for weight, part in zip(weights, parts, strict=True))
            out[rows, columns] = self.injection(rows, columns) * added
            out[rows, columns] += power[rows, None] * power[columns] * state[rows, columns]
            if steps > 1:
                out[columns, rows] = out[rows, columns].T
        return out

    def sums(self, steps: int, rows: slice = _ALL, columns: slice = _ALL) -> tuple[Array, Array]:
        r"""Weights of a source that moves linearly over an interval of n steps, from G_0 to G_n.

        Returns a = sum_j x^(n-1-j) and b = sum_j x^(n-1-j) j/n over j = 0..n-1, x = m_p m_q, so that the interval
        adds i o kappa (a G_0 + b (G_n - G_0)). Closed forms in the gap g = 1 - x: a = (1 - x^n)/g and
        b = (n - a)/(n g), by series where n |g| is small (the differences would cancel); g < 0 where a mode grows.
        """
        a, g, small, y = self._summed(n := steps, rows, columns)
        b = (n - a) / (n * g)
        b[small] = (n - 1) / 2 * alternating(n, y, 2)
        return a, b

    def _summed(self, steps: int, rows: slice, columns: slice) -> tuple[Array, Array, Bools, Array]:
        """The first of `sums`; the gap, which is 1 where it is small; where that is, and what the gap is there."""
        g = self.gap(rows, columns)
        small = np.abs(steps * g) < _SMALL
        y = g[small]
        g[small] = 1.0
        a = np.ones_like(g) if steps == 1 else self._lost(steps, rows, columns) / g
        a[small] = steps * alternating(steps, y, 1)
        return a, g, small, y

    def moments(self, steps: int, count: int, rows: slice = _ALL, columns: slice = _ALL) -> Iterator[Array]:
        r"""Yield sum_j x^(n-1-j) C(j, k)/C(n, k) for k = 0..count - 1: k = 0, 1 are `sums`.

        With M_k: g M_k = 1 - k/(n - k + 1) M_(k-1), by series where n |g| is small.
        """
        if count == 1:  # of a constant source
            yield self._summed(steps, rows, columns)[0]
            return
        yield from (found := self.sums(steps, rows, columns))
        if count == 2:
            return
        n, g, last = steps, self.gap(rows, columns), found[1]
        small = np.abs(n * g) < _SMALL_HIGHER
        y = g[small]
        g[small] = 1.0
        for k in range(2, count):
            last = (1 - k / (n - k + 1) * last) / g
            last[small] = (n - k) / (k + 1) * alternating(n, y, k + 1)
            yield last

    def _lost(self, steps: int, rows: slice, columns: slice) -> Array:
        """1 - (m_p m_q)^n for the given rows, from the rates: the rounded m would cost a flat mode eps/gap of it."""
        alone = self._lost_alone(steps)
        pairs = alone[rows, None] + alone[columns] - alone[rows, None] * alone[columns]
        monotone, power = self.rate.real < 1, self.decay**steps
        if monotone.all():
            return np.asarray(pairs)
        both = monotone[rows, None] & monotone[columns]
        return np.asarray(np.where(both, pairs, 1 - power[rows, None] * power[columns]))


def gradient_step(curvatures: Array, lr: float) -> Kernel:
    """Plain SGD in discrete time: m = 1 - eta h, i = eta^2, so Phi = eta/(h_p + h_q - eta h_p h_q) (F2)."""
    return Kernel.alike(lr * curvatures, *one_component(curvatures, lr))


def one_component(curvatures: Array, lr: float) -> tuple[Array, Array]:
    """Return the drive and the entry of one component."""
    return np.full(len(curvatures), -lr), np.ones(len(curvatures))


def _real_ratio(above: Vector, below: Vector) -> Array:
    """The real part of a ratio; the complex ratio would take several times as long."""
    if not np.iscomplexobj(below):
        return np.asarray((above / below).real)
    products = above.real * below.real + above.imag * below.imag
    return np.asarray(products / (below.real**2 + below.imag**2))

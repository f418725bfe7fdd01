r"""Kernels of modes whose components nearly coincide: near critical damping, or where an average forgets as fast.

There the components of a diagonal kernel cancel: their factors are one over the distance of the rates, and second
moments lose the square of that. A Jordan chain does not: a component is also fed by those before it,

    s' = T s + f n,    T = diag(m) + (what is below the diagonal),

and every law stays what it is with T in the place of m. Sums over steps solve (1 - T_p x T_q) A = ..., a small
triangular system for each pair of modes, with no difference of rates in any denominator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import AnyArray, Array, Bools, Ints
from .constant import Kernel
from .series import falling

__all__ = ["CoupledKernel"]

Vector = AnyArray
Index = NDArray[np.intp]
_BLOCK_ELEMENTS = 2**13  # pairs of modes handled at once
_SMALL = 0.3  # n times a gap, below which sums over n steps come from a series
_TERMS = 14  # of that series: couplings alone make four of them, the rest are powers of n times the gap


@dataclass(frozen=True)
class CoupledKernel(Kernel):
    """A kernel with modes in which components feed one another.

    Attributes
    ----------
    coupling : ndarray, (k, k, r)
        What component j adds to component i > j in a step, as [i, j]. Of the same size as the rates it couples, which
        are close to each other; components that are far apart are not coupled.
    """

    coupling: Vector

    @property
    def _transition(self) -> Vector:
        """T, (k, k, r)."""
        return np.asarray(self.coupling + np.eye(self.components)[:, :, None] * self._parted(self.decay))

    def _power(self, steps: int) -> Vector:
        """T^n, (k, k, r), by squaring."""
        out = np.eye(self.components)[:, :, None] + np.zeros_like(self._transition)
        square = self._transition
        while steps:
            out = _product(square, out) if steps & 1 else out
            square, steps = _product(square, square), steps >> 1
        return out

    def _gone(self, steps: int) -> Vector:
        """1 - T^n, (k, k, r), by doubling from the rates: a flat mode keeps its digits."""
        out = np.zeros_like(self._transition)
        double = np.eye(self.components)[:, :, None] * self._parted(self.rate) - self.coupling
        while steps:
            out = out + double - _product(out, double) if steps & 1 else out
            double, steps = 2 * double - _product(double, double), steps >> 1
        return out

    def drift(self, steps: Any, *, observed: bool = False) -> Array:
        """Factor of E V in each mode after each number of `steps`, (..., r)."""
        t = np.asarray(steps)
        state = self._carried(self.entered, np.maximum(t - 1, 0).ravel())
        mean = np.einsum("ip,tip->tp", self._readout(observed), state).real.reshape(*t.shape, self.modes)
        return np.asarray(np.where(t[..., None] == 0, 1.0, mean))

    def _carried(self, components: Vector, lags: Ints) -> Vector:
        """Components after each number of steps, (len(lags), k, r), by squaring."""
        left, square = lags, self._transition
        state = np.repeat(self._parted(components)[None], left.size, axis=0)
        while left.any():
            odd = left % 2 == 1
            state[odd] = np.einsum("ijp,tjp->tip", square, state[odd])
            square, left = _product(square, square), left // 2
        return state

    def phi(self, *, observed: bool = False) -> Array:
        """Stationary second moment per unit of kappa G: of V, or of what is observed, (r, r)."""
        out, readout = super().phi(observed=observed), self._readout(observed)
        for rows in self._blocks():
            part = self._solved(self._pushed(rows), self._gaps(rows), rows)
            out[rows] = np.einsum("ip,ipjq,jq->pq", readout[:, rows], part, readout, optimize=True).real
            out[:, rows] = out[rows].T
        return out

    @property
    def stationary_variances(self) -> Array:
        """The diagonal of `stationary`, (r,)."""
        return np.diag(self.phi())

    def weighed(self, weights: Array) -> float:
        """The sum over pairs of modes of `stationary` times a symmetric matrix of weights, (r, r)."""
        return float(np.vdot(weights, self.phi()))

    def settled(self, source: Array) -> Vector:
        """Stationary state, (k r, k r), under `source` = kappa G, (r, r)."""
        out = super().settled(source)
        for rows in self._blocks():
            part = self._solved(self._pushed(rows), self._gaps(rows), rows)
            for blocks, given in self._both_ways(out, source):
                blocks[:, rows] = part * given[rows][None, :, None]
        return out

    def advance(self, state: Array, sources: Sequence[Array], shares: Array, start: int, steps: int) -> Array:
        """Return the state after `steps` steps under a source that is a polynomial in time; see `Kernel`."""
        out, power = super().advance(state, sources, shares, start, steps), self._power(steps)
        parts = np.tensordot(falling(shares, steps), np.asarray(sources), (1, 0))
        for rows in self._blocks():
            sums, fed = self._sums(steps, len(parts), rows), self._fed_pairs(rows)
            both = zip(self._both_ways(out, parts), self._both_ways(state, parts), strict=True)
            for (blocks, given), (before, _) in both:
                moved = np.einsum("aip,ipjq->apjq", power[:, :, rows], before[:, rows])
                moved = np.einsum("bjq,apjq->apbq", power, moved)
                for weights, part in zip(sums, given, strict=True):
                    moved += weights * part[rows][None, :, None]
                blocks[:, rows] = np.where(fed, moved, blocks[:, rows])
        return out

    def _both_ways(self, state: Array, sources: Array) -> Iterator[tuple[Array, Array]]:
        """A state as (k, r, k, r), and sources, (..., r, r), as they are and transposed: for rows, and for columns."""
        blocks = state.reshape((self.components, self.modes) * 2)
        yield blocks, sources
        yield blocks.transpose(2, 3, 0, 1), np.swapaxes(sources, -1, -2)

    def _sums(self, steps: int, count: int, rows: Index) -> list[Vector]:
        """Sums of `Kernel.moments` for these modes and all, drives included, (k, h, k, r): good where one is fed."""
        n, pushed, gaps = steps, self._pushed(rows), self._gaps(rows)
        if n == 1:
            return [pushed, np.zeros_like(pushed)][:count]
        drive = self._parted(self.drive)
        lost = np.einsum("ijp,jp->ip", self._gone(n), drive)
        left = _outer(lost[:, rows], drive) + _outer(drive[:, rows], lost) - _outer(lost[:, rows], lost)
        small = (np.abs(n * gaps) < _SMALL) & self._fed_pairs(rows)
        short = self._series(n, count, pushed, gaps, rows) if small.any() else [pushed] * count
        out = [self._solved(left, gaps, rows, small, short[0])]
        for k in range(1, count):
            out.append(self._solved(pushed - k / (n - k + 1) * out[-1], gaps, rows, small, short[k]))
        return out

    def _fed_pairs(self, rows: Index) -> Bools:
        """Where at least one of two components is fed by another, (k, h, k, r)."""
        fed = np.asarray(self.coupling.any(axis=1))
        return np.asarray(fed[:, rows][:, :, None, None] | fed)

    def _series(self, n: int, count: int, pushed: Vector, gaps: Vector, rows: Index) -> list[Vector]:
        """The sums where n times the gaps is small: sum_j (-y)^j C(n, j + k + 1)/C(n, k), of y = 1 - T x T."""
        out, term = [np.zeros_like(pushed) for _ in range(count)], pushed
        weights = [(n - k) / (k + 1) for k in range(count)]
        for j in range(_TERMS):
            for k in range(count):
                out[k] += weights[k] * term
                weights[k] *= max(n - k - j - 1, 0) / (j + k + 2)
            if weights[0] == 0:
                break
            term = -self._applied(term, gaps, rows)
        return out

    def _pushed(self, rows: Index) -> Vector:
        """f_p f_q, (k, h, k, r)."""
        drive = self._parted(self.drive)
        return _outer(drive[:, rows], drive)

    def _gaps(self, rows: Index) -> Vector:
        """1 - m_p m_q, (k, h, k, r)."""
        rate = self._parted(self.rate)
        return np.asarray(rate[:, rows][:, :, None, None] + rate - _outer(rate[:, rows], rate))

    def _applied(self, values: Vector, gaps: Vector, rows: Index) -> Vector:
        """(1 - T_p x T_q) applied to `values`."""
        out = gaps * values
        for i, j in np.ndindex(self.components, self.components):
            out[i, :, j] -= self._fed(values, i, j, rows)
        return out

    def _solved(
        self, right: Vector, gaps: Vector, rows: Index, known: Bools | None = None, given: Vector | None = None
    ) -> Vector:
        """Solution of (1 - T_p x T_q) X = `right`, by substitution; where it is `known` it is `given`."""
        out = np.empty_like(right)
        for i, j in np.ndindex(self.components, self.components):
            rest, gap = right[i, :, j] + self._fed(out, i, j, rows), gaps[i, :, j]
            if known is None or given is None:
                out[i, :, j] = rest / gap
            else:
                mask = known[i, :, j]
                out[i, :, j] = np.where(mask, given[i, :, j], rest / np.where(mask, 1.0, gap))
        return out

    def _fed(self, values: Vector, i: int, j: int, rows: Index) -> Any:
        """What one step brings to components i and j from those before them."""
        links, decay = self.coupling, self._parted(self.decay)
        total: Any = 0.0
        for before in range(i):
            if links[i, before].any():
                carried = links[i, before, rows][:, None, None] * values[before]
                total = total + carried[:, j] * decay[j]
                for also in range(j):
                    total = total + carried[:, also] * links[j, also]
        for also in range(j):
            if links[j, also].any():
                total = total + decay[i, rows][:, None] * values[i, :, also] * links[j, also]
        return total

    def _blocks(self) -> Iterator[Index]:
        """Modes in which components are coupled, a block at a time."""
        coupled = np.flatnonzero(self.coupling.any(axis=(0, 1)))
        height = max(1, _BLOCK_ELEMENTS // self.modes)
        yield from (coupled[p : p + height] for p in range(0, len(coupled), height))

    def follow(self, state: Array, sources: Iterable[Array], start: int) -> Iterator[Array]:
        """Yield what is observed of S_pp, (r,), step after step; `sources` are diagonals of kappa G, (r,) each."""
        del start  # every step is alike
        step, drive, moments = self._transition, self._parted(self.drive), self.within(state)
        injection = np.einsum("ip,jp->ijp", drive, drive)
        for source in sources:
            moments = np.einsum("aip,ijp,bjp->abp", step, moments, step) + injection * source
            yield self.gathered(moments, observed=True)

    def _ahead(self, lag: int) -> Vector:
        return np.asarray(np.einsum("ip,ijp->jp", self._readout(False), self._power(lag)))

    def _lost_by(self, lag: int) -> Vector:
        return np.asarray(np.einsum("ip,ijp->jp", self._readout(False), self._gone(lag)))

    def _built(self) -> Vector:
        out, push, rate = np.zeros_like(self._parted(self.rate)), self._parted(self.drive), self._parted(self.rate)
        for i in range(self.components):
            out[i] = (push[i] + (self.coupling[i, :i] * out[:i]).sum(axis=0)) / rate[i]
        return out


def _product(left: Vector, right: Vector) -> Vector:
    """Product of matrices (k, k, r), mode by mode."""
    return np.asarray(np.einsum("ijp,jkp->ikp", left, right))


def _outer(left: Vector, right: Vector) -> Vector:
    """Product for every pair of components and modes, (k, h, k, r)."""
    return np.asarray(left[:, :, None, None] * right)

r"""An optimiser followed step by step, where no closed form in time exists: schedules, and averages that run.

Whatever is done with a gradient is linear in it, and noise enters as the gradient does. With s what the optimiser keeps
of one mode (the weight V, a momentum buffer, an average), one step is

    s' = B_t s + e_t g,    g = h V + n,

and only B_t and e_t know the optimiser. The response of s at T to a unit of noise at t is the product
R(T, t) = (B + h e o^T)_{T-1} ... (B + h e o^T)_{t+1} e_t, o picking V; since noises of different steps are independent,

    S(T) = F S(0) F^T + sum_t R_p(T, t) R_q(T, t) kappa G_pq(t)

is F0 summed (F14): two matrix products over the steps, for any schedule whatever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from typing import Any

import numpy as np

from .._arrays import Array, Ints
from .._validate.sizes import refuse_bytes
from ..recipe.averages import Average
from ..recipe.sgd import Recipe
from .series import falling
from .state import Components

__all__ = ["Course", "course", "refuse_long"]

_BLOCK_ELEMENTS = 2**22  # of the responses held at once: 32 MB
_JUMP, _SMALL = 0.2, 0.01  # a change of the rate by this share of it, or of that share of the largest rate


@dataclass(frozen=True)
class Course(Components):
    """One optimiser on its way, seen by the modes; the counterpart of `Kernel` where its coefficients move in time.

    Attributes
    ----------
    curvatures : ndarray, (r,)
        h_p.
    motion : ndarray, (T, k, k)
        B_t; the first of the k parts is V.
    push : ndarray, (T, k)
        e_t.
    entry : ndarray, (k,)
        The parts at the start, in units of V(0).
    shown : int
        Which part is observed.
    """

    curvatures: Array
    motion: Array
    push: Array
    entry: Array
    shown: int

    @property
    def components(self) -> int:
        """Number of parts, k."""
        return int(self.motion.shape[1])

    @property
    def modes(self) -> int:
        """Number of modes, r."""
        return len(self.curvatures)

    def only(self, modes: Ints) -> Course:
        """Return the same of some modes alone."""
        return replace(self, curvatures=self.curvatures[modes])

    def _readout(self, observed: bool) -> Array:
        readout = np.zeros((self.components, self.modes))
        readout[self.shown if observed else 0] = 1.0
        return readout

    def fold(self, state: Array, *, observed: bool = False) -> Array:
        """S of a state, (r, r), or the second moment of what is observed: one part of it."""
        r, part = self.modes, self.shown if observed else 0
        return state[part * r : (part + 1) * r, part * r : (part + 1) * r].copy()

    @property
    def breaks(self) -> list[int]:
        """Steps at which the learning rate jumps: the source has a corner in time there."""
        rate = np.abs(self.push[:, 0])
        scale = np.maximum(np.maximum(rate[1:], rate[:-1]), _SMALL * rate.max(initial=0.0))
        jumps = np.abs(np.diff(rate)) > _JUMP * scale
        return [int(t) for t in np.flatnonzero(jumps[1:]) + 2]  # step 1 has torch's first step before it

    def unsettled(self, origin: int, end: int, rtol: float) -> float:
        """Step until which an alternating part of the source, begun at `origin`, is above `rtol`."""
        later = min(origin + 1, end - 1)  # the first step may be unlike the others
        fastest = later + int(np.argmax(np.abs(self.push[later:end, 0])))
        rates = np.linalg.eigvals(self._transition(fastest).transpose(2, 0, 1))
        alternating = np.abs(rates[rates.real < 0])
        if not alternating.size:
            return 0.0
        slowest = float(alternating.max())
        return float("inf") if slowest >= 1 else origin + log(rtol) / log(slowest)

    def _transition(self, step: int) -> Array:
        """B + h e o^T, (k, k, r)."""
        out = np.repeat(self.motion[step][:, :, None], self.modes, axis=2)
        out[:, 0] += self.push[step][:, None] * self.curvatures
        return out

    def drift(self, steps: Any, *, observed: bool = False) -> Array:
        """Factor of E V, or of the mean of what is observed, in each mode after each number of `steps`, (..., r)."""
        wanted, where = np.unique(np.asarray(steps), return_inverse=True)
        out, now = np.empty((len(wanted), self.modes)), 0
        mean = np.repeat(self.entry[:, None], self.modes, axis=1)
        for row, target in enumerate(wanted.tolist()):
            for step in range(now, target):
                mean = self.motion[step] @ mean + self.push[step][:, None] * (self.curvatures * mean[0])
            out[row], now = mean[self.shown if observed else 0], target
        return np.asarray(out[where.reshape(np.shape(steps))])

    def responses(self, asked: Sequence[tuple[int, Ints]], *, observed: bool = False) -> list[Array]:
        """V, or what is observed, after `end` steps per unit of noise in each of the steps before it, (n, r).

        `asked` are the ends, with the sorted steps of each. Between one end and the next all of them share a product of
        transitions, so that each step is taken once.
        """
        ends, steps = sorted({end for end, _ in asked}), np.concatenate([steps for _, steps in asked])
        wanted, owner = (
            np.unique(steps),
            np.repeat([ends.index(end) for end, _ in asked], [len(each) for _, each in asked]),
        )
        parts = [self._part(begin, end, wanted) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
        out, within = np.empty((len(steps), self.modes)), np.searchsorted(ends, steps, "right")
        ahead = np.repeat(self._readout(observed)[None], len(ends), axis=0)
        for place, (flow, inside, responses) in reversed(list(enumerate(parts))):
            some = np.flatnonzero(within == place)
            before = responses[np.searchsorted(inside, steps[some])]
            out[some] = np.einsum("nkr,nkr->nr", ahead[owner[some]], before)
            ahead[place:] = np.einsum("nkr,kjr->njr", ahead[place:], flow)
        return np.split(out, np.cumsum([len(each) for _, each in asked])[:-1])

    def _part(self, begin: int, end: int, wanted: Ints) -> tuple[Array, Ints, Array]:
        """The product of transitions from `begin` to `end`, and responses at its end to those wanted inside."""
        inside = wanted[(wanted >= begin) & (wanted < end)]
        k, r, row = self.components, self.modes, len(inside) - 1
        flow, response, out = np.repeat(np.eye(k)[:, :, None], r, axis=2), np.empty((k, r)), np.empty((row + 1, k, r))
        for step in range(end - 1, begin - 1, -1):
            flow = self._back(flow, step, response)
            if row >= 0 and inside[row] == step:
                out[row], row = response, row - 1
        return flow, inside, out

    @property
    def rough(self) -> float:
        """|m| of what decays slowest among all that oscillates or alternates, at the largest and the smallest rate."""
        rates = np.abs(self.push[:, 0])
        later = [min(1 + int(step), len(rates) - 1) for step in (np.argmax(rates[1:]), np.argmin(rates[1:]))]
        decay = np.concatenate([np.linalg.eigvals(self._transition(step).transpose(2, 0, 1)) for step in later])
        return float(np.abs(decay[(decay.imag != 0) | (decay.real < 0)]).max(initial=0.0))

    def begin(self, covariance: Array, source: Array) -> Array:
        """Return the state after one step from `covariance`, (r, r), under `source` = kappa G."""
        state = np.asarray(np.kron(np.outer(self.entry, self.entry), covariance), np.float64)
        return self.advance(state, [source], np.ones((2, 1)), 0, 1)

    def advance(self, state: Array, sources: Sequence[Array], shares: Array, start: int, steps: int) -> Array:
        """Return the state `steps` steps after `start` under a source that is a polynomial in time; see `Kernel`."""
        parts = [self._tiled(row, sources) for row in falling(shares, steps)]
        flow, sums = self._summed(start, start + steps, [part is not None for part in parts])
        k, r = self.components, self.modes
        blocks = state.reshape(k, r, k, r)
        out = (
            flow[0, 0][:, None] * state * flow[0, 0]
            if k == 1
            else np.einsum("aip,ipjq,bjq->apbq", flow, blocks, flow, optimize=True).reshape(k * r, k * r)
        )
        for share, source in zip(sums, parts, strict=True):
            if source is not None:
                out += share * source
        return np.asarray(out)

    def _tiled(self, shares: Array, sources: Sequence[Array]) -> Array | None:
        """A sum of sources, the same for every pair of parts; None if all shares are zero."""
        parts = [w * g for w, g in zip(shares, sources, strict=True) if w != 0.0]
        return np.tile(sum(parts), (self.components,) * 2) if parts else None

    def _summed(self, start: int, end: int, wanted: Sequence[bool]) -> tuple[Array, Array]:
        """F over the interval, (k, k, r), and sum R R^T times each C(t - start, k)/C(end - start, k), (k r, k r)."""
        k, r = self.components, self.modes
        size = k * r
        total = np.zeros((len(wanted), size, size))
        flow = np.repeat(np.eye(k)[:, :, None], r, axis=2)
        block = max(1, _BLOCK_ELEMENTS // size)
        for last in range(end, start, -block):
            begin = max(start, last - block)
            responses = np.empty((last - begin, k, r))
            for t in range(last - 1, begin - 1, -1):
                flow = self._back(flow, t, responses[t - begin])
            flat, weight = responses.reshape(last - begin, size), np.ones(last - begin)
            for order, asked in enumerate(wanted):
                if asked and weight.any():
                    rows = np.sqrt(weight)[:, None] * flat
                    total[order] += rows.T @ rows  # one operand twice: BLAS computes one triangle only
                weight = weight * (np.arange(begin, last) - start - order) / max(end - start - order, 1)
        return flow, total

    def _back(self, flow: Array, step: int, response: Array) -> Array:
        """Let the product of transitions begin one step earlier, and keep its response to noise there."""
        if len(flow) == 1:
            np.multiply(flow[0], self.push[step, 0], out=response)
            return np.asarray(flow * self.motion[step, 0, 0] + response * self.curvatures)
        earlier = np.matmul(self._earlier[step], flow)
        back = np.asarray(earlier[:, :-1])
        response[:] = earlier[:, -1]
        back[:, 0] += response * self.curvatures
        return back

    @cached_property
    def _earlier(self) -> Array:
        """B^T and below it e, of each step, (T, k + 1, k)."""
        return np.concatenate([self.motion.transpose(0, 2, 1), self.push[:, None]], axis=1)

    def follow(self, state: Array, sources: Iterable[Array], start: int) -> Iterator[Array]:
        """Yield what is observed of S_pp, (r,), step after step; `sources` are diagonals of kappa G, (r,) each."""
        moments = self.within(state)
        for step, source in enumerate(sources, start):
            m, e = self._transition(step), self.push[step]
            if self.components == 1:
                moments = m * m * moments + e[0] ** 2 * source
            else:
                moments = np.einsum("aip,ijp,bjp->abp", m, moments, m) + np.multiply.outer(np.outer(e, e), source)
            yield self.gathered(moments, observed=True)


def refuse_long(steps: int, parts: int = 1) -> None:
    """Raise `InvalidInput` where the coefficients of so many steps do not fit into memory."""
    refuse_bytes(
        f"a schedule, or an average that runs, over {steps:,} steps",
        8.0 * steps * (parts**2 + 2 * parts + 4),
        "Its coefficients are kept for every step: ask for fewer steps, or for a constant learning rate and an EMA.",
    )


def course(curvatures: Array, sgd: Recipe, average: Average | None, steps: int) -> Course:
    """Return the course of `sgd` over its first `steps` steps, with torch.optim.SGD's first step.

    The step is the recipe's (`fluctua.recipe.step`); an average is a' = (1 - w_t) a + w_t V'.
    Memory and time are proportional to `steps`.

    Raises
    ------
    InvalidInput
        If so many steps do not fit into memory.
    """
    k = sgd.step.slots
    parts = k + (average is not None)
    refuse_long(steps, parts)
    motion, push = np.zeros((steps, parts, parts)), np.zeros((steps, parts))
    motion[:, :k, :k], push[:, :k] = sgd.step.along(sgd.rates(np.arange(steps)))
    if average is not None:
        share = average.weights(np.arange(steps))
        motion[:, -1] += share[:, None] * motion[:, 0]
        motion[:, -1, -1] += 1 - share
        push[:, -1] = share * push[:, 0]
    entry = np.zeros(parts)
    entry[0] = 1.0
    entry[k:] = 1.0  # before the first update an average is the start
    return Course(curvatures, motion, push, entry, parts - 1 if average is not None else 0)

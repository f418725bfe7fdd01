r"""What thermal noise alone makes of every mode: M' = F M F^T + f f^T, each mode and each weight by itself (F92).

Thermal noise is independent of the batches and of the weights, so that its moments add to those that gradients make,
S = Theta + Phi o kappa (C + K[S]) (F90): with F = B + h e o^T of a mode of curvature h, M is (k, k), and Theta its
first element. Nothing here knows the data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._arrays import Array, Ints
from ..recipe.step import Step

__all__ = ["Thermal"]

_DENSE = 30  # steps that are taken one by one in the time of one that is found by doubling


@dataclass(frozen=True)
class Thermal:
    """Moments of what thermal noise has put into the modes, from rest at W*.

    Attributes
    ----------
    curvatures : ndarray, (r,)
        h_p.
    step : Step
        What one step does with a gradient and with thermal noise.
    lr : float
        Learning rate, per step.
    weights : int
        Weights of a mode, c: what every moment is multiplied by.
    continuous : bool
        Whether time is continuous, seen once per step; without inertia, which then only changes the rate.
    """

    curvatures: Array
    step: Step
    lr: float
    weights: int
    continuous: bool = False

    @property
    def silent(self) -> bool:
        """Whether there is no thermal noise."""
        return self.step.temperature == 0

    @cached_property
    def _drives(self) -> tuple[Array, Array]:
        """Covariance of what the first step adds, and every other, (k, k) each."""
        first, later = self.step.thermal_along(np.full(2, self.lr))
        return self.weights * np.outer(first, first), self.weights * np.outer(later, later)

    @cached_property
    def _lost(self) -> Array:
        """1 - F, (k, k, r), with no rounding of 1 - eta h."""
        push = self.step.at(self.lr)[1]
        out = np.repeat(self.step.later.lost(self.lr)[:, :, None], len(self.curvatures), axis=2)
        out[:, 0] -= np.multiply.outer(push, self.curvatures)
        return out

    @property
    def given(self) -> Array:
        """What a step adds to the variance of V in each mode, (r,)."""
        return np.full(len(self.curvatures), self._drives[1][0, 0])

    @property
    def _flow(self) -> Array:
        """2 eta h of continuous time, (r,)."""
        return 2 * self.step.effective_lr(self.lr) * self.curvatures

    @cached_property
    def at_rest(self) -> Array:
        """The stationary moments, (k, k, r); those of a mode that does not contract have no meaning."""
        if self.silent:
            return np.zeros_like(self._lost)
        if self.continuous:
            return np.asarray(self.weights * self.step.temperature / self.curvatures)[None, None]
        if self.step.slots == 1:
            lost = self._lost[0, 0]
            return np.asarray(self._drives[1][0, 0] / (lost * (2 - lost)))[None, None]
        return self.driven(np.zeros_like(self._lost))

    def driven(self, beside: Array) -> Array:
        """Stationary moments, (2, 2, r), where so much is added in every step `beside` thermal noise, of a momentum."""
        return self._balanced(self._drives[1][:, :, None] + beside)

    def _balanced(self, q: Array) -> Array:
        """Solution of M = F M F^T + Q, (2, 2, r), for h M_VV, M_Vp and M_pp, so that flat modes keep their digits.

        With 1 - F = [[a, -p], [c, d]] these are three linear equations, whose coefficients are exact; p, the drift, is
        the unit of length.
        """
        (a, (drift, *_)), (c, d) = self._lost[0] * [[1.0], [-1.0]], self._lost[1]
        e0, e1 = self.step.at(self.lr)[1]
        h, c = self.curvatures, c * drift
        rows = np.array(
            [
                [-(2 - a) * e0 / drift**2, -2 * (1 - a), -np.ones_like(h)],
                [-(1 - a) * e1 / drift, a + d + c - a * d, d - 1],
                [c * e1 / drift, 2 * c * (1 - d), d * (2 - d)],
            ]
        )
        right = np.array([q[0, 0] / drift**2, q[0, 1] / drift, q[1, 1]])
        energy, mixed, momentum = np.linalg.solve(rows.transpose(2, 0, 1), right.T[:, :, None])[:, :, 0].T
        return np.array([[energy / h, drift * mixed], [drift * mixed, momentum]])

    def after(self, steps: int) -> Array:
        """Return the moments after `steps` steps, (k, k, r), by doubling: sums of positive terms (F96)."""
        if self.silent or steps == 0:
            return np.zeros_like(self._lost[:1, :1] if self.continuous else self._lost)
        if self.continuous:
            return self.at_rest * -np.expm1(-steps * self._flow)
        first, later = self._drives
        gone, moments = self._doubled(steps - 1, later)
        kept = np.eye(len(first))[:, :, None] - gone
        return moments + _carried(kept, np.repeat(first[:, :, None], len(self.curvatures), axis=2))

    def visits(self, steps: Iterable[int] | Ints) -> Iterator[tuple[int, Array]]:
        """Yield each of `steps` once, in their order in time, and the moments then, (k, k, r): near ones one by one."""
        wanted = sorted({int(step) for step in steps})
        if not wanted:
            return
        if len(wanted) * _DENSE < wanted[-1]:
            yield from ((step, self.after(step)) for step in wanted)
            return
        asked = iter(wanted)
        following = next(asked)
        for step, moments in enumerate(self.along(wanted[-1])):
            if step == following:
                yield step, moments
                following = next(asked, -1)

    def read(self, steps: Sequence[int] | Ints, form: Array) -> Array:
        """Return the sum of `form`, (r,), times the variances of what is shown at each of `steps`, (n,)."""
        found = {step: float(form @ self.variances(moments, shown=True)) for step, moments in self.visits(steps)}
        return np.array([found[int(step)] for step in steps])

    def mean(self, steps: Sequence[int]) -> Array:
        """Return the moments averaged over `steps`, each as often as it comes, (k, k, r)."""
        counts = Counter(int(step) for step in steps)
        return np.asarray(sum(counts[step] * moments for step, moments in self.visits(counts)) / len(steps))

    def _doubled(self, steps: int, added: Array) -> tuple[Array, Array]:
        """1 - F^n and the sum over j < n of F^j Q F^jT, (k, k, r) each."""
        one = np.eye(len(added))[:, :, None]
        gone, moments = np.zeros_like(self._lost), np.zeros_like(self._lost)
        double, grown = self._lost, np.repeat(added[:, :, None], len(self.curvatures), axis=2)
        while steps:
            if steps & 1:
                moments = grown + _carried(one - double, moments)
                gone = gone + double - _product(gone, double)
            grown = grown + _carried(one - double, grown)
            double, steps = 2 * double - _product(double, double), steps >> 1
        return gone, moments

    def along(self, last: int) -> Iterator[Array]:
        """Yield the moments after 0, 1, .. `last` steps, (k, k, r) each."""
        moments = self.after(0)
        yield moments
        if self.silent or self.continuous:
            yield from (self.after(step) for step in range(1, last + 1))
            return
        kept, added = np.eye(len(moments))[:, :, None] - self._lost, self._drives
        for step in range(last):
            moments = _carried(kept, moments) + added[min(step, 1)][:, :, None]
            yield moments

    def lost(self, moments: Array, lag: int) -> Array:
        """Return the covariance of V with V less V `lag` steps later, (r,), of `moments`, (k, k, r)."""
        gone = self._doubled(lag, np.zeros((len(moments),) * 2))[0]
        return np.asarray(np.einsum("ip,ip->p", gone[0], moments[:, 0]))

    def variances(self, moments: Array, *, shown: bool = False) -> Array:
        """Return the variance of V, or of the weight that the sampler shows, (r,)."""
        if not shown or len(moments) == 1:
            return np.asarray(moments[0, 0])
        factors = self.step.later.shown(self.lr)
        return np.asarray(np.einsum("i,ijp,j->p", factors, moments, factors))


def _product(left: Array, right: Array) -> Array:
    """Product of matrices (k, k, r), mode by mode."""
    return np.asarray(np.einsum("ijp,jkp->ikp", left, right))


def _carried(motion: Array, moments: Array) -> Array:
    """Motion M motion^T, mode by mode."""
    return _product(_product(motion, moments), motion.swapaxes(0, 1))

r"""What the samples of a two-layer net make of a fluctuation: noise C, feedback K[S], and the drift of Bal.

The gradient of sample i at W* + dW is, to first order, (a x^T, f z^T + r m^T) with z = W1 x, m = dW1 x, q = dW2 z,
f = W2 m + q, n = dW2^T r, a = W2^T f + n. The part with r, the second derivative of the net, single layers do not have.
All averages over the law of dW are linear in S, sample by sample, and each is a product of matrices.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..._arrays import AnyArray, Array, even
from .frame import Frame

__all__ = ["Felt", "Samples"]

_BLOCK = 2**24  # numbers held at once in a product over samples


class Felt(NamedTuple):
    """What the samples make of a second moment S and a mean of the fluctuation.

    Attributes
    ----------
    feedback : ndarray, (n, n)
        K[S] = <H_i S H_i> - H S H (F106).
    crossed : ndarray, (h, h)
        What S and the mean add to <G2^T G2 - G1 G1^T> beside K[S] and H S H: g_i times the second order of G_i.
    """

    feedback: Array
    crossed: Array


class _Averages(NamedTuple):
    """Second moments of m, f, n, a of some samples, (samples, ., .)."""

    mm: Array
    mf: Array
    ff: Array
    ma: Array
    fa: Array
    aa: Array


class Samples:
    """The samples in the modes of the inputs: x, (N, r), and the residuals at W*, (N, c).

    Notes
    -----
    Cost of K[S]: 2 N h^2 r^2 multiplications, and as much for each pair of the layers.
    """

    def __init__(self, inputs: Array, residuals: Array, *, bends: bool = True) -> None:
        self.inputs, self.residuals = inputs, residuals
        self._bending = residuals if bends else np.zeros_like(residuals)
        self.count, self.rank = inputs.shape
        self._upper = np.triu_indices(self.rank)
        self._half = np.where(self._upper[0] == self._upper[1], 0.5, 1.0)

    def straight(self) -> Samples:
        """Return the same samples, whose residuals make noise and do not bend the net: K without its second part."""
        return Samples(self.inputs, self.residuals, bends=False)

    @cached_property
    def product(self) -> Array:
        """<vec(r x^T) vec(r x^T)^T>, (c, r, c, r): the noise of the product, the same at every point."""
        c = self.residuals.shape[1]
        total = np.zeros((c * self.rank,) * 2)
        for rows in self._rows(c * self.rank):
            pushed = _outer(self.residuals[rows], self.inputs[rows])
            total += pushed.T @ pushed
        return np.asarray(total / self.count).reshape(c, self.rank, c, self.rank)

    def _rows(self, width: int) -> Iterator[slice]:
        step = max(1, _BLOCK // max(width, 1))
        return (slice(first, first + step) for first in range(0, self.count, step))

    def felt(self, frame: Frame, covariance: Array, mean: Array | None = None) -> Felt:
        """Return K[S] (F106) and what drifts Bal, of S, (n, n), and the mean, (n,)."""
        h, c = frame.hidden, frame.outputs
        one, mixed, two = frame.blocks(even(covariance))
        alike = one.transpose(1, 3, 0, 2)
        packed = (alike + alike.swapaxes(0, 1))[self._upper].reshape(-1, h * h) * self._half[:, None]
        total, crossed = _Blocks(frame), np.zeros((h, h))
        second = _SecondOrder(frame, mixed, two, mean)
        for rows in self._rows(max(len(self._half), (h + c) ** 2)):
            x, residuals = self.inputs[rows], self._bending[rows]
            z, squares = x @ frame.first.T, x[:, self._upper[0]] * x[:, self._upper[1]]
            found = _averages(frame.second, squares @ packed, x, z, residuals, mixed, two)
            total.add(found, squares, x, z, residuals)
            crossed += second.crossed(x, z, self.residuals[rows], found.mf)
        feedback = total.whole(self._upper) / self.count - frame.hessian @ covariance @ frame.hessian
        return Felt(feedback, crossed / self.count)


class _Blocks:
    """<dG dG^T>, added up in the blocks of the layers; that of layer 1 for the pairs r <= r' of the modes alone."""

    def __init__(self, frame: Frame) -> None:
        self.frame, h, c, r = frame, frame.hidden, frame.outputs, frame.rank
        self.one, self.mixed, self.two = (
            np.zeros((h * h, r * (r + 1) // 2)),
            np.zeros((h, r, c, h)),
            np.zeros((c, h) * 2),
        )

    def add(self, found: _Averages, squares: Array, x: Array, z: Array, residuals: Array) -> None:
        """Take in some samples."""
        count, h, c = found.mf.shape
        r, left = x.shape[1], found.fa.swapaxes(1, 2).reshape(count, -1)
        self.one += found.aa.reshape(count, -1).T @ squares
        self.mixed += (left.T @ _outer(x, z)).reshape(h, c, r, h).transpose(0, 2, 1, 3)
        moved = found.ma.reshape(count, -1).T @ _outer(x, residuals)
        self.mixed += moved.reshape(h, h, r, c).transpose(1, 2, 3, 0)
        crossed = found.mf.swapaxes(1, 2).reshape(count, -1).T @ _outer(z, residuals)
        crossed = crossed.reshape(c, h, h, c).transpose(0, 2, 3, 1)
        self.two += crossed + crossed.transpose(2, 3, 0, 1)
        self.two += (found.ff.reshape(count, -1).T @ _outer(z, z)).reshape(c, c, h, h).transpose(0, 2, 1, 3)
        alike = found.mm.reshape(count, -1).T @ _outer(residuals, residuals)
        self.two += alike.reshape(h, h, c, c).transpose(2, 0, 3, 1)

    def whole(self, upper: tuple[AnyArray, AnyArray]) -> Array:
        """The matrix of all coordinates, (n, n)."""
        h, r, k = self.frame.hidden, self.frame.rank, self.frame.split
        square, out = np.empty((h, h, r, r)), np.empty((self.frame.size,) * 2)
        square[:, :, upper[0], upper[1]] = square[:, :, upper[1], upper[0]] = self.one.reshape(h, h, -1)
        out[:k, :k] = square.transpose(0, 2, 1, 3).reshape(k, k)
        out[:k, k:] = self.mixed.reshape(k, -1)
        out[k:, :k] = out[:k, k:].T
        out[k:, k:] = self.two.reshape(len(out) - k, -1)
        return even(out)


def _outer(one: Array, other: Array) -> Array:
    """Products of the rows, (N, a b)."""
    return np.asarray((one[:, :, None] * other[:, None, :]).reshape(len(one), -1))


def _averages(second: Array, mm: Array, x: Array, z: Array, residuals: Array, mixed: Array, two: Array) -> _Averages:
    """E of the products of m, f, n, a for each sample."""
    c, h = second.shape
    r, count = x.shape[1], len(x)
    mm = mm.reshape(count, h, h)
    mq = (_outer(x, z) @ mixed.transpose(1, 3, 0, 2).reshape(r * h, h * c)).reshape(count, h, c)
    mn = (_outer(x, residuals) @ mixed.transpose(1, 2, 0, 3).reshape(r * c, h * h)).reshape(count, h, h)
    qq = (_outer(z, z) @ two.transpose(1, 3, 0, 2).reshape(h * h, c * c)).reshape(count, c, c)
    qn = (_outer(z, residuals) @ two.transpose(1, 2, 0, 3).reshape(h * c, c * h)).reshape(count, c, h)
    nn = (_outer(residuals, residuals) @ two.transpose(0, 2, 1, 3).reshape(c * c, h * h)).reshape(count, h, h)
    mf = mm @ second.T + mq
    crossed = second @ mq
    ff = second @ mm @ second.T + crossed + crossed.swapaxes(1, 2) + qq
    fn = second @ mn + qn
    ma = mf @ second + mn
    fa = ff @ second + fn
    back = second.T @ fn
    aa = second.T @ ff @ second + back + back.swapaxes(1, 2) + nn
    return _Averages(mm, mf, ff, ma, fa, aa)


class _SecondOrder:
    """The second order of the gradient in dW, averaged over its law, and the first order in its mean."""

    def __init__(self, frame: Frame, mixed: Array, two: Array, mean: Array | None) -> None:
        self.second = frame.second
        self.pair = np.einsum("hrch->cr", mixed)  # E[dW2 dW1]
        self.back = np.einsum("ch,hrck->kr", frame.second, mixed) + np.einsum("ckcj,jr->kr", two, frame.first)
        self.shift = None
        if mean is not None and mean.any():
            h, r, c = frame.hidden, frame.rank, frame.outputs
            self.shift = mean[: frame.split].reshape(h, r), mean[frame.split :].reshape(c, h)

    def crossed(self, x: Array, z: Array, residuals: Array, mf: Array) -> Array:
        """g_i times what is above first order in the law of dW, of G2^T G2 - G1 G1^T, summed over samples, (h, h)."""
        pushed, size = residuals @ self.second, np.einsum("ij,ij->i", x, x)
        bent = x @ self.pair.T
        upper = x @ self.back.T + bent @ self.second
        lower = np.einsum("ihc,ic->ih", mf, residuals) + z * np.einsum("ij,ij->i", residuals, bent)[:, None]
        if self.shift is not None:
            first, second = self.shift
            m = x @ first.T
            f = m @ self.second.T + z @ second.T
            upper = upper + f @ self.second + residuals @ second
            power = np.einsum("ij,ij->i", residuals, residuals)
            lower = lower + z * np.einsum("ij,ij->i", residuals, f)[:, None] + m * power[:, None]
        out = z.T @ lower - (pushed * size[:, None]).T @ upper
        return np.asarray(out + out.T)

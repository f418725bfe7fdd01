r"""The quadratic picture at a point of the manifold W2 W1 = W*: curvature, its range, and the loss's own symmetry.

Coordinates of a fluctuation are (dW1, dW2), row by row, with dW1 in the modes of the inputs: n = h (r + c) numbers. The
product moves by Jac (dW1, dW2) = W2 dW1 + dW2 W1, and H = Jac^T (I (x) A) Jac (F105). With W2 W2^T = U alpha^2 U^T, the
c x c blocks decouple, so that all modes of H follow from c problems of size r.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._arrays import Array
from ...errors import NotConverged

__all__ = ["Frame", "balance_of"]

_RANK = 1e-10  # of the largest curvature, below which a direction is flat
_NEWTON = 40
_SETTLED = 1e-13


def balance_of(first: Array, second: Array) -> Array:
    """Return Bal = W2^T W2 - W1 W1^T, (..., h, h): what gradient flow conserves (F108)."""
    return np.asarray(second.swapaxes(-1, -2) @ second - first @ first.swapaxes(-1, -2))


@dataclass(frozen=True)
class Frame:
    """A point (W1, W2) of the manifold, W1 in the modes of the inputs.

    Attributes
    ----------
    first : ndarray, (h, r)
    second : ndarray, (c, h)
    inputs : ndarray, (r,)
        The curvatures of the data, eigenvalues of A.
    """

    first: Array
    second: Array
    inputs: Array

    @property
    def hidden(self) -> int:
        """Number of hidden units, h."""
        return len(self.first)

    @property
    def outputs(self) -> int:
        """Number of outputs, c."""
        return len(self.second)

    @property
    def rank(self) -> int:
        """Number of modes of the inputs, r."""
        return len(self.inputs)

    @property
    def size(self) -> int:
        """Number of weights in these coordinates, n = h (r + c)."""
        return self.first.size + self.second.size

    @property
    def split(self) -> int:
        """Where layer 2 begins among the coordinates, h r."""
        return self.first.size

    @property
    def balance(self) -> Array:
        """Bal, (h, h)."""
        return balance_of(self.first, self.second)

    @property
    def scale(self) -> float:
        """Tr B, of B = W2^T W2 + W1 W1^T."""
        return float(np.sum(self.first**2) + np.sum(self.second**2))

    @cached_property
    def _modes(self) -> tuple[Array, Array]:
        """Curvatures, largest first, and the modes of H, (n, q), on its range."""
        squares, units = np.linalg.eigh(self.second @ self.second.T)
        root = np.sqrt(self.inputs)
        gram = root[:, None] * (self.first.T @ self.first) * root
        values, vectors = np.linalg.eigh(np.maximum(squares, 0)[:, None, None] * np.diag(self.inputs) + gram)
        push = root[:, None] * vectors  # A^1/2 e of every block, (c, r, q)
        backward, forward = units.T @ self.second, self.first @ push
        upper = np.einsum("ih,irq->ihrq", backward, push).reshape(self.outputs, self.split, -1)
        lower = np.einsum("ci,ihq->ichq", units, forward).reshape(self.outputs, self.size - self.split, -1)
        whole = np.concatenate([upper, lower], axis=1).swapaxes(0, 1).reshape(self.size, -1)
        curvatures = values.ravel()
        kept = curvatures > _RANK * curvatures.max()
        order = np.argsort(curvatures[kept])[::-1]
        curvatures, whole = curvatures[kept][order], whole[:, kept][:, order]
        return curvatures, whole / np.sqrt(curvatures)

    @property
    def curvatures(self) -> Array:
        """Eigenvalues of H on its range, largest first, (q,)."""
        return self._modes[0]

    @property
    def modes(self) -> Array:
        """Orthonormal modes of H on its range, (n, q)."""
        return self._modes[1]

    @cached_property
    def hessian(self) -> Array:
        """H, (n, n)."""
        return np.asarray((self.modes * self.curvatures) @ self.modes.T)

    def blocks(self, matrix: Array) -> tuple[Array, Array, Array]:
        """Return the blocks of a symmetric matrix, (h, r, h, r), (h, r, c, h) and (c, h, c, h)."""
        h, r, c, k = self.hidden, self.rank, self.outputs, self.split
        return (
            matrix[:k, :k].reshape(h, r, h, r),
            matrix[:k, k:].reshape(h, r, c, h),
            matrix[k:, k:].reshape(c, h, c, h),
        )

    def imbalance(self, matrix: Array) -> Array:
        """Return E[dW2^T dW2 - dW1 dW1^T] of a second moment, (h, h)."""
        one, _, two = self.blocks(matrix)
        return np.asarray(np.einsum("chck->hk", two) - np.einsum("hrkr->hk", one))

    def pull(self, covariance: Array) -> Array:
        """Return E[(H v)_1 v_1^T - v_2^T (H v)_2], (h, h), by which a fluctuation v pulls the mean (F113)."""
        one, _, two = self.blocks(self.hessian @ covariance)
        return np.asarray(np.einsum("hrkr->hk", one) - np.einsum("chck->kh", two))

    def pulled(self, pull: Array) -> Frame:
        """Return the point reached along W1 -> e^Y W1, W2 -> W2 e^-Y under a pull times lr (F113).

        Y W1 W1^T + W2^T W2 Y = pull, whose symmetric part changes Bal and whose antisymmetric part is an area.
        """
        from scipy.linalg import expm

        one, right = np.linalg.eigh(self.first @ self.first.T)
        two, left = np.linalg.eigh(self.second.T @ self.second)
        generator = left @ _divided(left.T @ pull @ right, np.maximum(two, 0)[:, None] + np.maximum(one, 0)) @ right.T
        return Frame(expm(generator) @ self.first, self.second @ expm(-generator), self.inputs)

    def moved(self, balance: Array) -> Frame:
        """Return the point of the manifold that has another Bal, along W2 -> W2 e^-X, W1 -> e^X W1 (F109).

        X B + B X = -dBal, B = W2^T W2 + W1 W1^T, repeated until Bal is met; raises `NotConverged` if it is not.
        """
        from scipy.linalg import expm

        frame = self
        for _ in range(_NEWTON):
            lacking = balance - frame.balance
            size, vectors = np.linalg.eigh(frame.second.T @ frame.second + frame.first @ frame.first.T)
            if (left := np.abs(lacking).max() / size[-1]) <= _SETTLED:
                return frame
            solved = _divided(vectors.T @ lacking @ vectors, size[:, None] + size)
            generator = -(vectors @ solved @ vectors.T)
            frame = Frame(expm(generator) @ frame.first, frame.second @ expm(-generator), self.inputs)
        raise NotConverged("the point of the manifold with the balance of the layers", _NEWTON, float(left), _SETTLED)


def _divided(values: Array, pairs: Array) -> Array:
    """Values over pairs, 0 where a pair vanishes: nothing moves there."""
    seen = pairs > _RANK * pairs.max()
    return np.asarray(np.where(seen, values / np.where(seen, pairs, 1.0), 0.0))

"""The covariance between the outputs at a sample: every pair solved, or each mode shared out as its noise is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from .._arrays import AnyArray, Array, Ints
from .._validate.sizes import refuse_bytes
from ..problem.moments import quadratic_form, symmetric_form
from .output_pairs import pairs_of
from .prediction import Prediction

__all__ = ["OutputNoise", "SharedOut", "Solved", "without_mean"]


class OutputNoise(ABC):
    """By what the Gaussian outputs at samples z, (n, r) in the modes, are taken to vary.

    Attributes
    ----------
    outputs : int
    total : ndarray, (r, r)
        S less the square of the mean.
    """

    def __init__(self, prediction: Prediction) -> None:
        self.outputs, self.total = prediction.law.problem.outputs, without_mean(prediction)

    def variances(self, z: AnyArray) -> Array:
        """Sum of the variances of the outputs, (n,)."""
        return np.maximum(quadratic_form(z, self.total), 0.0)

    @abstractmethod
    def at(self, z: AnyArray, variances: Array) -> Array:
        """Covariances between the outputs, (n, c, c), whose sums of `variances` are known, (n,)."""


def without_mean(prediction: Prediction) -> Array:
    """Return S less the square of the mean in the modes, (r, r): the covariance, summed over outputs."""
    mean = prediction.mean @ prediction.modes
    return np.asarray(prediction.mode_covariance - mean.T @ mean)


class Solved(OutputNoise):
    """The covariances Cov(v_k, v_l) themselves; c(c + 1)/2 balances, and as many forms at each sample.

    The stationary state of epochs is taken as one Gaussian, with the moments averaged over the positions.
    """

    def __init__(self, prediction: Prediction, rtol: float) -> None:
        super().__init__(prediction)
        looks = pairs_of(prediction, rtol)
        apart = looks.means - np.einsum("n,ncp->cp", looks.shares, looks.means)
        self.pairs: dict[tuple[int, int], Array] = {}
        for (k, l), blocks in looks.pairs:  # noqa: E741  (output indices, F6)
            block = np.einsum("n,npq->pq", looks.shares, blocks)
            block += np.einsum("n,np,nq->pq", looks.shares, apart[:, k], apart[:, l])
            self.pairs[k, l] = 0.5 * (block + block.T)

    def at(self, z: AnyArray, variances: Array) -> Array:
        """Covariances between the outputs, (n, c, c), solved and not scaled to `variances`."""
        del variances
        out = np.empty((len(z), self.outputs, self.outputs))
        for (k, l), block in self.pairs.items():  # noqa: E741
            out[:, k, l] = out[:, l, k] = symmetric_form(z, block)
        return out


class SharedOut(OutputNoise):
    r"""z^T S z, which is exact, shared out among the outputs as the noise of a batch is in each mode.

    Omega_p is the covariance of the residuals' gradients r_k z_p between the outputs, at the mean weights, of trace 1.
    The covariance at z is z^T S z times the mean of Omega_p, weighted by S_pp z_p^2. One pass over the training data.
    """

    def __init__(self, prediction: Prediction) -> None:
        super().__init__(prediction)
        problem = prediction.law.problem
        size = problem.outputs * (problem.outputs + 1) // 2
        refuse_bytes(f"the noise of {problem.outputs:,} outputs", 16.0 * size * problem.rank, "Use fewer outputs.")
        self.corner: tuple[Ints, Ints] = np.triu_indices(problem.outputs)
        noise = _noise_by_mode(prediction, self.corner)
        trace = noise[:, self.corner[0] == self.corner[1]].sum(axis=1)
        weights = np.divide(np.maximum(self.total.diagonal(), 0.0), trace, out=np.zeros_like(trace), where=trace > 0)
        self.shares = noise * weights[:, None]

    def at(self, z: AnyArray, variances: Array) -> Array:
        """Covariances between the outputs, (n, c, c), whose sums of `variances` are known, (n,)."""
        mixed = np.square(z, dtype=np.float64) @ self.shares
        out = np.empty((len(z), self.outputs, self.outputs))
        out[:, self.corner[0], self.corner[1]] = out[:, self.corner[1], self.corner[0]] = mixed
        trace = np.einsum("nkk->n", out)
        scale = np.divide(variances, trace, out=np.zeros_like(trace), where=trace > 0)
        return np.asarray(out * scale[:, None, None])


def _noise_by_mode(prediction: Prediction, corner: tuple[Ints, Ints]) -> Array:
    """Covariance of r_k z_p and r_l z_p over the samples, (r, c(c + 1)/2), r the residuals at the mean weights."""
    problem, (k, l) = prediction.law.problem, corner  # noqa: E741
    squares, mean = np.zeros((problem.rank, len(k))), np.zeros((problem.rank, problem.outputs))
    for z, residuals, importance in _residuals(prediction):
        squares += (z**2).T @ (residuals[:, k] * residuals[:, l] * importance)
        mean += z.T @ residuals
    mean /= problem.samples
    return np.asarray(squares / problem.samples - mean[:, k] * mean[:, l])


def _residuals(prediction: Prediction) -> Iterator[tuple[Array, Array, Array | float]]:
    """Yield blocks of z, residuals at the mean weights, and how often each sample counts, (n, 1)."""
    problem, shift = prediction.law.problem, prediction.mean @ prediction.modes
    for rows in problem.blocks(max(problem.rank, problem.outputs**2)):
        z = problem.projections[rows].astype(np.float64)
        counted = 1.0 if problem.importance is None else problem.importance[rows, None]
        yield z, prediction.law.minimum.residuals[rows] + z @ shift.T, counted

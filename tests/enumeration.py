"""Every batch of a tiny problem, listed: the moments of SGD with no theory in them (theory.md section 9).

Knows the definition of one step, W' = W - lr (G_b(W) + weight_decay W) with G_b the mean gradient over the batch, and
that it is affine in W; nothing of noise sources, feedback, sampling factors or modes. For N <= 6 nothing is random.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

import numpy as np


def list_batches(samples: int, size: int, sampling: str) -> np.ndarray:
    """Every equally likely batch, (n, size): all N^b ordered draws with replacement, all subsets without."""
    drawn = (
        product(range(samples), repeat=size) if sampling == "with_replacement" else combinations(range(samples), size)
    )
    return np.array(list(drawn))


@dataclass(frozen=True, eq=False)
class Enumeration:
    """One recipe on one tiny data set, averaged over all batches.

    The state is the vector (vec V, 1) of length m = c d + 1, V = W - W*, rows of V one after another; a batch maps it
    linearly, so its second moment, (m, m), holds E[vec V vec V^T] and, in the last column, E V.
    """

    inputs: np.ndarray
    targets: np.ndarray
    lr: float
    batch_size: int
    sampling: str = "with_replacement"
    weight_decay: float = 0.0

    @cached_property
    def batches(self) -> np.ndarray:
        """(n, b)."""
        return list_batches(len(self.inputs), self.batch_size, self.sampling)

    @cached_property
    def optimum(self) -> np.ndarray:
        """W*, (c, d): least squares with the weight decay as extra rows; the least norm where not unique."""
        n, d = self.inputs.shape
        rows = np.vstack([self.inputs / np.sqrt(n), np.sqrt(self.weight_decay) * np.eye(d)])
        return np.linalg.lstsq(rows, np.vstack([self.targets / np.sqrt(n), np.zeros((d, self.outputs))]), rcond=1e-12)[
            0
        ].T

    @property
    def outputs(self) -> int:
        return self.targets.shape[1]

    def step(self, weights: np.ndarray) -> np.ndarray:
        """W' for every batch, (n, c, d): the definition."""
        x, y = self.inputs[self.batches], self.targets[self.batches]
        errors = x @ weights.T - y
        gradients = np.einsum("nbc,nbd->ncd", errors, x) / self.batch_size
        return weights - self.lr * (gradients + self.weight_decay * weights)

    @cached_property
    def maps(self) -> np.ndarray:
        """The affine map of every batch on (vec V, 1), (n, m, m), read off the step."""
        size = self.optimum.size
        maps = np.zeros((len(self.batches), size + 1, size + 1))
        maps[:, -1, -1] = 1
        maps[:, :-1, -1] = (self.step(self.optimum) - self.optimum).reshape(-1, size)
        origin = self.step(np.zeros_like(self.optimum))
        for k, unit in enumerate(np.eye(size)):
            maps[:, :-1, k] = (self.step(unit.reshape(self.optimum.shape)) - origin).reshape(-1, size)
        return maps

    @cached_property
    def _pairs(self) -> np.ndarray:
        return _pair_average(self.maps)

    def moments(self, weights: np.ndarray, steps: int) -> Iterator[np.ndarray]:
        """Yield the second moment of (vec V, 1) after 0, 1, ..., `steps` steps from W(0) = `weights`, (m, m)."""
        state = np.append((weights - self.optimum).ravel(), 1.0)
        moment = np.outer(state, state)
        yield moment
        for _ in range(steps):
            moment = np.einsum("iajb,ab->ij", self._pairs, moment, optimize=True)
            yield moment

    def stationary(self) -> np.ndarray:
        """The second moment that one step leaves unchanged, on the directions the data can move, (m, m)."""
        frame = self._frame
        pairs = _pair_average(frame.T @ self.maps @ frame)
        size = len(pairs)
        flow = pairs.transpose(0, 2, 1, 3).reshape(size**2, size**2)
        moving = flow[:-1, :-1]  # the last entry, E[1 * 1], stays 1
        fixed = np.append(np.linalg.solve(np.eye(len(moving)) - moving, flow[:-1, -1]), 1.0)
        return frame @ fixed.reshape(size, size) @ frame.T

    def growth(self) -> float:
        """Spectral radius of one step on E[vec V vec V^T], on the directions the data can move."""
        frame = self._frame[:-1, :-1]
        pairs = _pair_average(frame.T @ self.maps[:, :-1, :-1] @ frame)
        size = len(pairs)
        return float(np.abs(np.linalg.eigvals(pairs.transpose(0, 2, 1, 3).reshape(size**2, size**2))).max())

    @property
    def _frame(self) -> np.ndarray:
        """Orthonormal columns: the span of the inputs for every output, and the constant."""
        _, singular, basis = np.linalg.svd(self.inputs)
        span = basis[: np.sum(singular > 1e-10 * singular[0])].T
        frame = np.zeros((self.optimum.size + 1, self.outputs * span.shape[1] + 1))
        frame[:-1, :-1] = np.kron(np.eye(self.outputs), span)
        frame[-1, -1] = 1
        return frame

    def mean(self, moment: np.ndarray) -> np.ndarray:
        """E V, (c, d)."""
        return moment[:-1, -1].reshape(self.optimum.shape)

    def blocks(self, moment: np.ndarray) -> np.ndarray:
        """E[v_k v_l^T] of every pair of output rows, (c, c, d, d)."""
        c, d = self.optimum.shape
        return moment[:-1, :-1].reshape(c, d, c, d).transpose(0, 2, 1, 3)

    def covariance(self, moment: np.ndarray) -> np.ndarray:
        """S = E[V^T V], summed over outputs, (d, d)."""
        return np.einsum("kkij->ij", self.blocks(moment))

    def excess_loss(self, moment: np.ndarray) -> float:
        """E L(W) - L(W*), from the definition of L, sample by sample."""
        x, mean, second = self.inputs, self.mean(moment), self.covariance(moment)
        residuals = x @ self.optimum.T - self.targets
        squares = np.einsum("ni,ij,nj->n", x, second, x) + 2 * np.sum((x @ mean.T) * residuals, axis=1)
        decay = np.trace(second) + 2 * np.sum(mean * self.optimum)
        return float(0.5 * squares.mean() + 0.5 * self.weight_decay * decay)

    def gradient_square(self, moment: np.ndarray) -> float:
        """E|G|^2 of the batch gradient, weight decay included: the mean square of a step over lr^2."""
        pairs = _pair_average(self.maps - np.eye(self.maps.shape[1]))
        return float(np.einsum("iaib,ab->", pairs, moment) / self.lr**2)


def _pair_average(maps: np.ndarray) -> np.ndarray:
    """<T_ia T_jb> over all batches, (m, m, m, m) indexed i, a, j, b."""
    flat = maps.reshape(len(maps), -1)
    return (flat.T @ flat / len(maps)).reshape(maps.shape[1:] * 2)


TINY = {
    "general": lambda draw: (draw(5, 3), draw(5, 2)),
    "six samples": lambda draw: (draw(6, 2), draw(6, 1)),
    "dead feature": lambda draw: (draw(4, 3) * [1, 0, 1], draw(4, 2)),
    "duplicated feature": lambda draw: (draw(4, 2)[:, [0, 1, 1]], draw(4, 3)),
    "fewer samples than features": lambda draw: (draw(3, 5), draw(3, 2)),
    "equal curvatures": lambda draw: (1.3 * np.eye(4), draw(4, 2)),
    "one loud sample": lambda draw: (draw(4, 2) * [[6], [1], [1], [1]], draw(4, 2)),
    "one feature": lambda draw: (draw(3, 1), draw(3, 1)),
}
"""Tiny data sets by name, from normal numbers."""


def tiny(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of a tiny data set; always the same."""
    return TINY[name](lambda *shape: np.random.default_rng(21).normal(size=shape))

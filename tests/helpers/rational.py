"""Least squares and SGD on tiny problems in rational numbers: no rounding, however the columns are scaled.

Floats are rationals, so W*, the loss there and the second moments of SGD, b = 1 with replacement, have exact values.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def rational(values) -> np.ndarray:
    """The same numbers as an object array of fractions."""
    given = np.asarray(values, dtype=float)
    return np.array([Fraction(float(v)) for v in given.ravel()], dtype=object).reshape(given.shape)


def solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Gaussian elimination, (n, n) and (n, k)."""
    a = np.concatenate([matrix, right], axis=1)
    for k in range(len(a)):
        pivot = next(i for i in range(k, len(a)) if a[i, k])
        a[[k, pivot]] = a[[pivot, k]]
        a[k] = a[k] / a[k, k]
        for i in range(len(a)):
            if i != k and a[i, k]:
                a[i] = a[i] - a[i, k] * a[k]
    return a[:, len(matrix) :]


class Rational:
    """One output, one sample a batch; the state is (V, 1), its second moment (d + 1, d + 1)."""

    def __init__(self, inputs, targets, weight_decay=0.0) -> None:
        self.x, self.y, self.gamma = rational(inputs), rational(targets)[:, None], Fraction(weight_decay)
        self.n, self.d = self.x.shape
        self.hessian = self.x.T @ self.x / self.n + self.gamma * rational(np.eye(self.d))
        self.optimum = solve(self.hessian, self.x.T @ self.y / self.n)[:, 0]
        self.residuals = self.x @ self.optimum - self.y[:, 0]
        self.loss = (self.residuals @ self.residuals / self.n + self.gamma * (self.optimum @ self.optimum)) / 2

    def steps(self, lr: float) -> list[np.ndarray]:
        """The map of the state for each sample."""
        rate, out = Fraction(lr), []
        for x, r in zip(self.x, self.residuals, strict=True):
            step = rational(np.eye(self.d + 1))
            step[:-1, :-1] -= rate * (np.outer(x, x) + self.gamma * rational(np.eye(self.d)))
            step[:-1, -1] = -rate * (r * x + self.gamma * self.optimum)
            out.append(step)
        return out

    def begin(self, start) -> np.ndarray:
        state = np.append(rational(start) - self.optimum, rational([1]))
        return np.outer(state, state)

    def advanced(self, moment: np.ndarray, lr: float) -> np.ndarray:
        return sum(step @ moment @ step.T for step in self.steps(lr)) / self.n

    def stationary(self, lr: float) -> np.ndarray:
        """The second moment that a step leaves as it is."""
        size = self.d + 1
        whole = rational(np.eye(size**2)) - sum(np.kron(step, step) for step in self.steps(lr)) / self.n
        right = rational(np.zeros((size**2, 1)))
        whole[-1], whole[-1, -1], right[-1, 0] = Fraction(0), Fraction(1), Fraction(1)
        return solve(whole, right).reshape(size, size)

    def excess(self, moment: np.ndarray) -> Fraction:
        return np.sum(self.hessian * moment[:-1, :-1]) / 2

    def held_out(self, moment: np.ndarray, inputs, targets) -> Fraction:
        """Expected loss on other data."""
        x, y = rational(inputs), rational(targets)
        seen = np.concatenate([x, (x @ self.optimum - y)[:, None]], axis=1)
        return sum(row @ moment @ row for row in seen) / (2 * len(x))

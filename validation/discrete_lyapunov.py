"""The stationary covariance, solved by SciPy's Lyapunov equations instead of fluctua's dissipation kernels.

Everything on SciPy's side is computed here from the pixels, in pixel coordinates, with nothing of fluctua in it:
W* by least squares, H, C and K[S] by their definitions. The levels of the ladder are then

    langevin   H S + S H = eta kappa C                        solve_continuous_lyapunov
    discrete   S = (I - eta H) S (I - eta H) + eta^2 kappa C  solve_discrete_lyapunov
    exact      the same with C + K[S] in the place of C, iterated to its fixed point

    python validation/discrete_lyapunov.py [--tolerance 1e-9] [--wrong-by 0.001]

Prints both excess losses and the relative difference of the covariances; exit code 1 if one exceeds the tolerance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from scipy.linalg import lstsq, solve_continuous_lyapunov, solve_discrete_lyapunov

import fluctua as fl

RECIPES = (
    fl.SGD(lr=0.05, batch_size=8),
    fl.SGD(lr=0.1, batch_size=64, sampling="without_replacement"),
    fl.SGD(lr=0.05, batch_size=1, weight_decay=0.03),
)
LEVELS = ("langevin", "discrete", "exact")


class BySciPy:
    """One recipe on one data set, (N, d) inputs without dead pixels and (N, c) targets."""

    def __init__(self, x: np.ndarray, y: np.ndarray, sgd: fl.SGD) -> None:
        n, d = x.shape
        b, gamma = sgd.batch_size, sgd.weight_decay
        self.x, self.sgd = x, sgd
        self.kappa = 1 / b if sgd.sampling == "with_replacement" else (n - b) / (b * (n - 1))
        ridge = np.sqrt(n * gamma) * np.eye(d)  # |X W - Y|^2 + N gamma |W|^2 as plain least squares
        w = lstsq(np.vstack([x, ridge]), np.vstack([y, np.zeros((d, y.shape[1]))]))[0]
        self.a = x.T @ x / n
        self.h = self.a + gamma * np.eye(d)
        residual = np.sum((x @ w - y) ** 2, axis=1)
        self.c = (x.T * residual) @ x / n - gamma**2 * w @ w.T

    def feedback(self, s: np.ndarray) -> np.ndarray:
        """K[S] = <x (x^T S x) x^T> - A S A."""
        q = np.sum((self.x @ s) * self.x, axis=1)
        return (self.x.T * q) @ self.x / len(self.x) - self.a @ s @ self.a

    def covariance(self, level: str) -> np.ndarray:
        """S of one level."""
        if level == "langevin":
            return solve_continuous_lyapunov(self.h, self.sgd.lr * self.kappa * self.c)
        m = np.eye(len(self.h)) - self.sgd.lr * self.h
        s, change = np.zeros_like(m), np.inf
        while change > 1e-13:
            source = self.c + self.feedback(s) if level == "exact" else self.c
            before, s = s, solve_discrete_lyapunov(m, self.sgd.lr**2 * self.kappa * source, method="bilinear")
            change = np.linalg.norm(s - before) / np.linalg.norm(s)
        return s


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tolerance", type=float, default=1e-9)
    parser.add_argument("--wrong-by", type=float, default=0.0, help="spoil the prediction, to see it noticed")
    options = parser.parse_args(arguments)

    digits = fl.load("digits")
    alive = digits.inputs.any(axis=0)  # the others make H singular, and Lyapunov's equation with it
    problem = fl.LeastSquares(digits.inputs, digits.targets)
    worst = 0.0
    print(f"digits, excess loss\n{'':22}{'fluctua':>14}{'SciPy':>14}{'difference of S':>18}")
    for sgd in RECIPES:
        print(f"lr {sgd.lr}, b {sgd.batch_size}, {sgd.sampling}, weight decay {sgd.weight_decay}")
        scipy = BySciPy(digits.inputs[:, alive], digits.targets, sgd)
        for level in LEVELS:
            prediction = fl.predict(problem, sgd, theory=level)
            ours = (1 + options.wrong_by) * prediction.covariance[np.ix_(alive, alive)]
            theirs = scipy.covariance(level)
            difference = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
            losses = [0.5 * np.sum(scipy.h * s) for s in (ours, theirs)]
            worst = max(worst, difference, abs(losses[0] / losses[1] - 1))
            print(f"  {level:20}{losses[0]:14.10f}{losses[1]:14.10f}{difference:18.1e}")
    agree = worst <= options.tolerance
    word = "agree" if agree else "DISAGREE"
    print(f"\n{word}: largest relative difference {worst:.1e}, allowed {options.tolerance:g}")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())

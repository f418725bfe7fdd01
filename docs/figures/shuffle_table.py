"""Print the table of docs/shuffle.md: the law of shuffled epochs on real data, against runs begun at W*.

    python docs/figures/shuffle_table.py

The error of the law in the mode variances is the root mean square over modes of predicted / measured - 1, less what
the measurement's own errors add to it.
"""

from __future__ import annotations

import numpy as np
from sklearn import datasets

import fluctua as fl

DECAY, SEED = 0.03, 3
RECIPES = [
    # data, batch size, rates, epochs, replicas
    ("digits", 16, (0.01, 0.05, 0.16), 3, 2048),
    ("diabetes", 8, (0.01, 0.08, 0.3), 12, 8192),
    ("iris", 8, (0.02, 0.1, 0.45), 12, 8192),
    ("wine", 8, (0.01, 0.05, 0.25), 12, 8192),
    ("breast_cancer", 8, (0.005, 0.03, 0.07), 12, 8192),
]


def problem_of(name: str) -> fl.LeastSquares:
    """A data set in units of its spread with a constant added, classes one-hot; the first 1,792 digits as they are."""
    if name == "digits":
        digits = fl.load("digits")
        return fl.LeastSquares(digits.inputs[:1792], digits.targets[:1792])
    found = getattr(datasets, f"load_{name}")()
    x = (found.data - found.data.mean(axis=0)) / found.data.std(axis=0)
    y = found.target
    y = (y[:, None] - y.mean()) / y.std() if name == "diabetes" else np.eye(y.max() + 1)[y]
    return fl.LeastSquares(np.column_stack([x, np.ones(len(x))]), y)


def row(name: str, size: int, lr: float, epochs: int, replicas: int) -> str:
    """One line of the table."""
    problem, shuffled = problem_of(name), fl.SGD(lr, size, DECAY, "shuffle")
    drawn = fl.SGD(lr, size, DECAY, "without_replacement")
    steps = epochs * len(shuffled.batch_sizes(problem.samples))
    run = fl.simulate(problem, shuffled, steps=steps, replicas=replicas, records=8 * epochs, rng=SEED)
    law, independent = (fl.predict(problem, sgd).after(run.recorded.tolist()) for sgd in (shuffled, drawn))
    error, deviation = run.mode_variance_errors / run.mode_variances, law.mode_variances / run.mode_variances - 1
    own = np.sqrt(max(np.mean(deviation**2) - np.mean(error**2), 0))
    return (
        f"| {name} | {problem.samples} | {problem.rank} | {size} | {lr / fl.max_stable_lr(problem, drawn):.2f} | {lr} "
        f"| {100 * (law.excess_loss / run.excess_loss - 1):+.2f} ± {100 * run.excess_loss_error / run.excess_loss:.2f} "
        f"| {100 * np.median(np.abs(deviation)):.2f} | {100 * np.median(error):.2f} | {100 * own:.2f} "
        f"| {np.sqrt(np.mean((deviation / error) ** 2)):.2f} "
        f"| {100 * (independent.excess_loss / run.excess_loss - 1):+.0f} |"
    )


def main() -> None:
    for name, size, rates, epochs, replicas in RECIPES:
        for lr in rates:
            print(row(name, size, lr, epochs, replicas), flush=True)


if __name__ == "__main__":
    main()

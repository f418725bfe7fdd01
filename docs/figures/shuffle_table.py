"""Print the tables of docs/shuffle.md: the law of shuffled epochs, and the semi-analytic solution, against real runs.

    PYTHONPATH=tests python docs/figures/shuffle_table.py

The error of the law in the mode variances is the root mean square over modes of predicted / measured - 1, less what
the measurement's own errors add to it. The second table is with momentum, the third of the stationary state: its runs
are as long as that takes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import fluctua as fl
from fluctua.simulation.batches import Draws, generators
from fluctua.simulation.steppers import minibatch_in_modes
from helpers.tables import problem_of

DECAY, SEED = 0.03, 3
RECIPES = [
    # data, batch size, rates, epochs, replicas
    ("digits", 16, (0.01, 0.05, 0.16), 3, 2048),
    ("diabetes", 8, (0.01, 0.08, 0.3), 12, 8192),
    ("iris", 8, (0.02, 0.1, 0.45), 12, 8192),
    ("wine", 8, (0.01, 0.05, 0.25), 12, 8192),
    ("breast_cancer", 8, (0.005, 0.03, 0.07), 12, 8192),
]

STATIONARY = [
    # data, rates; epochs that are measured, replicas, orders
    ("wine", (0.01, 0.05, 0.25), 100, 2048, 16_384),
    ("breast_cancer", (0.005, 0.03, 0.07), 60, 1024, 16_384),
]

MOMENTUM = [
    # data, momentum, Nesterov's step; share of the limit of independent batches
    ("wine", 0.0, False, 0.3),
    ("wine", 0.5, False, 0.3),
    ("wine", 0.9, False, 0.1),
    ("wine", 0.9, False, 0.3),
    ("wine", 0.9, True, 0.3),
    ("iris", 0.0, False, 0.3),
    ("iris", 0.5, False, 0.3),
    ("iris", 0.9, False, 0.1),
    ("iris", 0.9, False, 0.3),
]

MOVING = [
    # data, schedule, steps, replicas
    ("digits", "cosine", 2000, 512),
    ("diabetes", "cosine", 600, 1024),
    ("diabetes", "ramp", 600, 1024),
    ("wine", "cosine", 600, 1024),
    ("wine", "ramp", 600, 1024),
    ("breast_cancer", "cosine", 600, 1024),
    ("breast_cancer", "ramp", 600, 1024),
]


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


def momentum_row(name: str, momentum: float, nesterov: bool, share: float) -> str:
    """One line of the table with momentum."""
    problem, options = problem_of(name), {"momentum": momentum, "nesterov": nesterov}
    limit = fl.max_stable_lr(problem, fl.SGD(1.0, 8, sampling="without_replacement", **options))
    sgd = fl.SGD(share * limit, 8, sampling="shuffle", **options)
    run = fl.simulate(problem, sgd, steps=300, replicas=8192, rng=SEED)
    law = fl.predict(problem, sgd).after(run.recorded.tolist())
    error, deviation = run.mode_variance_errors / run.mode_variances, law.mode_variances / run.mode_variances - 1
    worst = int(np.argmax(np.abs(deviation)))
    return (
        f"| {name} | {momentum:g}{', Nesterov' * nesterov} | {share} "
        f"| {100 * (law.excess_loss / run.excess_loss - 1):+.1f} ± {100 * run.excess_loss_error / run.excess_loss:.1f} "
        f"| {100 * np.sqrt(np.mean(deviation**2)):.1f} | {100 * deviation[worst]:+.1f} ± {100 * error[worst]:.1f} |"
    )


def stationary(problem: fl.LeastSquares, sgd: fl.SGD, epochs: int, replicas: int) -> tuple[np.ndarray, np.ndarray]:
    """Mode variances of every replica, (R, r), averaged over some 16 positions of each epoch, and those positions."""
    n = len(sgd.batch_sizes(problem.samples))
    slowest = sgd.lr * (problem.curvatures[-1] + DECAY) * n
    settle = int(np.ceil(3 / slowest))  # exp(-6) of the slowest mode's variance is still to come
    state = np.zeros((1, replicas, problem.outputs, problem.rank))
    draws = Draws(generators(np.random.SeedSequence(SEED), replicas), problem.samples, sgd)
    advance, places = minibatch_in_modes(problem, sgd), np.arange(0, n, max(1, n // 16))
    total = np.zeros((replicas, problem.rank))
    for epoch in range(settle + epochs):
        begin = epoch * n
        if epoch < settle:
            advance(state, draws, n, begin)
            continue
        for place, then in zip(places, [*places[1:], n], strict=True):
            total += np.square(state[0]).sum(axis=1) / (epochs * len(places))
            advance(state, draws, int(then - place), begin + int(place))
    return total, places


def stationary_row(name: str, lr: float, epochs: int, replicas: int, orders: int) -> str:
    """One line of the second table: excess loss and modes, the law's and the semi-analytic solution's."""
    problem, sgd = problem_of(name), fl.SGD(lr, 8, DECAY, "shuffle")
    runs, places = stationary(problem, sgd, epochs, replicas)
    law, semi = fl.predict(problem, sgd), fl.semi_analytic(problem, sgd, orders=orders, rng=SEED)
    there = np.mean([law.at(int(place)).mode_variances for place in places], axis=0)
    measured, error = runs.mean(axis=0), runs.std(axis=0, ddof=1) / np.sqrt(replicas)
    losses, h = 0.5 * runs @ law.curvatures, law.curvatures
    line = f"| {name} | {lr} | ± {100 * losses.std(ddof=1) / np.sqrt(replicas) / losses.mean():.2f} "
    errors = np.zeros_like(error), semi.mode_variance_errors
    for found, own in zip((there, semi.mode_variances + there - law.mode_variances), errors, strict=True):
        z = np.sqrt(np.mean((found - measured) ** 2 / (error**2 + own**2)))
        line += f"| {100 * (0.5 * found @ h / losses.mean() - 1):+.2f} "
        line += f"| {100 * np.median(np.abs(found / measured - 1)):.2f} | {z:.2f} "
    return line + f"| ± {100 * semi.excess_loss_error / semi.excess_loss:.2f} |"


def moving_row(name: str, shape: str, steps: int, replicas: int) -> str:
    """One line of the table of rates that move: 0.3 of the limit, momentum 0.9, weight decay 1e-3, from zero."""
    problem = problem_of(name)
    plain = fl.SGD(1.0, 8, 1e-3, "without_replacement", momentum=0.9)
    cosine, ramp = fl.schedules.CosineAnnealingLR(steps), np.interp(np.arange(steps), (0, 100, steps), (0.1, 1, 0))
    lr = 0.005 if name == "digits" else 0.3 * fl.max_stable_lr(problem, plain)
    sgd = replace(plain, lr=lr, sampling="shuffle", schedule=cosine if shape == "cosine" else ramp)
    verdict = fl.verify(problem, sgd, steps=steps, replicas=replicas, start="zero", rng=SEED)
    exact, independent = (verdict.row(each) for each in ("exact", "independent batches"))
    off, wrong = (100 * (each.excess_loss / verdict.excess_loss - 1) for each in (exact, independent))
    error = 100 * verdict.excess_loss_error / verdict.excess_loss
    return (
        f"| {name} | {shape} | {off:+.1f} ± {error:.1f} | {exact.comparison.z_rms:.2f} | {wrong:+.1f} "
        f"| {independent.comparison.z_rms:.1f} | {'passed' if verdict.passed else 'rejected'} |"
    )


def main() -> None:
    for settings in MOVING:
        print(moving_row(*settings), flush=True)
    for name, size, rates, epochs, replicas in RECIPES:
        for lr in rates:
            print(row(name, size, lr, epochs, replicas), flush=True)
    for recipe in MOMENTUM:
        print(momentum_row(*recipe), flush=True)
    for name, rates, epochs, replicas, orders in STATIONARY:
        for lr in rates:
            print(stationary_row(name, lr, epochs, replicas, orders), flush=True)


if __name__ == "__main__":
    main()

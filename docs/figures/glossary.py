"""Draw the pictures of the glossary: mode.png, noise_floor.png, temperature.png and replica.png.

    python docs/figures/glossary.py

Ten seconds on two cores.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fluctua as fl
from fluctua.report.figures.frame import style

HERE = Path(__file__).parent
SIZE = (6.2, 3.1)


def plane() -> fl.LeastSquares:
    """Return a problem with two inputs, one of them steep, and one output."""
    rng = np.random.default_rng(3)
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    inputs = (rng.normal(size=(400, 2)) * [1.6, 0.6]) @ turn
    return fl.LeastSquares(inputs, inputs @ [1.0, 0.5] + rng.normal(size=400))


def walk(problem: fl.LeastSquares, sgd: fl.SGD, steps: int) -> np.ndarray:
    """Return the weights of one run from W*, step by step."""
    rng, weights, path = np.random.default_rng(1), problem.minimum().weights.copy(), []
    for batch in rng.integers(problem.samples, size=(steps, sgd.batch_size)):
        x = problem.inputs[batch]
        weights -= sgd.lr * (weights @ x.T - problem.targets[batch].T) @ x / sgd.batch_size
        path.append(weights[0].copy())
    return np.array(path)


def contours(axes: plt.Axes, problem: fl.LeastSquares, centre: np.ndarray) -> None:
    """Draw ellipses of equal loss: narrow along the steep mode, wide along the flat one."""
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    for excess in (0.02, 0.08):
        ellipse = problem.modes @ (np.sqrt(2 * excess / problem.curvatures)[:, None] * circle)
        label = "equal loss" if excess == 0.02 else None
        axes.plot(*(centre[:, None] + ellipse), color="#E69F00", linewidth=0.8, label=label)


def mode() -> plt.Figure:
    problem, sgd = plane(), fl.SGD(lr=0.1, batch_size=4)
    path, centre = walk(problem, sgd, 3000), problem.minimum().weights[0]
    prediction = fl.predict(problem, sgd)
    figure, axes = plt.subplots(figsize=(6.2, 4.0), layout="constrained")
    contours(axes, problem, centre)
    axes.plot(*path.T, ".", color="#999999", markersize=2, label="weights of one run, 3,000 steps")
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    root = np.linalg.cholesky(prediction.covariance)
    axes.plot(*(centre[:, None] + 2 * root @ circle), color="#0072B2", label="predicted: two standard deviations")
    for place, name in enumerate(("steep mode", "flat mode")):
        along = prediction.modes[:, place] * 2 * np.sqrt(prediction.mode_variances[place])
        axes.annotate("", centre + along, centre, arrowprops={"arrowstyle": "->", "color": "#D55E00", "lw": 2})
        white = {"boxstyle": "round", "fc": "white", "ec": "none", "alpha": 0.8}
        axes.annotate(name, centre + 1.4 * along, color="#D55E00", ha="center", va="center", bbox=white)
    axes.plot(*centre, "k+", markersize=12, label="W*, where the loss is least")
    axes.set(xlabel="first weight", ylabel="second weight", aspect="equal")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def digits() -> fl.LeastSquares:
    """Return the digits as a problem."""
    data = fl.load("digits")
    return fl.LeastSquares(data.inputs, data.targets)


def noise_floor() -> plt.Figure:
    problem, steps = digits(), 3000
    figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
    for lr, colour in ((0.15, "#D55E00"), (0.05, "#0072B2")):
        sgd = fl.SGD(lr=lr, batch_size=8)
        axes.loglog(fl.learning_curve(problem, sgd, steps)[1:], color=colour, label=f"expected excess loss, lr {lr:g}")
        axes.axhline(fl.predict(problem, sgd).excess_loss, color=colour, linestyle=":", label="its noise floor")
    axes.set(xlabel="step", ylabel="excess loss, L(W) - L(W*)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def temperature() -> plt.Figure:
    problem, sgd = digits(), fl.SGD(lr=0.05, batch_size=8)
    prediction, one = fl.predict(problem, sgd), fl.predict(problem, sgd, theory="equilibrium")
    figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
    axes.loglog(prediction.curvatures, prediction.temperatures, ".", label="SGD: each mode has its own")
    axes.loglog(one.curvatures, one.temperatures, "--", label="equilibrium with the same excess loss: one for all")
    axes.set(xlabel="curvature of the mode, $h_p$", ylabel="temperature, $h_p S_{pp}/c$")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def replica() -> plt.Figure:
    problem, sgd, steps = digits(), fl.SGD(lr=0.05, batch_size=8), 1000
    run = fl.simulate(problem, sgd, steps=steps, replicas=24, records=40, rng=3, start="zero")
    figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
    axes.loglog(run.watched, run.replica_losses.T, color="#bbbbbb", linewidth=0.6)
    axes.plot([], [], color="#bbbbbb", label="24 replicas: one recipe, other batches")
    axes.errorbar(
        run.watched,
        run.replica_losses.mean(axis=0),
        2 * run.replica_losses.std(axis=0, ddof=1) / np.sqrt(24),
        fmt="ko",
        markersize=3,
        elinewidth=0.8,
        label="their mean, 2 standard errors",
    )
    axes.plot(fl.learning_curve(problem, sgd, steps), label="predicted")
    axes.set(xlim=(1, 1.1 * steps), xlabel="step", ylabel="excess loss")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def main() -> None:
    with style():
        for draw in (mode, noise_floor, temperature, replica):
            draw().savefig(HERE / f"glossary_{draw.__name__}.png")


if __name__ == "__main__":
    main()

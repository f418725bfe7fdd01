"""Draw stability.png: the largest stable learning rate against the batch size, predicted, and measured on both sides.

    python docs/figures/stability.py [digits mnist cifar10 ...]

For each batch size 64 runs of 4,000 steps are made from W* at 0.9 and at 1.1 of the predicted limit, and judged by the
stationary excess loss predicted at 0.9. A circle stands where the mean excess loss, averaged over eight records, is
within a factor of 2 of it, a cross where the median run ended a hundred times above it; a question mark stands where
neither holds. On CIFAR-10 all runs take 16,000 steps: 4,000 left two at 1.1 undecided, those with momentum at b = 1 and
4, whose median had grown to 17 and 90 times that loss.

On two cores digits and MNIST take 4 minutes, CIFAR-10 takes 41, of which its six limits 18, and 4 GB of memory.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np

import fluctua as fl

BATCH_SIZES = {"digits": (1, 2, 4, 8, 16, 32, 64), "mnist": (1, 4, 16, 64), "cifar10": (1, 4, 32)}
STEPS = {"cifar10": 16_000}
MOMENTA = {0.0: "#0072B2", 0.9: "#D55E00"}
REPLICAS = 64
MARKS = {"stayed bounded": "o", "diverged": "x", "undecided": "$?$"}


def outcome(problem: fl.LeastSquares, sgd: fl.SGD, steps: int, floor: float) -> str:
    """Return what 64 real runs did, against the excess loss predicted at 0.9 of the limit."""
    run = fl.simulate(problem, sgd, steps=steps, replicas=REPLICAS, records=8, rng=1)
    last = np.nan_to_num(run.replica_losses[:, -1], nan=np.inf)
    if np.median(last) > 100 * floor:
        return "diverged"
    return "stayed bounded" if 0.5 < run.excess_loss / floor < 2 else "undecided"


def _marker(mark: str) -> dict[str, object]:
    return {"marker": MARKS[mark], "linestyle": "none", "markersize": 5, "markerfacecolor": "white", "zorder": 3}


def draw(axes: plt.Axes, name: str) -> None:
    data = fl.load(name)
    problem = fl.LeastSquares(data.inputs, data.targets)
    for momentum, colour in MOMENTA.items():
        limits = []
        for b in BATCH_SIZES.get(name, (1, 4, 16, 64)):
            begin = perf_counter()
            limit = fl.max_stable_lr(problem, fl.SGD(0.1, b, momentum=momentum))
            seconds = perf_counter() - begin
            below, above = (fl.SGD(share * limit, b, momentum=momentum) for share in (0.9, 1.1))
            floor = fl.predict(problem, below).excess_loss
            found = [outcome(problem, sgd, STEPS.get(name, 4000), floor) for sgd in (below, above)]
            for sgd, mark in zip((below, above), found, strict=True):
                axes.plot(b, sgd.lr, **_marker(mark), color=colour)
            limits.append((b, limit))
            print(
                f"{data.name}, momentum {momentum:g}, b {b:3}: limit {limit:.6g} in {seconds:.1f} s; "
                f"at 0.9 {found[0]}, at 1.1 {found[1]}",
                flush=True,
            )
        axes.plot(*zip(*limits, strict=True), color=colour, label=f"predicted limit, momentum {momentum:g}")
        axes.axhline(2 * (1 + momentum) / problem.curvatures[0], color=colour, linestyle=":", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set(yscale="log", xlabel="batch size $b$", title=data.name)
    axes.xaxis.set_major_formatter("{x:g}")


def main() -> None:
    names = sys.argv[1:] or list(BATCH_SIZES)
    figure, panels = plt.subplots(1, len(names), figsize=(3.6 * len(names), 4.2), squeeze=False, layout="constrained")
    for axes, name in zip(panels.flat, names, strict=True):
        draw(axes, name)
    panels[0, 0].set_ylabel("learning rate")
    for words in list(MARKS)[:2]:
        panels[0, 0].plot([], [], **_marker(words), color="black", label=f"measured: {words}")
    panels[0, 0].plot([], [], ":", color="black", linewidth=1, label="limit of the mean, full batch")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()

"""Draw stability.png: the largest stable learning rate against the batch size, predicted, and measured on both sides.

    python docs/figures/stability.py [digits mnist ...]

For each batch size 64 runs of 4,000 steps are made from W* at 0.9 and at 1.1 of the predicted limit. A circle stands
where their mean excess loss stayed within a factor of 2 of the predicted one, a cross where the median run ended a
hundred times above it; a question mark stands where neither holds.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import fluctua as fl

BATCH_SIZES = {"digits": (1, 2, 4, 8, 16, 32, 64), "mnist": (1, 4, 16, 64)}
MOMENTA = {0.0: "#0072B2", 0.9: "#D55E00"}
STEPS, REPLICAS = 4000, 64
MARKS = {"stayed bounded": "o", "diverged": "x", "undecided": "$?$"}


def outcome(problem: fl.LeastSquares, sgd: fl.SGD, floor: float) -> str:
    """Return what 64 real runs did, against the excess loss predicted at 0.9 of the limit."""
    run = fl.simulate(problem, sgd, steps=STEPS, replicas=REPLICAS, records=8, rng=1)
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
            limit = fl.max_stable_lr(problem, fl.SGD(0.1, b, momentum=momentum))
            below, above = (fl.SGD(share * limit, b, momentum=momentum) for share in (0.9, 1.1))
            floor = fl.predict(problem, below).excess_loss
            found = [outcome(problem, sgd, floor) for sgd in (below, above)]
            for sgd, mark in zip((below, above), found, strict=True):
                axes.plot(b, sgd.lr, **_marker(mark), color=colour)
            limits.append((b, limit))
            print(
                f"{data.name}, momentum {momentum:g}, b {b:3}: limit {limit:.6g}; at 0.9 {found[0]}, at 1.1 {found[1]}"
            )
        axes.plot(*zip(*limits, strict=True), color=colour, label=f"predicted limit, momentum {momentum:g}")
        axes.axhline(2 * (1 + momentum) / problem.curvatures[0], color=colour, linestyle=":", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set(yscale="log", xlabel="batch size $b$", title=data.name)
    axes.xaxis.set_major_formatter("{x:g}")


def main() -> None:
    names = sys.argv[1:] or ["digits", "mnist"]
    figure, panels = plt.subplots(1, len(names), figsize=(4.2 * len(names), 4.2), squeeze=False, layout="constrained")
    for axes, name in zip(panels.flat, names, strict=True):
        draw(axes, name)
    panels[0, 0].set_ylabel("learning rate")
    for words in list(MARKS)[:2]:
        panels[0, 0].plot([], [], **_marker(words), color="black", label=f"measured: {words}")
    panels[0, 0].plot([], [], ":", color="black", linewidth=1, label="limit of the mean, full batch")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()

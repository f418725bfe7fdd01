"""The figure: our estimate over the true gain, and below it when each detector fires."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fluctua.report.figures.frame import RUNGS
from fluctua.report.figures.sheet import Sheet, remark

from .ours import DELTA

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRUTH, OURS, OTHERS = "black", RUNGS["exact"][0], RUNGS["discrete"][0]
SHOWN = ["least squares, shuffled", "least squares, with replacement"]


def draw(results: dict[str, Any], path: Path) -> None:
    found = {name: each for name, each in results["rivals"].items() if name in SHOWN} or results["rivals"]
    sheet = Sheet()
    with sheet.settings():
        figure, panels = sheet.canvas(
            "When is training on no longer worth it?",
            f"digits, lr 0.05, b 16, from zero; {_runs(found)} runs; delta {DELTA:g}, alpha 0.01",
            5.4,
            nrows=2,
            ncols=len(found),
            sharex="col",
            sharey="row",
            height_ratios=[1.4, 1],
        )
        for upper, lower, (name, each) in zip(panels, panels[len(found) :], found.items(), strict=False):
            _gains(upper, each)
            remark(upper, name)
            _firing(lower, each["fires"], each["truth"])
        panels[0].set_ylabel("gain of the next doubling,\nin noise floors")
        sheet.legend(figure, panels[0])
        figure.savefig(path)


def _runs(found: dict[str, Any]) -> int:
    return len(next(iter(found.values()))["fires"]["ours"])


def _gains(axes: Axes, each: dict[str, Any]) -> None:
    ours, truth = each["ours"], each["truth"]
    axes.fill_between(ours["epochs"], ours["low"], ours["high"], color=OURS, alpha=0.25, linewidth=0)
    axes.plot(
        ours["epochs"], ours["mean"], color=OURS, linewidth=1.8, label="the monitor: 2.3 W/F, mean and 90 % of runs"
    )
    axes.plot(truth["epochs"], truth["gain"], color=TRUTH, linewidth=1.5, label="truth: the exact learning curve")
    axes.axhline(DELTA, color="black", linestyle=":", linewidth=1, label="delta")
    axes.set(xscale="log", yscale="log")


def _firing(axes: Axes, fires: dict[str, list[float]], truth: dict[str, list[float]]) -> None:
    names = list(fires)
    below = np.flatnonzero(np.array(truth["gain"]) < DELTA)
    if len(below):
        axes.axvline(truth["epochs"][below[0]], color=TRUTH, linewidth=1.5)
    for place, name in enumerate(names):
        values = np.array(fires[name], float)
        fired, colour = values[np.isfinite(values)], OURS if name == "ours" else OTHERS
        if len(fired):
            axes.plot([fired.min(), fired.max()], [place, place], color=colour, linewidth=3, alpha=0.4)
            axes.plot(np.median(fired), place, "o", color=colour)
        if len(fired) < len(values):
            axes.annotate(
                "never" if not len(fired) else f"{len(fired)} of {len(values)} runs", (0.03, place),
                xycoords=("axes fraction", "data"), ha="left", va="center", fontsize=7,
            )  # fmt: skip
    axes.set_yticks(range(len(names)), ["the monitor" if name == "ours" else name for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("epoch at which the detector fires")

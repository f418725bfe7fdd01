"""Draw shuffle.png: the variance of every mode in shuffled epochs, and what independent batches would do.

    python docs/figures/shuffle.py [digits mnist]

Real runs from W* with sampling="shuffle", as `RUNS` says, are recorded at 32 steps spread over the positions of an
epoch. Both laws are for exactly these steps: the law of shuffled epochs, and the exact law of independent batches of
the same size, drawn without replacement. The dotted line is h = 3/(lr n), n the steps of an epoch: in modes flatter
than that most of the noise of a batch is still there when the rest of the epoch takes it back.

On one core digits take two minutes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

import fluctua as fl
from fluctua.report.figures.frame import RUNGS, decades, points
from fluctua.report.figures.sheet import Sheet, remark
from fluctua.verification.significance import compare

Array = NDArray[np.float64]
if TYPE_CHECKING:
    from matplotlib.axes import Axes

RUNS = {
    "digits": (fl.SGD(0.05, 16, sampling="shuffle"), 20_000, 256),
    "mnist": (fl.SGD(0.01, 32, sampling="shuffle"), 8000, 64),  # drawn when asked for
}
HALF = 0.2  # of the axis below
LAW, OTHER = RUNGS["exact"][0], RUNGS["discrete"][0]


class Case(NamedTuple):
    """One data set: the measurement and both laws."""

    name: str
    run: fl.Measurement
    epochs: fl.Prediction
    independent: fl.Prediction


def study(name: str) -> Case:
    """Run a recipe and predict what it does."""
    sgd, steps, replicas = RUNS[name]
    data = fl.load(name)
    problem = fl.LeastSquares(data.inputs, data.targets)
    begin = perf_counter()
    run = fl.simulate(problem, sgd, steps=steps, replicas=replicas, rng=1)
    simulated = perf_counter()
    recipes = sgd, replace(sgd, sampling="without_replacement")
    laws = [fl.predict(problem, one).after(run.recorded.tolist(), rtol=1e-2) for one in recipes]
    case = Case(data.name, run, *laws)
    print(
        f"{data.name}: {sgd.words}, {steps} steps, {replicas} replicas; simulated in {simulated - begin:.0f} s, "
        f"predicted in {perf_counter() - simulated:.0f} s; excess loss {run.excess_loss:.6g} +- "
        f"{run.excess_loss_error:.2g}"
    )
    for words, law in zip(("shuffled epochs", "independent batches"), laws, strict=True):
        found = compare(run, law.excess_loss, law.mode_covariance, 0.01)
        off = law.mode_variances / run.mode_variances
        print(
            f"  {words}: excess loss {law.excess_loss:.6g} ({law.excess_loss / run.excess_loss - 1:+.2%}), modes "
            f"{np.median(off):.3g} of the measured in the median, up to {off.max():.3g}; z-rms {found.z_rms:.2f}, "
            f"p {found.p_value:.2g}",
            flush=True,
        )
    return case


def draw(upper: Axes, lower: Axes, case: Case) -> None:
    """Draw the variances, and below the same divided by the law of shuffled epochs."""
    name, run, epochs, independent = case
    h, law = epochs.curvatures, epochs.mode_variances
    bar = student.ppf(0.975, run.replicas - 1) * run.mode_variance_errors
    upper.plot(
        h, independent.mode_variances, "--", color=OTHER, linewidth=1.3, label="exact law of independent batches"
    )
    upper.plot(h, law, color=LAW, linewidth=1.8, label="law of shuffled epochs, nothing fitted")
    points(upper, h, run.mode_variances, bar, "measured in shuffled epochs, with 95 % interval")
    upper.set(xscale="log", yscale="log")
    lower.plot(h, independent.mode_variances / law, "--", color=OTHER, linewidth=1.3)
    lower.plot(h, law / law, color=LAW, linewidth=1.8)
    points(lower, h, run.mode_variances / law, bar / law)
    lower.set(xlabel="curvature of the mode, $h_p$", ylim=(1 - HALF, 1 + HALF))
    sgd = epochs.law.sgd
    epoch = len(sgd.batch_sizes(epochs.law.problem.samples))
    for axes in (upper, lower):
        axes.axvline(3 / (sgd.lr * epoch), color="black", linestyle=":", linewidth=1, label=r"$h = 3/(\eta\,n)$")
    decades(upper)
    _mark_widest(upper, h, independent.mode_variances, law)
    remark(upper, f"{name}: n = {epoch:,} steps an epoch")


def _words(case: Case) -> str:
    """Say in words what was run."""
    run = case.run
    return (
        f"{case.name}: {case.epochs.law.sgd.words}, {run.recorded[-1]:,} steps from the optimum, {run.replicas} "
        f"replicas"
    )


def _mark_widest(axes: Axes, h: Array, above: Array, below: Array) -> None:
    """Tell the largest factor between the laws."""
    p = int(np.argmax(above / below))
    axes.annotate("", (h[p], below[p]), (h[p], above[p]), arrowprops={"arrowstyle": "<->", "shrinkA": 0, "shrinkB": 0})
    axes.annotate(f" {above[p] / below[p]:.0f} times", (h[p], np.sqrt(above[p] * below[p])), fontsize=8, va="center")


def main() -> None:
    names = sys.argv[1:] or ["digits"]
    cases = [study(name) for name in names]
    sheet = Sheet()
    with sheet.settings():
        figure, panels = sheet.canvas(
            "Shuffled epochs calm the flat modes of the weights",
            "\n".join(map(_words, cases)),
            5.6,
            nrows=2,
            ncols=len(cases),
            sharex="col",
            sharey="row",
            height_ratios=[1.7, 1],
        )
        for upper, lower, case in zip(panels, panels[len(cases) :], cases, strict=False):
            draw(upper, lower, case)
        panels[0].set_ylabel("variance along the mode, $S_{pp}$")
        panels[len(cases)].set_ylabel("divided by the law\nof shuffled epochs")
        sheet.legend(figure, panels[0])
        figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()

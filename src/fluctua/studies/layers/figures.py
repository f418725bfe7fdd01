"""The figures of the study: variance against curvature at three times, and the balance element by element."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..._arrays import Array
from ...report.figures.frame import INK, NOTE, decades, points
from ...report.figures.sheet import Sheet, remark
from ...report.figures.studied import Drawn, StudyPage, present
from ...theory.local.flatness import exponent
from ...verification.conclusion import StatementVerdict
from .told import WINDOWS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["balance", "slope"]

_COLOURS = {"early": "#0072B2", "middle": "#E69F00", "late": "#D55E00"}
_MARKERS = {"early": "o", "middle": "s", "late": "^"}
_ELEMENTS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_SLOPES = {-1: "slope -1: Boltzmann", 0: "slope 0: isotropic", 1: "slope +1"}


def slope(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Return variance against curvature along the principal directions of layer 2, in three windows."""
    figure, (axes, *_) = sheet.canvas("Do flat directions fluctuate less? Layer 2 at three times", verdict.title, 4.2)
    for window in WINDOWS:
        _window(axes, verdict, window)
    _guides(axes, verdict)
    axes.set(xscale="log", yscale="log", xlabel="curvature along the direction", ylabel="variance")
    decades(axes)
    remark(axes, "symbols: measured, with 2 standard errors; crosses: predicted, nothing fitted")
    sheet.legend(figure, axes)
    return figure


def _window(axes: Axes, verdict: StatementVerdict, window: str) -> None:
    x, y, bar, said, steps = (
        verdict.arrays[f"{window}_{name}"] for name in ("curvature", "measured", "error", "predicted", "steps")
    )
    colour, slope = _COLOURS[window], _fit(x, said)
    label = f"{window}: steps {steps[0]:,} to {steps[-1]:,}"
    label += f"; line: predicted slope {slope:+.2f}" if np.isfinite(slope) else ""
    axes.errorbar(
        x, y, 2 * bar, fmt=_MARKERS[window], color=colour, markersize=3.2, elinewidth=0.5, label=label, zorder=2
    )
    axes.plot(x, said, "+", color=INK, markersize=4, markeredgewidth=0.6, zorder=3)
    if not np.isfinite(slope):
        return
    ends = np.array([x.min(), x.max()])
    height = np.exp(np.log(said).mean() + slope * (np.log(ends) - np.log(x).mean()))
    axes.plot(ends, height, color=colour, linewidth=1.4, zorder=1)


def _fit(x: Array, y: Array) -> float:
    """Slope of log y on log x; NaN where x does not vary."""
    return 0.5 * exponent(y, x**-0.5)


def _guides(axes: Axes, verdict: StatementVerdict) -> None:
    """Lines of slope -1, 0 and +1 through the middle of the late points."""
    x, y = verdict.arrays["late_curvature"], verdict.arrays["late_predicted"]
    ends, middle = np.array([x.min(), x.max()]), np.exp(np.log(x).mean())
    height = np.exp(np.log(y).mean())
    for (power, label), dash in zip(_SLOPES.items(), ("--", ":", "-."), strict=True):
        axes.plot(ends, height * (ends / middle) ** power, color=NOTE, linestyle=dash, linewidth=1.0, label=label)


def balance(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Return the drift of the balance in time: its trace, and the elements that drift most."""
    figure, (left, right) = sheet.canvas(
        "The balance of the layers drifts, at a predicted rate", verdict.title, 3.2, ncols=2
    )
    step = verdict.arrays["step"].astype(float)
    none = np.zeros_like(step)
    points(left, step, verdict.arrays["trace_measured"], none, "measured, replica mean")
    left.plot(step, verdict.arrays["trace_predicted"], color=_ELEMENTS[0], label="predicted")
    left.set(xlabel="step", ylabel=r"$\mathrm{tr}\,(W_2^T W_2 - W_1 W_1^T)$, change")
    remark(left, "trace")
    for number, colour in enumerate(_ELEMENTS, 1):
        if f"element_{number}_measured" in verdict.arrays:
            right.plot(step, verdict.arrays[f"element_{number}_measured"], ".", color=colour, markersize=3)
            right.plot(step, verdict.arrays[f"element_{number}_predicted"], color=colour, linewidth=0.9)
    right.set(xlabel="step", ylabel="change of an element")
    remark(right, "the elements that drift most")
    sheet.legend(figure, left)
    return figure


present(
    StudyPage(
        "layers",
        {
            "slope": Drawn(
                slope,
                "Variance against curvature along the principal directions of layer 2, as predicted, in an early, a "
                "middle and the late window. Rising points mean that flat directions fluctuate less.",
                WINDOWS,
            ),
            "balance": Drawn(
                balance,
                "What gradient flow would conserve, W2^T W2 - W1 W1^T, drifts by lr^2 a step: the replica mean, and "
                "the prediction through it.",
                ("balance",),
            ),
        },
        formulas={
            "drifting": "F107",
            "linear": "F106",
            "isotropic": "F112",
            "no second derivative in K": "F106",
            "step identity": "F108",
            "Slope of log variance on log curvature, layer 2": "F110",
            "Drift of tr Bal": "F108",
        },
        letters="W1 and W2 are the weights of the layers, H the curvature of the loss in both, S the covariance of the "
        "weights about their mean, Bal = W2^T W2 - W1 W1^T, lr the learning rate.",
        reference="Gross, Raulf and Raeth, Phys. Rev. Research 6, 033103 (2024), arXiv:2311.14120: claims from the "
        "abstract; formulas and numbers are fluctua's own.",
    )
)

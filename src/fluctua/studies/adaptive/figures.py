"""How the study is shown: the bias against the step, and the densities with the monitor below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..._arrays import Array
from ...report.figures.frame import INK, NOTE, drawable
from ...report.figures.sheet import Sheet
from ...report.figures.studied import Drawn, StudyPage, present
from ...verification.conclusion import StatementVerdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["bias", "density"]

_LINES = {
    "ip": ("#0072B2", "-", "o", "IP: with the correction"),
    "naive": ("#009E73", (0, (5, 1.5)), "s", "naive, weighted by g"),
    "fixed": ("#D55E00", (0, (1, 1.2)), "D", "fixed step"),
}


def bias(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Draw log2 of the bias of E x^2 against log2 of the step: exact curves, and what was measured."""
    a = verdict.arrays
    figure, (axes, *_) = sheet.canvas("Bias of a finite step", verdict.title, 4.0)
    for method, (colour, dashes, marker, label) in _LINES.items():
        if f"bias_{method}" in a:
            y = _log2(np.abs(a[f"bias_{method}"]))
            axes.plot(np.log2(a["lr"]), y, color=colour, linestyle=dashes, marker=marker, markersize=3, label=label)
    size, half = np.abs(a["measured_bias"]), 1.96 * a["bias_error"]
    bar = np.abs(_log2(np.stack([np.maximum(size - half, size / 64), size + half])) - _log2(size))
    axes.errorbar(np.log2(a["measured_lr"]), _log2(size), bar, fmt="o", color=INK, label="measured (95 %)")
    axes.set_xlabel("log2 of lr")
    axes.set_ylabel(r"log2 of |E $x^2$ less that of exp(-V/T)|")
    sheet.legend(figure, axes)
    return figure


def density(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Draw the exact density of the chain through the measured one, beside the target's, and the monitor below."""
    a = verdict.arrays
    grid = {"nrows": 2, "sharex": True, "height_ratios": (3, 1)}
    figure, (above, below, *_) = sheet.canvas("Where the chain is", verdict.title, 4.6, **grid)
    above.plot(a["x"], a["target_density"], color=NOTE, linestyle=(0, (4, 1.2)), label="target, exp(-V/T)")
    if np.abs(a["kept_density"] - a["target_density"]).max() > 1e-9 * a["target_density"].max():
        label = "what continuous time keeps"
        above.plot(a["x"], a["kept_density"], color="#009E73", linestyle=(0, (1, 1.2)), label=label)
    above.plot(a["x"], a["density"], color="#0072B2", label="exact law at this step")
    bar = drawable(1.96 * a["density_error"])
    above.errorbar(a["middle"], a["measured_density"], bar, fmt="o", color=INK, markersize=1.8, label="measured (95 %)")
    above.set_ylabel("density")
    below.plot(a["x"], a["g"], color=INK)
    below.set_ylabel("g")
    below.set_xlabel("x")
    sheet.legend(figure, above)
    return figure


def _log2(values: Array) -> Array:
    with np.errstate(divide="ignore"):
        return drawable(np.log2(values))


present(
    StudyPage(
        "adaptive",
        {
            "bias": Drawn(
                bias,
                "Bias of the second moment against the step, exact for every method, with the measured one.",
                ("bias", "measured_bias"),
            ),
            "density": Drawn(
                density,
                "Density of the chain: exact at this step and measured, beside exp(-V/T); below, the monitor g "
                "by which steps are scaled.",
                ("densities", "histogram"),
            ),
        },
        {
            "exact": "F101",
            "exact, weighted by g": "F103",
            "first order in lr": "F102",
            "target": "F100",
            "no correction": "F100",
            "0.9 of the correction": "F100",
            "fixed step": "F101",
        },
        "x' = x + h (-g V' + c T g') + sqrt(2 T g h) N(0, 1): h is the step lr in the fictitious time, V the "
        "potential, T the temperature, g the monitor, c the share of the correction.",
        "Adaptive steps: Leroy, Leimkuhler, Latz and Higham, SIAM J. Sci. Comput. 46, A3574 (2024), arXiv:2403.11993.",
    )
)

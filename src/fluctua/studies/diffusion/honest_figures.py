"""Figures of denoisers that are not the best linear one: what training returns, and what memorisation keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...report.figures.frame import INK, NOTE, decades
from ...report.figures.sheet import Sheet, remark
from ...report.figures.studied import Drawn
from ...verification.conclusion import StatementVerdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["HONEST", "memorisation", "refund"]

_BLUE, _RED = "#0072B2", "#D55E00"


def memorisation(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Draw what is unknown of the data at each level, and the memorisation meter against the number of steps."""
    a = verdict.arrays
    figure, (left, right) = sheet.canvas("How much less a nonlinear score loses", verdict.title, 3.2, ncols=2)
    left.plot(a["left_lambda"], a["left_linear"], color=NOTE, linestyle=(0, (4, 1.2)), label="linear denoiser")
    left.plot(a["left_lambda"], a["left_score"], color=_BLUE, label="this score")
    left.errorbar(a["left_lambda"], a["left_measured"], 2 * a["left_error"], fmt="o", color=INK, label="measured")
    left.set(xscale="log", xlabel="noise over signal, lambda", ylabel="E Var(x0|x), share")
    right.axhline(1.0, color=NOTE, linestyle=(0, (4, 1.2)))
    right.axhline(0.0, color=_RED, linestyle=(0, (1, 1.2)))
    right.errorbar(a["meter_steps"], a["meter_ratio"], 2 * a["meter_error"], fmt="o-", color=_BLUE)
    right.set(xscale="log", xlabel="steps", ylabel="lost over a Gaussian's")
    right.set_ylim(-0.1, max(1.25, right.get_ylim()[1]))
    right.set_xticks(a["meter_steps"], [f"{steps:g}" for steps in a["meter_steps"]])
    right.set_xticks((), minor=True)
    decades(left)
    remark(right, "1: linear; 0: memorised")
    sheet.legend(figure, left)
    return figure


def refund(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Draw the variance kept mode by mode, with the best denoiser and with trained ones."""
    a = verdict.arrays
    figure, (axes, *_) = sheet.canvas("What the noise of SGD gives back", verdict.title, 3.6)
    s = a["trained_variance"]
    axes.plot(s, a["trained_best"], color=NOTE, linestyle=(0, (4, 1.2)), label="the best denoiser")
    axes.plot(s, a["trained_exact"], color=_BLUE, label="trained: exact law")
    bar = 2 * a["trained_error"]
    axes.errorbar(s, a["trained_measured"], bar, fmt="o", color=INK, markersize=3, label="trained: measured")
    wide = s.max() > 10 * s.min()
    axes.set(xscale="log" if wide else "linear", xlabel="variance of the mode, s", ylabel="share kept, u/s")
    decades(axes)
    sheet.legend(figure, axes)
    return figure


HONEST = {
    "memorisation": Drawn(
        memorisation,
        "Left: what is unknown of the data at a level, of this score and of a linear denoiser; a step of DDIM leaves "
        "out a multiple of it. Right: the variance that samples lose over that which Gaussian ones would.",
        ("left out", "meter"),
    ),
    "refund": Drawn(
        refund,
        "Variance kept of each mode, averaged over trainings: SGD's noise in the weights gives back a share of what "
        "the steps leave out.",
        ("trained",),
    ),
}

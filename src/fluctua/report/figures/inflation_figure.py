"""How much too wide a sampler's posterior is, mode by mode: S_pp over the target against the curvature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..._arrays import Array
from ...verification.verdict import Verdict
from .frame import RUNGS, decades, drawable, points, positive, recipe, student
from .sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["inflation", "inflation_lines"]


def inflation(verdict: Verdict, sheet: Sheet) -> Figure:
    """Return the figure "inflation" of a verdict on a sampler."""
    a = verdict.arrays
    rungs = {name: a[f"predicted_{name}"] for name in RUNGS if f"predicted_{name}" in a}
    seen = a["measured_variances"], student(verdict) * a["measured_errors"]
    return inflation_lines(sheet, recipe(verdict), a["curvatures"], a["target"], seen, rungs, verdict.theory)


def inflation_lines(
    sheet: Sheet, said: str, h: Array, target: Array, seen: tuple[Array, Array], rungs: Mapping[str, Array], tested: str
) -> Figure:
    """Return the figure: what was seen, with its bars, as points, and a line for each rung, all over the target."""
    measured, bar = seen
    figure, (axes, *_) = sheet.canvas("How much too wide the posterior is, mode by mode", said, 4.0)
    points(axes, h, positive(drawable(measured / target)), bar / target, "measured, with its interval")
    for name, variances in rungs.items():
        colour, dashes, words = RUNGS[name]
        thick = name == tested
        axes.plot(
            h,
            positive(variances / target),
            color=colour,
            ls="-" if thick else dashes,
            lw=1.8 if thick else 1.1,
            label=words,
        )
    shown = np.concatenate([measured / target, rungs[tested] / target])
    shown = shown[np.isfinite(shown) & (shown > 0)]
    low, high = (min(shown.min(), 1.0), max(shown.max(), 1.0)) if len(shown) else (0.1, 10.0)
    axes.set(
        xscale="log",
        yscale="log",
        ylim=(low / 1.3, high * 1.3),
        xlabel=r"curvature of the mode, $h_p$",
        ylabel=r"variance over the target's, $S_{pp}\,h_p/(c\,T)$",
    )
    decades(axes)
    sheet.legend(figure, axes)
    return figure

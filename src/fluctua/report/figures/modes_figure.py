"""Mode variance against curvature: measured, and on every rung of the ladder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..._arrays import Array
from ..._validate.plain import Keywords
from ...verification.verdict import INDEPENDENT, Verdict
from .frame import INK, MANY, RUNGS, decades, drawable, points, positive, quantile, recipe, student
from .sheet import Sheet, remark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CLOSE = ("discrete", "langevin", INDEPENDENT)  # rungs whose distance from the theory sets the scale of the ratios
_EPOCHS = "law of shuffled epochs, nothing fitted"


def modes(verdict: Verdict, sheet: Sheet) -> Figure:
    """Return the figure "modes" of a verdict."""
    title = "How far each mode of the weights fluctuates"
    figure, (upper, lower) = sheet.canvas(title, recipe(verdict), 6.4, nrows=2, sharex=True, height_ratios=[1.3, 1])
    h, measured = verdict.arrays["curvatures"], drawable(verdict.arrays["measured_variances"])
    bar = student(verdict) * verdict.arrays["measured_errors"]
    rungs: dict[str, Array] = {
        name: positive(verdict.arrays[f"predicted_{name}"]) for name in RUNGS if f"predicted_{name}" in verdict.arrays
    }
    tested = rungs[verdict.theory]
    points(upper, h, positive(measured), bar, "measured, with 95 % interval")
    for name, predicted in rungs.items():
        colour, dashes, words = RUNGS[name]
        if name == "exact" and INDEPENDENT in rungs:
            words = _EPOCHS
        thick = name == verdict.theory
        upper.plot(h, predicted, color=colour, ls="-" if thick else dashes, lw=1.8 if thick else 1.1, label=words)
    upper.set(xscale="log", yscale="log", ylabel=r"variance along the mode, $S_{pp}$")
    _frame(upper, np.concatenate([measured, tested]))
    decades(upper)
    ratios = {name: rung / tested for name, rung in rungs.items() if name != verdict.theory}
    lower.plot(h, tested / tested, color=RUNGS[verdict.theory][0], linewidth=1.8)
    _ratios(lower, h, measured / tested, bar / tested, ratios)
    lower.set(xlabel=r"curvature of the mode, $h_p$", ylabel=f"divided by the {verdict.theory} theory")
    if len(sheet.into) == 1:
        upper.set_xlabel(r"curvature of the mode, $h_p$")
    sheet.legend(figure, upper)
    return figure


def _frame(axes: Axes, values: Array) -> None:
    """Fit the logarithmic axis to these `values`: "equilibrium" misses flat modes by many decades and runs out."""
    shown = values[values > 0]
    axes.set_ylim(*((shown.min() / 2, shown.max() * 2) if len(shown) else (0.1, 10)))  # a diverged run shows none


def _ratios(axes: Axes, h: Array, measured: Array, bar: Array, rungs: Mapping[str, Array]) -> None:
    """Show the few per cent between the theories; a point beyond the axis is counted, and marked at its edge."""
    distances = [quantile(np.abs(rungs[name] - 1), 0.5) for name in _CLOSE if name in rungs]
    wide = 1.35 * max([quantile(np.abs(measured - 1), 0.9), *distances])
    half = next((step for step in (0.05, 0.1, 0.2, 0.3) if wide <= step), 0.5)
    for name, ratio in rungs.items():
        near = np.where(np.abs(ratio - 1) < 3 * half, ratio, np.nan)  # spares lines that shoot across the panel
        axes.plot(h, near, color=RUNGS[name][0], **_rung_style(name, many=len(h) > MANY))
    points(axes, h, measured, bar)
    for edge, marker, beyond in ((1 - half, "v", measured < 1 - half), (1 + half, "^", measured > 1 + half)):
        if beyond.any():
            axes.plot(h[beyond], np.full(beyond.sum(), edge), marker, color=INK, markersize=3.5, clip_on=False)
    axes.set_ylim(1 - half, 1 + half)
    outside = np.sum(np.abs(measured - 1) > half)
    remark(axes, f"axis cut at {1 - half:g} and {1 + half:g}; {outside} of {len(h)} points lie beyond (triangles)")


def _rung_style(name: str, many: bool) -> Keywords:
    """Return thin lines, or dots where lines would be a thicket: between hundreds of modes, or of a ragged rung."""
    if many or name not in _CLOSE:
        # "discrete" coincides with "langevin" in flat modes and shows around it
        size = 4.0 if name == "discrete" or not many else 2.4
        return {"linestyle": "none", "marker": ".", "markersize": size, "markeredgewidth": 0, "rasterized": many}
    return {"linewidth": 0.9, "linestyle": RUNGS[name][1], "marker": ".", "markersize": 3.0}

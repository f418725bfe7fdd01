"""The learning curve: the exact one through the replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...verification.verdict import Verdict
from .frame import RUNGS, drawable, points, positive, quantile, recipe, student
from .sheet import Sheet, remark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MEASURED = ("low", "high", "mean")
_CONTRAST = 4.0  # between parts of a learning curve, from which a linear axis would flatten one of them


def curve(verdict: Verdict, sheet: Sheet) -> Figure:
    """Return the figure "curve" of a verdict."""
    figure, (axes,) = sheet.canvas("Learning curve, predicted and measured", recipe(verdict), 4.4)
    arrays = {name: drawable(values) for name, values in verdict.arrays.items()}
    t, bar = arrays["watched"], student(verdict) * arrays["loss_error"]
    colour, curve = RUNGS[verdict.theory][0], arrays["curve"]
    floor = None if verdict.run.recipe.schedule else _level(verdict)
    peak, end = quantile(curve, 1.0), curve[-1] if floor is None else np.maximum(floor, curve[-1])
    far = not peak <= _CONTRAST * end  # falls far, or grows without bound: then `end` is not a number
    able = positive if far else drawable
    if far:
        axes.set_yscale("log")
    curve, low, high, mean = (able(each) for each in (curve, *(arrays[f"loss_{name}"] for name in _MEASURED)))
    axes.fill_between(t, low, high, color="#d8d8d8", label="5 to 95 % of the replicas")
    points(axes, t, mean, bar, "mean of the replicas, with 95 % interval")
    words = f"{verdict.theory} theory, nothing fitted"
    axes.plot(arrays["curve_steps"], curve, color=colour, linewidth=1.8, label=words)
    if floor is not None:
        _stationary_floor(axes, floor, colour, shown=floor <= _CONTRAST * peak)
    axes.set_xscale("symlog", linthresh=1, linscale=0.4, subs=range(2, 10))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set(xlabel="step $t$", ylabel=r"excess loss, $E\,L(W_t) - L(W^*)$", xlim=(-0.2, 1.2 * t[-1]))
    sheet.legend(figure, axes)
    return figure


def _level(verdict: Verdict) -> float:
    return float(drawable(verdict.row(f"{verdict.theory}, stationary").excess_loss))


def _stationary_floor(axes: Axes, floor: float, colour: str, shown: bool) -> None:
    name = "its stationary level"
    if floor == 0:
        return  # an average over all time comes to rest
    if not np.isfinite(floor):
        remark(axes, "no stationary level: beyond the stability limit")
    elif shown:
        axes.axhline(floor, color=colour, linestyle="--", linewidth=1, label=f"{name}, {floor:.3g}")
    else:
        remark(axes, f"{name}, {floor:.3g}, is far above")

"""F0 element by element: dissipation against fluctuation, both measured along the trajectory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..._arrays import Array
from ...verification.verdict import Verdict
from .frame import MANY, RUNGS, decades, drawable, points, positive, quantile, recipe
from .sheet import Sheet, remark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GROUPS = 20  # of pairs of modes, averaged
_DISCRETE = r"$\eta (HS + SH) - \eta^2 HSH + \Delta S$", r"fluctuation, $F = \eta^2 \kappa\, (C + K[S])$"
_CONTINUOUS = r"$(1 - m m^T) \circ S + \Delta S$", r"fluctuation, $F = i \circ \kappa\, C$"


def balance(verdict: Verdict, sheet: Sheet) -> Figure:
    """Return the figure "balance" of a verdict that has one."""
    title = "Fluctuation against dissipation, element by element"
    figure, (left, right) = sheet.canvas(title, recipe(verdict), 4.3, ncols=2)
    x, y, bar = (drawable(verdict.arrays[name]) for name in ("fluctuation", "dissipation", "dissipation_error"))
    p, q = verdict.arrays["element"]
    modes = slice(len(verdict.arrays["curvatures"]))  # the first r elements are the diagonal, in order
    _single_modes(left, x[modes], y[modes], bar[modes])
    with np.errstate(invalid="ignore"):
        unit = np.sqrt(x[p] * x[q])
    _pairs(right, *((values / unit)[p < q] for values in (x, y, bar)))
    dissipation, fluctuation = _CONTINUOUS if verdict.run.dynamics == "langevin" else _DISCRETE
    left.set_ylabel("dissipation and storage\n" + dissipation)
    right.set_ylabel("dissipation and storage")
    for axes in (left, right):
        axes.set(xlabel=fluctuation, box_aspect=1)
    sheet.legend(figure, left, right)
    return figure


def _single_modes(axes: Axes, x: Array, y: Array, error: Array) -> None:
    points(axes, positive(x), positive(y), 2 * error, "one mode, with 2 standard errors")
    axes.set(xscale="log", yscale="log")
    _diagonal(axes, *axes.get_xlim())
    decades(axes)
    negative = np.sum((x <= 0) | (y <= 0))
    remark(axes, "single modes, $p = q$" + (f"\n{negative} of {len(x)} negative, not shown" if negative else ""))


def _pairs(axes: Axes, x: Array, y: Array, error: Array) -> None:
    """Draw the elements off the diagonal, and their means over groups of similar x, weighted by precision."""
    known = np.isfinite(x) & np.isfinite(y) & (error > 0)
    x, y, weight = x[known], y[known], error[known] ** -2
    axes.plot(
        x,
        y,
        "o",
        color="#a6a6a6",
        markersize=1.8,
        markeredgewidth=0,
        rasterized=len(x) > MANY,
        label="one pair of modes",
    )
    groups = [group for group in np.array_split(np.argsort(x), _GROUPS) if len(group)]
    means = np.array([_weighted(x[group], y[group], weight[group]) for group in groups]).reshape(-1, 3).T
    points(axes, means[0], means[1], 2 * means[2], "mean of pairs with similar $F$, with 2 standard errors")
    reach = 2 * quantile(np.abs(means[0]), 1.0) or 1.0
    _diagonal(axes, -reach, reach)
    axes.locator_params(nbins=5)
    beyond = np.sum(np.maximum(np.abs(x), np.abs(y)) > reach)
    remark(axes, r"pairs of modes, in units of $\sqrt{F_{pp} F_{qq}}$" + f"\n{beyond} of {len(x)} lie outside")


def _weighted(x: Array, y: Array, weight: Array) -> tuple[float, float, float]:
    """Return the weighted means of x and y, and the standard error of their difference, from its scatter."""
    share = weight / weight.sum()
    return float(share @ x), float(share @ y), float(np.sqrt(share**2 @ (y - x) ** 2))


def _diagonal(axes: Axes, lowest: float, highest: float) -> None:
    """Give both axes this range, and draw the line on which F0 holds."""
    axes.plot([lowest, highest], [lowest, highest], color=RUNGS["exact"][0], linewidth=1.2, label="balance, F0")
    axes.set(xlim=(lowest, highest), ylim=(lowest, highest))

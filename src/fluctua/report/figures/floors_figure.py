"""The noise floor of a head against the learning rate: its rungs, the measured floor, and where the bowl ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..._arrays import Array
from ...theory.local.ladder import LOCAL_RUNGS
from ...theory.local.prediction import OUTSIDE
from ...verification.verdict import Verdict
from .frame import INK, RUNGS, decades, drawable, points, recipe, student
from .sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["floor_lines"]


def floor_lines(verdict: Verdict, sheet: Sheet) -> Figure:
    """Return the figure "floors" of a verdict."""
    figure, (axes,) = sheet.canvas("The noise floor against the learning rate", recipe(verdict), 4.4)
    rates, limit = verdict.arrays["floor_lr"], float(verdict.identity["limit"])
    for name in (each for each in LOCAL_RUNGS if np.isfinite(verdict.arrays[f"floor_{each}"]).any()):
        colour, dashes, words = RUNGS[name]
        floors = drawable(verdict.arrays[f"floor_{name}"])
        tested = name == verdict.theory
        axes.plot(rates, floors, color=colour, ls="-" if tested else dashes, lw=1.8 if tested else 1.1, label=words)
    at = np.array([verdict.run.recipe.lr])
    bar = np.array([student(verdict) * verdict.excess_loss_error])
    points(axes, at, drawable(np.array([verdict.excess_loss])), bar, "measured, with 95 % interval")
    axes.axvline(limit, color=INK, linewidth=1, linestyle="--", label=f"crossover, {limit:.3g}")
    edge = _edge(rates, verdict.arrays["floor_anharmonicity"], limit)
    axes.set(xscale="log", yscale="log", xlim=(min(rates[0], at[0]) / 1.2, 1.5 * max(limit, at[0])))
    axes.axvspan(edge, axes.get_xlim()[1], color="#eeeeee", zorder=0, label=f"anharmonicity above {OUTSIDE:.0%}")
    axes.set(xlabel=r"learning rate $\eta$", ylabel=r"excess loss, $E\,L(W) - L(W^*)$")
    decades(axes)
    sheet.legend(figure, axes)
    return figure


def _edge(rates: Array, anharmonicity: Array, limit: float) -> float:
    """The rate at which the anharmonicity is what no floor is given above, between two that are known."""
    beyond = np.flatnonzero(~(np.abs(anharmonicity) <= OUTSIDE))
    if not len(beyond):
        return limit
    first = int(beyond[0])
    if first == 0 or not np.isfinite(anharmonicity[first]):
        return float(rates[first])
    pair = slice(first - 1, first + 1)
    return float(np.interp(OUTSIDE, anharmonicity[pair], rates[pair]))

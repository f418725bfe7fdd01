"""Every number of every statement against what was measured, in standard errors."""

from __future__ import annotations

from math import ceil, log10
from typing import TYPE_CHECKING

import numpy as np

from ...verification.conclusion import StatementVerdict
from .frame import INK, NOTE, legible
from .sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["scores"]

_COLOURS = {"claim": "#0072B2", "mutant": "#D55E00"}
_TICKS = 3  # powers of ten to either side, at most
_LINEAR = 3.0  # standard errors up to which the axis is linear


def scores(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Draw measured less predicted in standard errors, a line for each statement."""
    rows = verdict.rows
    figure, (axes, *_) = sheet.canvas(
        "Statements against runs", f"{verdict.study}: {verdict.title}", 1.4 + 0.24 * len(rows)
    )
    for place, row in enumerate(rows):
        z = np.clip([one.score if abs(one.score) < 37 else one.z for one in row.quantities], -1e6, 1e6)
        axes.plot(
            z,
            np.full(len(z), float(place)),
            "o" if row.role == "claim" else "D" if row.role == "mutant" else "s",
            color=_COLOURS.get(row.role, NOTE),
            markersize=4,
            clip_on=False,
        )
    bar = _threshold(verdict)
    axes.axvspan(-bar, bar, color="#0072B2", alpha=0.12, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.6)
    axes.set_xscale("symlog", linthresh=_LINEAR)
    (low, high) = limits = axes.get_xlim()
    axes.set_xticks(_ticks(max(-low, high)))
    axes.set_xlim(limits)
    axes.set_yticks(range(len(rows)), [legible(f"{row.name} ({row.role})") for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("deviation, standard errors")
    return figure


def _ticks(largest: float) -> list[float]:
    """Zero and some powers of ten to either side, so few that their labels stand apart."""
    decades = max(1, ceil(log10(max(largest, 10.0))))
    powers = [10.0**k for k in range(1, decades + 1) if k % ceil(decades / _TICKS) == 0]
    return [*(-power for power in reversed(powers)), 0.0, *powers]


def _threshold(verdict: StatementVerdict) -> float:
    """Standard errors beyond which a number of the first claim is rejected."""
    from scipy.stats import norm

    claim = verdict.claims[0]
    return float(norm.isf(claim.level / len(claim.quantities) / 2))

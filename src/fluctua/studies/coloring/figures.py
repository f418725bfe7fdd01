"""How the study is shown: the energy in time with the temperatures of its moves, and the temperature of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...report.figures.frame import INK, NOTE
from ...report.figures.sheet import Sheet
from ...report.figures.studied import Drawn, StudyPage, present
from ...verification.conclusion import StatementVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["energy", "temperature"]

_LINES = {
    "sgd": (INK, "-", "the move"),
    "matched": ("#0072B2", (0, (5, 1.5)), "Metropolis, matched T"),
    "zero": ("#D55E00", (0, (1, 1.2)), "Metropolis, T0"),
}


def energy(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Draw the energy per vertex in time, with T_k against the change k of the energy beside it."""
    a = verdict.arrays
    figure, (left, right, *_) = sheet.canvas("Energy, and its temperatures", verdict.title, 3.6, ncols=2)
    for name, (colour, dashes, label) in _LINES.items():
        if f"energy_{name}" in a:
            y, bar = a[f"energy_{name}"], np.nan_to_num(a[f"error_{name}"])
            left.plot(a["sweep"], y, color=colour, linestyle=dashes, label=label)
            left.fill_between(a["sweep"], y - 1.96 * bar, y + 1.96 * bar, color=colour, alpha=0.15, linewidth=0)
    left.set_xscale("log")
    left.set_xlabel("sweeps")
    left.set_ylabel("E/N")
    _temperatures(verdict, right)
    sheet.legend(figure, left)
    return figure


def _temperatures(verdict: StatementVerdict, axes: Axes) -> None:
    a = verdict.arrays
    axes.plot(a["change"], a["temperature_predicted"], color="#0072B2", marker="_", linestyle="none", markersize=12)
    axes.errorbar(a["change"], a["temperature"], 1.96 * np.nan_to_num(a["temperature_error"]), fmt="o", color=INK)
    if "temperature_matched" in a:
        axes.axhline(float(a["temperature_matched"][0]), color=NOTE, linewidth=1)
    axes.set_xlabel("change k of the energy")
    axes.set_ylabel("T_k (bars: predicted)")
    axes.set_xticks(a["change"])


def temperature(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Draw the temperature of a batch: the closure's, T0, and the one whose energy was measured."""
    a = verdict.arrays
    figure, (axes, *_) = sheet.canvas("Temperature of a batch", verdict.title, 3.6)
    axes.plot(a["batch"], a["temperature_tree"], color="#0072B2", label="tree closure")
    axes.plot(a["batch"], a["temperature_zero"], color="#D55E00", linestyle=(0, (5, 1.5)), label="T0 = -1/ln(1 - B)")
    axes.plot(a["batch_measured"], a["temperature_matched"], "o", color=INK, label="matched in energy")
    axes.set_yscale("log")
    axes.set_xlabel("share B of the edges in the batch")
    axes.set_ylabel("temperature")
    sheet.legend(figure, axes)
    return figure


present(
    StudyPage(
        "coloring",
        {
            "energy": Drawn(
                energy,
                "Energy per vertex against sweeps, of the move and of Metropolis at the matched temperature and at T0; "
                "and the temperatures T_k of its moves, which an equilibrium has all the same (the line).",
                ("energy", "temperatures"),
            ),
            "temperature": Drawn(
                temperature,
                "The temperature of a batch: of the tree closure, of moves without conflicts before or after (T0), and "
                "the one at which Metropolis has the measured energy.",
                ("temperature against the batch", "measured temperature"),
            ),
        },
        {
            "exact": "F122",
            "exp(-E/T0)": "F121",
            "exp(-E/T_E)": "F125",
            "tree closure": "F123",
            "tree": "F123",
            "acceptance of flags": "F121",
            "T_1 = T_2 = T_3": "F125",
            "one batch for a sweep": "F127",
        },
        "n and m are the neighbours with the colour of a vertex now and with the proposed one, B is the share of the "
        "edges in a batch, acc(n, m) the probability that a move is accepted, T0 = -1/ln(1 - B).",
        "Colouring: Angelini, Cavaliere, Marino and Ricci-Tersenghi, Sci. Rep. 14, 11638 (2024), arXiv:2309.05337.",
    )
)

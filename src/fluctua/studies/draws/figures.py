"""How the verdict on draws is shown: every mode's variance over that of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...report.figures.inflation_figure import inflation_lines
from ...report.figures.sheet import Sheet
from ...report.figures.studied import Drawn, StudyPage, present
from ...verification.conclusion import StatementVerdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["inflation"]


def inflation(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Return the figure "inflation"."""
    a = verdict.arrays
    rungs = {name.removeprefix("predicted_"): a[name] for name in a if name.startswith("predicted_")}
    tested = str(verdict.identity["theory"])
    seen = a["measured"], 2 * a["error"]
    return inflation_lines(sheet, verdict.title, a["curvature"], a["target"], seen, rungs, tested)


present(
    StudyPage(
        "draws",
        {
            "inflation": Drawn(
                inflation,
                "Variance along every mode over that of the target: of the draws, with two standard errors, and on "
                "every rung of the ladder.",
                ("modes",),
            )
        },
        letters="S is the second moment of W about W*, h a curvature, T the temperature.",
    )
)

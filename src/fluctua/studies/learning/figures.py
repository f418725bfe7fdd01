"""The figures of the study, from the arrays of a verdict alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...report.figures.frame import INK
from ...report.figures.sheet import Sheet, remark
from ...report.figures.studied import Drawn, StudyPage, present
from ...verification.conclusion import StatementVerdict
from .foretelling import Estimator
from .held import NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__: list[str] = []

_LOOKS: dict[Estimator, tuple[str, str]] = {
    "regression": ("o", "#0072B2"),
    "equilibrium": ("s", "#E69F00"),
    "variances": ("^", "#D55E00"),
}
_SYMMETRIC = "symmetric_"


def foretold(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Draw the speed foretold from fluctuation against the speed measured, for every task."""
    prefixes = [_SYMMETRIC, ""] if f"{_SYMMETRIC}learned" in verdict.arrays else [""]
    figure, axes = sheet.canvas(
        "Speed of learning, foretold before learning", f"{verdict.study}: {verdict.title}", 3.9, ncols=len(prefixes)
    )
    for panel, prefix in zip(axes, prefixes, strict=False):
        _cloud(panel, verdict, prefix)
        panel.set_xlabel("speed measured by learning")
    axes[0].set_ylabel("speed foretold from fluctuation")
    if len(prefixes) > 1:
        remark(axes[0], "memories: symmetric coupling")
        remark(axes[1], "as asked: driven from class to class")
    sheet.legend(figure, *axes[: len(prefixes)])
    return figure


def _cloud(axes: Axes, verdict: StatementVerdict, prefix: str) -> None:
    """One network's tasks, a marker for each estimator, and the diagonal."""
    arrays = verdict.arrays
    learned = arrays[f"{prefix}learned"]
    values = [learned]
    for name, (marker, colour) in _LOOKS.items():
        value, error = arrays[f"{prefix}{name}"], arrays[f"{prefix}{name}_error"]
        values.append(value)
        axes.errorbar(
            learned, value, 1.96 * error, fmt=marker, markersize=3, color=colour, elinewidth=0.6, label=NAMES[name]
        )
    seen = np.concatenate(values)
    ends = np.array([seen.min(), seen.max()])
    axes.plot(ends, ends, color=INK, linewidth=0.8, label="foretold = measured")


def grown(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Draw how the overlap of the response with the target grows while the first task is learned."""
    arrays = verdict.arrays
    figure, (axes, *_) = sheet.canvas(
        f"Task {verdict.identity['tasks'][0]} while it is learned", f"{verdict.study}: {verdict.title}", 3.6
    )
    axes.errorbar(
        arrays["eps_learned"],
        arrays["overlap_learned"],
        1.96 * arrays["overlap_error"],
        fmt="o",
        markersize=4,
        color="#D55E00",
        label="measured",
    )
    axes.plot(arrays["eps"], arrays["overlap"], color="#0072B2", label="theory")
    axes.plot(arrays["eps"], arrays["initial_slope"], "--", color=INK, linewidth=0.8, label="by the initial speed")
    axes.set_xlabel(r"strength of learning, $\epsilon$")
    axes.set_ylabel("overlap of response and target")
    sheet.legend(figure, axes)
    return figure


present(
    StudyPage(
        "learning",
        {
            "foretold": Drawn(
                foretold,
                "Speed of learning of every task, foretold from spontaneous activity alone, against the speed measured "
                "by learning; bars are 95 % intervals. The product of variances and the equilibrium theorem lie on the "
                "diagonal where the coupling is symmetric and leave it where activity is driven; the regression stays.",
                ("tasks",),
            ),
            "learning": Drawn(
                grown,
                "Overlap of the response to the input with its target, against the strength to which the task was "
                "learned. The initial speed is the slope at 0.",
                ("learning", "learned"),
            ),
        },
        formulas={
            **dict.fromkeys(
                [
                    "regression",
                    "rotation",
                    "C_1 transposed",
                    "C_1 transposed, symmetric",
                    "equilibrium",
                    "equilibrium, symmetric",
                    "variance x response",
                    "product of variances",
                    "product of variances, symmetric",
                ],
                "F116",
            ),
            "balance": "F117",
            "learning": "F118",
            "linear": "F115",
            "frozen": "F119",
            "gaussian closure": "F119",
        },
        letters="x is the activity, S its covariance, C_1 that between two steps, chi the response, D the noise, "
        "dt the time step, g the gain; u is an input, xi its target, eps the strength of learning.",
        reference="T. Kurikawa and K. Kaneko, Nat. Commun. 16 (2025), arXiv:2409.13597; formulas and numbers are ours",
    )
)

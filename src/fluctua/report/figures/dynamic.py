"""The theorem in time: regression, response against correlation, circulation, and the current in one plane."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from ..._arrays import Array, Ints
from ...verification.in_time.verdict import DynamicVerdict
from ..words import name_words
from .frame import INK, RUNGS, decades, points, positive
from .sheet import Sheet, remark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_THEORY, _OTHER = RUNGS["exact"][0], RUNGS["discrete"][0]
_TWO = 2.0  # standard errors in a bar
_SHOWN, _SPACING = 6, 0.04  # modes whose regression is drawn, and how far their ends are from one another
_MANY_STEPS = 1000  # in which an area is large enough to be read
_SIGNED, _DENSITY = "PuOr", "Greys"  # colour maps that are read without telling red from green


def regression(verdict: DynamicVerdict, sheet: Sheet) -> Figure:
    """Onsager's regression: correlation of some modes with themselves, and the answer to a kick, against the lag."""
    figure, (left, right) = sheet.canvas(
        "A fluctuation decays as a kick does", recipe(verdict), 4.0, ncols=2, sharey=True
    )
    a, lags = verdict.arrays, verdict.arrays["lags"].astype(float)
    modes = _spread_out(a["decay"][-1])
    for shade, p in zip(np.linspace(0.1, 0.75, len(modes)), modes, strict=True):
        colour = _shade(shade)
        for axes, theory in ((left, a["decay"]), (right, a["dense_responses"])):
            axes.plot(np.arange(len(theory)), theory[:, p], color=colour, linewidth=1.3)
        points(left, lags, verdict.shares[:, p], _TWO * a["share_error"][:, p])
        points(right, lags, a["measured_responses"][:, p], _TWO * a["response_error"][:, p])
        right.annotate(
            f"$h$ = {a['curvatures'][p]:.2g}",
            (lags[-1], a["dense_responses"][-1, p]),
            (4, 0),
            color=colour,
            textcoords="offset points",
            va="center",
            fontsize=7,
            annotation_clip=False,
        )
    left.plot([], [], color=_shade(0.4), label="theory, nothing fitted: one line per mode")
    points(left, np.array([np.nan]), np.array([np.nan]), np.array([np.nan]), "measured, with 2 standard errors")
    left.set(xlabel="lag $k$ (steps)", ylabel="share that is left")
    right.set(xlabel="steps after the kick")
    remark(left, r"correlation, $E[V(t)^T V(t+k)]_{pp} / S_{pp}$")
    remark(right, "response to a kick, twins on the same batches")
    sheet.legend(figure, left)
    return figure


def response(verdict: DynamicVerdict, sheet: Sheet) -> Figure:
    """Correlation against response, both measured: what a mode has lost, and pairs of modes."""
    figure, (left, right) = sheet.canvas("Fluctuation against response, both measured", recipe(verdict), 3.7, ncols=2)
    a = verdict.arrays
    unit = np.sqrt(np.multiply.outer(*2 * (np.diag(a["covariance"]),)))
    now, found, said = (a[name] / unit for name in ("measured_covariance", "measured_lagged", "by_response"))
    error = a["fdt_error"] / unit
    lost, answer = (np.diagonal(now - each, axis1=1, axis2=2).ravel() for each in (found, said))
    points(
        left,
        positive(answer),
        positive(lost),
        _TWO * np.diagonal(error, axis1=1, axis2=2).ravel(),
        "one mode at one lag, with 2 standard errors",
    )
    left.set(
        xscale="log",
        yscale="log",
        ylabel=sheet.label(r"correlation lost, $(S - E[V(t)^T V(t+k)])_{pp}$", 1.5),
        xlabel=r"$(S - S R(k))_{pp}$, $R$ from kicks",
    )
    decades(left)
    others = ~np.eye(len(unit), dtype=bool)
    points(right, said[:, others].ravel(), found[:, others].ravel(), _TWO * error[:, others].ravel())
    right.set(ylabel=r"correlation, $E[V(t)^T V(t+k)]_{pq}$", xlabel=r"$(S R(k))_{pq}$, $R$ from kicks")
    for axes in (left, right):
        _diagonal(axes, "the theorem: equal")
    right.locator_params(nbins=5)
    remark(left, r"modes, in units of $S_{pp}$")
    remark(right, r"pairs of modes, in units of $\sqrt{S_{pp} S_{qq}}$")
    sheet.legend(figure, left)
    return figure


def circulation(verdict: DynamicVerdict, sheet: Sheet) -> Figure:
    """J predicted beside measured, as matrices and element by element."""
    figure, (first, second, third) = sheet.canvas(
        "What breaks detailed balance: the circulation $J$", recipe(verdict), 3.6, ncols=3
    )
    a = verdict.arrays
    unit = np.sqrt(np.multiply.outer(*2 * (np.diag(a["covariance"]),))) / _MANY_STEPS
    predicted, measured = (each / unit for each in verdict.currents)
    reach = float(np.abs(predicted).max()) or 1.0
    for axes, matrix, words in ((first, predicted, "predicted"), (second, measured, "measured")):
        edges = (0.5, len(matrix) + 0.5)
        image = axes.imshow(matrix, cmap=_SIGNED, vmin=-reach, vmax=reach, extent=(*edges, *edges[::-1]))
        axes.grid(False)
        axes.set(xlabel="mode $q$, steepest first", ylabel="mode $p$")
        remark(axes, words + r", $J_{pq} / \sqrt{S_{pp} S_{qq}}$")
    sheet.colour_bar(figure, image, [first, second], f"area per {_MANY_STEPS:,} steps")
    upper = np.triu_indices(len(unit), 1)
    points(
        third,
        predicted[upper],
        measured[upper],
        _TWO * (a["current_errors"] / unit)[upper],
        "one pair, with 2 standard errors",
    )
    _diagonal(third, "equal")
    third.axhline(0, color=_OTHER, linestyle="--", linewidth=1.2, label="equilibrium: none")
    third.set(xlabel="predicted", ylabel="measured", box_aspect=1)
    third.set_yticks(third.get_xticks()[1:-1])
    found = verdict.circulation
    remark(third, f"{found.resolved} of {found.elements} above 3 errors")
    sheet.legend(figure, third)
    return figure


def current(verdict: DynamicVerdict, sheet: Sheet) -> Figure:
    """Probability current in the plane of the two modes with the largest circulation, over the density.

    Of the measured current the part that is odd under x -> -x is drawn: J is in that. The even part is what the
    skewness of the noise does, which a Gaussian process has not; it sweeps no area about the origin.
    """
    figure, panels = sheet.canvas("The weights go round", recipe(verdict), 4.0, ncols=2, sharex=True, sharey=True)
    a, (p, q) = verdict.arrays, verdict.arrays["plane"] + 1
    side = round(np.sqrt(len(a["places"])))
    x, y = (each.reshape(side, side) for each in a["places"].T)
    measured = 0.5 * (a["measured_current"] - a["measured_current"][::-1])
    shown = a["current"] if verdict.circulation.predicted else measured  # of one unit, theory's where it has any
    longest = float(np.linalg.norm(shown, axis=1).max()) or 1.0
    for axes, density, flow, colour in (
        (panels[0], a["density"], a["current"], _THEORY),
        (panels[1], a["measured_density"], measured, INK),
    ):
        axes.contourf(x, y, density.reshape(side, side), levels=8, cmap=_DENSITY, alpha=0.6)
        axes.quiver(*a["places"].T, *flow.T, color=colour, scale=14 * longest, width=0.006)
        axes.set(box_aspect=1, xlabel=f"mode {p}, in standard deviations")
    remark(panels[0], "predicted: current over density")
    remark(panels[1], "measured: current, odd part, over density")
    panels[0].set_ylabel(f"mode {q}, in standard deviations")
    return figure


def recipe(verdict: DynamicVerdict) -> str:
    """Say in words what was run."""
    run = verdict.run
    name = name_words(verdict, f"{run.problem.samples} samples")
    words = f"{name}: {run.recipe.words}, {run.steps} steps from the optimum, {run.replicas} replicas"
    return textwrap.fill(f"{words}; the {run.modes} steepest modes from step {run.opened} on", 100)


def _shade(share: float) -> tuple[float, float, float, float]:
    """One of a family of colours that grow lighter."""
    from matplotlib import colormaps

    found: tuple[float, float, float, float] = colormaps["viridis"](share)
    return found


def _spread_out(values: Array) -> Ints:
    """Indices of a few values that are far apart, so that their lines can be told from one another."""
    wanted = np.linspace(values.min(), values.max(), _SHOWN)
    found = np.unique(np.abs(values - wanted[:, None]).argmin(axis=1))
    kept = [p for i, p in enumerate(found) if i == 0 or np.abs(values[p] - values[found[:i]]).min() > _SPACING]
    return np.array(kept)


def _diagonal(axes: Axes, label: str) -> None:
    """Give both axes the wider range of the two, and draw the line on which they agree.

    A logarithmic axis on which nothing is positive has no range of its own.
    """
    ends = np.array([*axes.get_xlim(), *axes.get_ylim()])
    if axes.get_xscale() == "log":
        ends = ends[ends > 0] if np.any(ends > 0) else np.array([0.1, 1.0])
    lowest, highest = float(ends.min()), float(ends.max())
    axes.plot([lowest, highest], [lowest, highest], color=_THEORY, linewidth=1.2, label=label)
    axes.set(xlim=(lowest, highest), ylim=(lowest, highest), box_aspect=1)

"""What theory says before any run: variances of modes, a learning curve, a plan; and the curve that a run had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..._arrays import Array
from ...planning.batch_cost import BatchCosts
from ...planning.recipes import Plan
from ...simulation.measurement import Measurement
from ...theory.answers import Prediction
from .frame import INK, RUNGS, decades, drawable, points, positive
from .sheet import Sheet, remark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["batch_sizes", "curve", "given_curve", "measured_curve", "modes", "plan"]

_THEORY, _OTHER = RUNGS["exact"][0], RUNGS["discrete"][0]
_CONTRAST = 4.0  # between parts of a curve, from which a linear axis would flatten one of them
_BAND = (5, 95)  # per cent of the replicas
_TWO = 2.0  # standard errors in a bar


def modes(prediction: Prediction, sheet: Sheet) -> Figure:
    """Return the figure of the modes' variances, and of their temperatures below."""
    title, words = "How far each mode of the weights fluctuates", _words(prediction)
    figure, (upper, lower) = sheet.canvas(title, words, 5.6, nrows=2, sharex=True)
    h, colour = prediction.curvatures, _colour(prediction)
    upper.plot(h, positive(prediction.mode_variances), "o-", color=colour, markersize=3, linewidth=1.1)
    upper.set(xscale="log", yscale="log", ylabel=r"variance along the mode, $S_{pp}$")
    lower.plot(h, positive(prediction.temperatures), "o-", color=colour, markersize=3, linewidth=1.1)
    lower.set(yscale="log", xscale="log", ylabel=r"temperature, $T_p = h_p S_{pp}/c$")
    for axes in (upper, lower) if len(sheet.into) == 1 else (lower,):
        axes.set_xlabel(r"curvature of the mode, $h_p$")
    remark(lower, "equal temperatures would be equilibrium")
    for axes in (upper, lower):
        decades(axes)
    return figure


def curve(prediction: Prediction, sheet: Sheet) -> Figure:
    """Return the figure of the learning curve that the prediction keeps."""
    figure, (axes,) = sheet.canvas("Learning curve, predicted", _words(prediction), 4.0)
    assert prediction.curve is not None
    _draw_curve(axes, prediction.curve, _colour(prediction))
    return figure


def given_curve(losses: Array, sheet: Sheet) -> Figure:
    """Return the figure of a learning curve."""
    figure, (axes,) = sheet.canvas("Learning curve, predicted", f"{len(losses) - 1:,} steps", 4.0)
    _draw_curve(axes, np.asarray(losses, dtype=float), _THEORY)
    return figure


def measured_curve(found: Measurement, sheet: Sheet) -> Figure:
    """Return the figure of the losses of a run: the replicas' mean, and most of them."""
    words = f"{found.run.recipe.words}, {found.replicas} replicas"
    figure, (axes,) = sheet.canvas("Learning curve, measured", words, 4.0)
    with np.errstate(all="ignore"):  # a run may have diverged
        losses = drawable(found.replica_losses)
        mean, error = losses.mean(axis=0), losses.std(axis=0, ddof=min(1, found.replicas - 1)) / found.replicas**0.5
        low, high = np.percentile(losses, _BAND, axis=0)
    axes.fill_between(found.watched, low, high, color="#d8d8d8", label="5 to 95 % of the replicas")
    points(axes, found.watched.astype(float), mean, _TWO * error, "mean of the replicas, with 2 standard errors")
    _axes_of_losses(axes, mean, float(found.watched[-1]))
    sheet.legend(figure, axes)
    return figure


def plan(found: Plan, sheet: Sheet) -> Figure:
    """Return the figure of what each candidate ends with, the best on top."""
    shown = found.candidates[::-1]
    title, words = "Expected loss at the end of the run", f"{found.steps:,} steps, each at its best learning rate"
    figure, (axes,) = sheet.canvas(title, words, 1.6 + 0.28 * len(shown))
    places = np.arange(len(shown))
    axes.plot([one.loss for one in shown], places, "o", color=_THEORY, markersize=5)
    axes.axvline(found.optimum_loss, color=_OTHER, linestyle="--", linewidth=1.2, label="loss at the optimum")
    axes.set_yticks(places, [f"{one.shape}, momentum {one.sgd.momentum:g}, lr {one.sgd.lr:.3g}" for one in shown])
    axes.set(xlabel=f"{found.objective} loss", ylim=(-0.6, len(shown) - 0.4))
    axes.locator_params(axis="x", nbins=4)
    sheet.legend(figure, axes)
    return figure


def batch_sizes(costs: BatchCosts, sheet: Sheet) -> Figure:
    """Return the figure of steps and samples to the target against the batch size."""
    words = "plain SGD, at the best constant learning rate of each batch size"
    figure, (left, right) = sheet.canvas("What a batch size costs", words, 3.4, ncols=2)
    sizes = np.array([one.batch_size for one in costs], dtype=float)
    order = np.argsort(sizes)
    for axes, values, label in (
        (left, [one.steps for one in costs], "steps to the target"),
        (right, [one.samples for one in costs], "samples to the target"),
    ):
        axes.plot(sizes[order], positive(np.array(values))[order], "o-", color=_THEORY, markersize=4)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set(xlabel="batch size $b$", ylabel=label)
    return figure


def _draw_curve(axes: Axes, losses: Array, colour: str) -> None:
    axes.plot(np.arange(len(losses)), positive(losses), color=colour, linewidth=1.8)
    _axes_of_losses(axes, losses, len(losses) - 1.0)


def _axes_of_losses(axes: Axes, losses: Array, last: float) -> None:
    seen = losses[np.isfinite(losses) & (losses > 0)]
    if len(seen) and seen.max() > _CONTRAST * seen.min():
        axes.set_yscale("log")
    axes.set_xscale("symlog", linthresh=1, linscale=0.4, subs=range(2, 10))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set(xlabel="step $t$", ylabel=r"excess loss, $E\,L(W_t) - L(W^*)$", xlim=(-0.2, 1.2 * last))


def _words(prediction: Prediction) -> str:
    law = prediction.law
    average = "" if law.average is None else f", {law.average.words}"
    return f"{prediction.theory} theory, {prediction.when}{average}: {law.sgd.words}"


def _colour(prediction: Prediction) -> str:
    return RUNGS[prediction.theory][0] if prediction.theory in RUNGS else INK

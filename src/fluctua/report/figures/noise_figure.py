"""The gradient noise: its covariance, its memory, and how far from Gaussian it is."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from ...verification.noise import STEEPEST
from ...verification.noise_found import GradientNoise
from .frame import RUNGS, decades, drawable, points
from .sheet import Sheet, remark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_THEORY, _GAUSS = RUNGS["exact"][0], RUNGS["discrete"][0]
_TWO = 2.0  # standard errors in a bar


def noise(found: GradientNoise, sheet: Sheet) -> Figure:
    """Return the figure of the gradient noise."""
    figure, (variance, memory, kurtosis, size) = sheet.canvas(
        "The gradient noise, measured and predicted", _recipe(found), 6.6, nrows=2, ncols=2
    )
    _variance(variance, found)
    _memory(memory, found)
    _kurtosis(kurtosis, found)
    _batch_size(size, found)
    sheet.legend(figure, variance, size)
    return figure


def _variance(axes: Axes, found: GradientNoise) -> None:
    h = found.curvatures
    points(axes, h, found.variances, _TWO * found.variance_errors, "measured, with 2 standard errors")
    axes.plot(h, drawable(found.predicted_variances), color=_THEORY, label="predicted, nothing fitted")
    axes.set(xscale="log", yscale="log", xlabel="curvature of the mode, $h_p$", ylabel="variance of the noise")
    decades(axes)
    remark(axes, r"covariance $\kappa\,(C + K[S])$, diagonal")


def _memory(axes: Axes, found: GradientNoise) -> None:
    lags = np.arange(1.0, len(found.correlations) + 1)
    points(axes, lags, found.correlations, _TWO * found.correlation_errors)
    axes.axhline(0, color=_THEORY)
    reach = 1.5 * float(np.max(np.abs(found.correlations) + _TWO * found.correlation_errors))
    axes.set(xlabel="lag (steps)", ylabel="correlation, mean over modes", ylim=(-reach, reach), xticks=lags)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    remark(axes, "memory: none")


def _kurtosis(axes: Axes, found: GradientNoise) -> None:
    h = found.curvatures
    points(axes, h, found.kurtoses, _TWO * found.kurtosis_errors)
    axes.plot(h, found.predicted_kurtoses, color=_THEORY)
    axes.axhline(0, color=_GAUSS, linestyle="--", linewidth=1.2)
    axes.set(xscale="log", xlabel="curvature of the mode, $h_p$", ylabel="excess kurtosis")
    axes.set_yscale("symlog", linthresh=1)
    decades(axes)
    remark(axes, f"batches of {found.run.recipe.batch_size}: kurtosis per mode; theory at $W^*$")


def _batch_size(axes: Axes, found: GradientNoise) -> None:
    b = found.batch_sizes.astype(float)
    points(axes, b, found.steep_kurtoses, _TWO * found.steep_errors)
    axes.plot(b, found.steep_predicted, color=_THEORY)
    axes.axhline(0, color=_GAUSS, linestyle="--", linewidth=1.2, label="Gaussian")
    axes.set_xscale("log", base=2)
    axes.set_yscale("symlog", linthresh=0.1)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="batch size $b$", ylabel="excess kurtosis")
    remark(axes, f"mean of the {STEEPEST} steepest modes, at $W^*$")


def _recipe(found: GradientNoise) -> str:
    run = found.run
    name = found.data.get("name", f"{run.problem.samples:,} samples")
    recipe = run.recipe.words
    return textwrap.fill(f"{name}: {recipe}, {run.steps} steps from the optimum, {run.replicas} replicas", 100)

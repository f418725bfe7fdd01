"""How the study is shown: variance kept, the quarter circle, three grids, and samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..._arrays import Array
from ...report.figures.frame import NOTE, decades, drawable
from ...report.figures.sheet import Sheet, remark
from ...report.figures.studied import Drawn, StudyPage, present
from ...verification.conclusion import StatementVerdict
from .honest_figures import HONEST
from .pictured import ARMS, DRAWN, GRIDS, image_side

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["circle", "grids", "kept", "samples"]

_COLOURS = ("#0072B2", "#E69F00", "#D55E00", "#009E73")
_MARKERS = ("o", "s", "^", "D")
_ARM_COLOURS = dict(zip(ARMS, ("#0072B2", "#E69F00", "#D55E00"), strict=True))
_GRID_COLOURS = dict(zip(GRIDS, ("#D55E00", "#009E73", "#0072B2"), strict=True))
_NAMES = {"asked": "as asked", "predicted": "predicted", "flow": "no steps"}


def kept(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Draw the variance kept of each mode against the mode's own, for several eta, measured and predicted."""
    a = verdict.arrays
    figure, (axes, *_) = sheet.canvas("What a sampler keeps of each mode", verdict.title, 3.6)
    x = a["mode_variance"]
    order = np.argsort(x)
    axes.plot(x[order], a["kept_ode"][order], color=NOTE, linestyle=(0, (1, 1.2)), label="no error of the steps")
    etas = sorted(name.removeprefix("kept_") for name in a if name.startswith("kept_") and name != "kept_ode")
    for eta, colour, marker in zip(etas, _COLOURS, _MARKERS, strict=False):
        axes.plot(x[order], a[f"kept_{eta}"][order], color=colour, label=f"eta = {eta}, predicted")
        if f"measured_{eta}" in a:
            bar = drawable(1.96 * a[f"measured_{eta}_error"])
            axes.errorbar(x, a[f"measured_{eta}"], bar, fmt=marker, color=colour, markersize=2.8, elinewidth=0.6)
    axes.set(xscale="log", xlabel="variance of the mode in the data, s", ylabel="share kept, u/s")
    axes.set_ylim(bottom=0.0)
    decades(axes)
    if any(name.startswith("measured_") for name in a):
        remark(axes, "symbols: measured (95 %); lines: nothing fitted")
    sheet.legend(figure, axes)
    return figure


def circle(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Draw three modes as arms on the quarter circle: DDIM turns an arm by its angle and keeps its projection."""
    a = verdict.arrays
    figure, panels = sheet.canvas("Each step turns a mode and keeps its projection", verdict.title, 3.1, ncols=3)
    for axes, name in zip(panels, ARMS, strict=True):
        _arm(axes, a[f"arm_{name}_angle"], a[f"arm_{name}_length"], _ARM_COLOURS[name])
        remark(axes, f"{name} mode: keeps {a[f'arm_{name}_length'][-1] ** 2:.1%}")
        axes.set_xlabel("signal")
    panels[0].set_ylabel("noise")
    return figure


def _arm(axes: Axes, angle: Array, length: Array, colour: str) -> None:
    arc = np.linspace(0, np.pi / 2, 100)
    axes.plot(np.cos(arc), np.sin(arc), color=NOTE, linewidth=0.8, linestyle=(0, (1, 1.2)))
    x, y = length * np.cos(angle), length * np.sin(angle)
    axes.plot(np.stack([np.zeros_like(x), x]), np.stack([np.zeros_like(y), y]), color=colour, linewidth=0.35)
    axes.plot(x, y, "o-", color=colour, markersize=2.2, linewidth=1.2)
    axes.set(aspect="equal", xlim=(0, 1.06), ylim=(0, 1.06), xticks=(0, 1), yticks=(0, 1))


def grids(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Draw where three grids take their steps, and how much of the variance each step leaves out."""
    a = verdict.arrays
    there = [name for name in GRIDS if f"grid_{name}_lambda" in a]
    figure, panels = sheet.canvas(
        "Where the steps are, and what each leaves out", verdict.title, 3.8, nrows=len(there), sharex=True, sharey=True
    )
    for axes, name in zip(panels, there, strict=False):
        x, y = a[f"grid_{name}_lambda"], a[f"grid_{name}_lost"]
        axes.vlines(x, 0, y, color=_GRID_COLOURS[name], linewidth=1.4)
        axes.plot(x, y, "o", color=_GRID_COLOURS[name], markersize=2.5)
        axes.set(xscale="log")
        remark(axes, f"{name}: {len(x)} steps, the largest leaves out {y.max():.3f}")
    panels[0].invert_xaxis()
    panels[0].set_ylim(0.0, 1.08 * max(float(a[f"grid_{name}_lost"].max()) for name in there))
    panels[len(there) // 2].set_ylabel("share of the variance")
    panels[len(there) - 1].set_xlabel(r"noise to signal $\lambda$ from which the step departs (noise left, data right)")
    return figure


def samples(verdict: StatementVerdict, sheet: Sheet) -> Figure:
    """Draw samples that began as the same noise: as asked, on the predicted grid, and without steps."""
    a = verdict.arrays
    there = [name for name in DRAWN if f"sample_{name}" in a]
    count, width = (int(each) for each in a["sample_shape"])
    drawn = {name: a[f"sample_{name}"].reshape(count, width) for name in there}
    if side := image_side(width):
        return _images(verdict, sheet, drawn, side)
    figure, panels = sheet.canvas("Samples from the same noise", verdict.title, 2.7, ncols=len(there), sharex=True)
    reach = 1.1 * max(float(np.abs(each).max()) for each in drawn.values())
    for axes, (name, each) in zip(panels, drawn.items(), strict=False):
        axes.plot(each[:, 0], each[:, -1], "o", color=_COLOURS[0], markersize=1.8)
        axes.set(title=_NAMES[name], xlim=(-reach, reach), ylim=(-reach, reach), xlabel="first mode")
    panels[0].set_ylabel("second mode" if width > 1 else "first mode")
    return figure


def _images(verdict: StatementVerdict, sheet: Sheet, drawn: dict[str, Array], side: int) -> Figure:
    count = len(next(iter(drawn.values())))
    figure, panels = sheet.canvas(
        "Samples from the same noise", verdict.title, 0.9 * len(drawn) + 0.4, nrows=len(drawn), ncols=count
    )
    low, high = (float(each) for each in np.quantile(next(reversed(drawn.values())), (0.01, 0.99)))
    places = iter(panels)
    for name, each in drawn.items():
        for number, image in enumerate(each):
            axes = next(places)
            axes.imshow(_pixels(image, side, low, high), cmap="gray", vmin=low, vmax=high)
            axes.set(xticks=(), yticks=())
            axes.grid(visible=False)
            if not number:
                axes.set_ylabel(_NAMES[name], fontsize="small")
    return figure


def _pixels(image: Array, side: int, low: float, high: float) -> Any:
    """Gray as it is, and three colours, one after the other, between 0 and 1."""
    if image.size == side**2:
        return image.reshape(side, side)
    return np.clip((image.reshape(3, side, side).transpose(1, 2, 0) - low) / (high - low), 0.0, 1.0)


present(
    StudyPage(
        "diffusion",
        {
            "kept": Drawn(
                kept,
                "Share of each mode's variance that the sampler keeps: predicted at three eta, and measured where "
                "samples were drawn. Without an error of the steps the share would be one, up to the start.",
                ("modes",),
            ),
            "circle": Drawn(
                circle,
                "Three modes of the data under DDIM, at eta = 0. A mode is an arm that begins at the angle of noise "
                "and ends along the signal; each step turns it and keeps its projection, so that it falls short of the "
                "circle.",
                ("arms",),
            ),
            "grids": Drawn(
                grids,
                "The levels from which the steps of three grids depart, and the share of the variance that each step "
                "leaves out. The predicted grid takes its steps where the variance of these data is lost.",
                ("grids",),
            ),
            "samples": Drawn(
                samples,
                "Samples of the Gaussian of the data that began as the same noise: of the sampler as asked, of as many "
                "steps on the predicted grid, and of the probability flow, which has no error of steps.",
                ("samples",),
            ),
            **HONEST,
        },
        formulas={
            "variance left out": "F149",
            "that of a linear denoiser": "F149",
            "langevin": "F143",
            "no weight noise": "F145",
            "exact": "F128",
            "cosine law": "F129",
            "first order": "F132",
            "ode": "F132",
            "Bound": "F131",
            "Wasserstein distance": "F135",
            "Relative entropy": "F135",
            "On the predicted grid": "F133",
        },
        letters="s is the variance of a mode of the data and u that of the samples; a^2 = alpha-bar is the share of "
        "data at a level, sigma^2 = 1 - a^2, lambda = sigma^2/a^2; eta is the noise of a step.",
        reference="Han, arXiv:2408.07285, for the framework: the abstract was read; formulas and numbers are fluctua's "
        "own. Samplers: Song, Meng and Ermon, arXiv:2010.02502; Lu et al., arXiv:2211.01095.",
    )
)

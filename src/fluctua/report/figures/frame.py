"""What all figures share: the palette, the style, points with error bars, and what an axis can hold."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..._arrays import Array
from ..._validate.values import instance, shown
from ...errors import InvalidInput
from ...verification.verdict import INDEPENDENT, Verdict
from ..words import name_words, recipe_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes


WIDTH, DPI = 6.2, 150  # 930 pixels, shown at about 800 by code hosts
MANY = 500  # points beyond which an SVG holds them as pixels
_LARGEST = 1e100  # a run that passed it has diverged, and the squares inside an axis would overflow

_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito's
INK, NOTE = "#000000", "#555555"
RUNGS: dict[str, tuple[str, Any, str]] = {  # Okabe and Ito's palette
    "exact": ("#0072B2", (0, (7, 1.5)), "exact: nothing fitted, nothing dropped"),
    "discrete": ("#D55E00", (0, (5, 1.5)), "discrete: noise does not feel the fluctuation"),
    "langevin": ("#009E73", (0, (1, 1.2)), "Langevin: and in continuous time"),
    "hessian": ("#CC79A7", (0, (4, 1.2, 1, 1.2)), "Hessian: and noise proportional to curvature"),
    "equilibrium": ("#E69F00", (0, (2, 1.5)), "equilibrium: one temperature for all modes"),
    "multiplicative": ("#56B4E9", (0, (3, 1, 1, 1)), "multiplicative: noise feels the fluctuation"),
    "anharmonic": ("#0072B2", (0, (7, 1.5)), "anharmonic: and third derivatives"),
    "closure": ("#CC79A7", (0, (4, 1.2, 1, 1.2)), "closure: all derivatives, Gaussian weights"),
    "full_batch": ("#CC79A7", (0, (4, 1.2, 1, 1.2)), "full batch: thermal noise alone"),
    "target": ("#E69F00", (0, (2, 1.5)), "target: the posterior itself"),
    INDEPENDENT: ("#009E73", (0, (4, 1.2, 1, 1.2)), "exact for independent batches"),
}
STYLE: dict[str, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": "cycler('color', [" + ", ".join(f"'{each}'" for each in _PALETTE) + "])",
    "savefig.dpi": DPI,
    "svg.hashsalt": "fluctua",
}
_SIZES = ("font.size", "axes.titlesize", "legend.fontsize")


@contextmanager
def style(scale: float | None = 1.0, more: Any = None) -> Iterator[None]:
    """Matplotlib's own defaults under ours, whatever the user's are; theirs return afterwards.

    `scale` is the size of the letters in that of the usual ones; None keeps the user's settings. `more`, a style's name
    or settings, goes over them.
    """
    _import_matplotlib()
    from matplotlib import style

    ours: list[Any] = [] if scale is None else ["default", STYLE | {name: scale * STYLE[name] for name in _SIZES}]
    theirs: list[Any] = [] if more is None else more if isinstance(more, list) else [more]
    for one in theirs:
        instance(
            "style", one, (str, os.PathLike, Mapping), "a style of Matplotlib's, a dict of settings, or a list of both"
        )
    with ExitStack() as stack:
        try:
            stack.enter_context(style.context(ours + theirs))
        except (OSError, KeyError, TypeError, ValueError) as error:
            known = ", ".join(name for name in style.available if not name.startswith("_"))
            raise InvalidInput(
                f"{shown(more)} is no style of Matplotlib's ({str(error).splitlines()[0]}). Give a dict of its "
                f"settings, or a name: {known}."
            ) from None
        yield


def _import_matplotlib() -> None:
    """Import it; where the user's settings keep it from that (MPLBACKEND=nonsense, a broken matplotlibrc), without."""
    try:
        import matplotlib
    except (ValueError, OSError):
        for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
            del sys.modules[name]  # of a package that is not there
        with _environment(MPLBACKEND="agg", MATPLOTLIBRC=os.devnull):
            try:
                import matplotlib  # noqa: F401
            except (ValueError, OSError) as error:  # of ./matplotlibrc, which it reads before all others
                raise InvalidInput(
                    f"Matplotlib cannot be loaded with the settings in the working directory ({error}). "
                    f"Mend or remove the file matplotlibrc there; the numbers are saved, `fluctua plot` "
                    f"and `fluctua report` draw them."
                ) from error


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set variables of the environment for a while."""
    kept = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in kept.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def legible(text: str) -> str:
    """Return the text with U+FFFD for every character that the figures' font has not, such as Chinese ones."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    known = get_font(findfont(FontProperties())).get_charmap()
    return "".join(letter if letter == "\n" or ord(letter) in known else "\ufffd" for letter in text)


def decades(axes: Axes) -> None:
    """Spare the minor ticks of logarithmic axes over many decades: hundreds, slow to lay out, and nothing to read."""
    from matplotlib.ticker import NullLocator

    for axis in (axes.xaxis, axes.yaxis):
        lowest, highest = axis.get_view_interval()
        if highest > 1e4 * lowest:
            axis.set_minor_locator(NullLocator())


def recipe(verdict: Verdict) -> str:
    """Say in words what was run."""
    run = verdict.run
    name = name_words(verdict, f"{run.problem.samples} samples")
    start = {"optimum": "from the optimum", "zero": "from zero"}.get(run.start, "from given weights")
    end = "" if verdict.diverged_at is None else f", diverged by step {verdict.diverged_at}"
    average = "" if run.average is None else f", {run.average.words}"
    parts = f"{run.steps} steps {start}{average}", f"{run.replicas} replicas{end}"
    text = ", ".join([f"{name}: {recipe_words(verdict)}", *parts])
    return textwrap.fill(text, 100)


def points(axes: Axes, x: Array, y: Array, bar: Array, label: str | None = None) -> None:
    """Draw points with light error bars, smaller the more there are."""
    many = len(x) > MANY
    drawn = axes.errorbar(
        x,
        drawable(y),
        drawable(bar),
        fmt="o",
        color=INK,
        markersize=1.5 if many else 3.0,
        markeredgewidth=0,
        ecolor=(0, 0, 0, 0.08 if many else 0.45),
        elinewidth=0.8,
        label=label,
        zorder=3,
    )
    for artist in drawn.get_children():
        artist.set_rasterized(many)


def student(verdict: Verdict) -> float:
    """Half a 95 % interval in standard errors between replicas."""
    from scipy.special import stdtrit

    return float(stdtrit(verdict.run.replicas - 1, 0.975))


def drawable(values: ArrayLike | None) -> Array:
    """Replace what no axis can hold by NaN."""
    numbers = np.asarray(values, dtype=float)  # None, JSON's infinity, becomes NaN
    return np.where(np.abs(numbers) < _LARGEST, numbers, np.nan)


def positive(values: ArrayLike) -> Array:
    """Replace what a logarithmic axis cannot hold by NaN; an axis with nothing else would warn."""
    numbers = drawable(values)
    return np.where(numbers > 0, numbers, np.nan)


def quantile(values: Array, share: float) -> float:
    """Return a quantile of the finite values; 0 if there are none."""
    finite = values[np.isfinite(values)]
    return float(np.quantile(finite, share)) if len(finite) else 0.0

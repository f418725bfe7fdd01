"""Figures of results, in a script, a notebook or beside figures of your own: `fluctua.plot`.

It is loaded where it is first asked for, and Matplotlib where something is drawn. Figures are made without pyplot, so
none is left open; a notebook shows the one that a cell ends with, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._validate.values import choice
from .errors import InvalidInput
from .report.figures.fit import refuse_cut
from .report.figures.register import Pictures, pictures
from .report.figures.sheet import Sheet
from .report.figures.size import figure_size
from .studies import show
from .verification.conclusion import StatementVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "names"]


def names(result: Any) -> tuple[str, ...]:
    """Return the names of the figures that there are of a result; the first is drawn where none is named.

    Parameters
    ----------
    result : Verdict, DynamicVerdict, GradientNoise, Prediction, Measurement, Plan, BatchCosts, Sweep or ndarray
        What a function of fluctua's returned, or a study's verdict; an array is a learning curve.

    Returns
    -------
    tuple of str
        Such as "modes", "balance" and "curve" of a verdict.

    Raises
    ------
    InvalidInput
        For what cannot be drawn.

    Notes
    -----
    Cost: none; nothing is drawn.

    Examples
    --------
    >>> import fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    >>> prediction = fl.predict(problem, fl.SGD(lr=0.01, batch_size=1)).after(100, start="zero", curve=True)
    >>> fl.plot.names(prediction)
    ('modes', 'curve')
    """
    return tuple(_every(result))


def draw(
    result: Any, figure: str | None = None, *, ax: Any = None, figsize: Any = None, style: Any = None
) -> Figure | Axes:
    """Draw a figure of a result.

    Parameters
    ----------
    result : Verdict, DynamicVerdict, GradientNoise, Prediction, Measurement, Plan, BatchCosts, Sweep or ndarray
        As for `names`.
    figure : str, optional
        Which, where there are several; by default the first of `names`.
    ax : matplotlib.axes.Axes or sequence of them, optional
        Axes to draw into, such as those of ``plt.subplots()``: one takes the figure's first panel, more the next ones.
        Title and recipe are left to you, and so is the style.
    figsize : float, (float, float) or str, optional
        Width, or width and height, in inches; or with a unit, as "8.6cm" or "3.4x2.5in". On a narrow figure panels
        stand below one another.
    style : str, dict or list of them, optional
        A style of Matplotlib's by name, or settings, over fluctua's own.

    Returns
    -------
    matplotlib.figure.Figure or matplotlib.axes.Axes
        The figure; with `ax` what was given.

    Raises
    ------
    InvalidInput
        For what cannot be drawn, for what are no axes or more than the figure has panels, for a `figsize` that does not
        hold the figure, and for a style that there is not; as `UnknownName` for a figure that there is not.

    Notes
    -----
    Cost: under a second.

    Examples
    --------
    >>> import fluctua as fl
    >>> problem = fl.LeastSquares([[1.0], [2.0], [4.0]], [[0.5], [1.5], [2.0]])
    >>> curve = fl.learning_curve(problem, fl.SGD(lr=0.01, batch_size=1), steps=100)
    >>> figure = fl.plot.draw(curve, figsize="8.6cm")
    >>> print(f"{figure.get_figwidth():.2f}")
    3.39
    """
    every = _every(result)
    name = next(iter(every)) if figure is None else choice("figure", figure, every)
    width, height = figure_size(figsize)
    sheet = Sheet(width, height, _axes(ax, figsize), style)
    with sheet.settings():
        made = every[name](sheet)
        if width is not None:
            refuse_cut(made, name)
    return made if ax is None else ax


def _every(result: Any) -> Pictures:
    """Return what draws the figures; those of a study once it is imported."""
    if isinstance(result, StatementVerdict):
        show(result.study)
    return pictures(result)


def _axes(given: Any, figsize: Any) -> tuple[Axes, ...]:
    """The axes to draw into."""
    if given is None:
        return ()
    from matplotlib.axes import Axes

    if figsize is not None:
        raise InvalidInput("figsize is of a figure of its own, and ax has its size already: give one of them.")
    found = (
        tuple(given.flat) if hasattr(given, "flat") else tuple(given) if isinstance(given, (list, tuple)) else (given,)
    )
    if not found or not all(isinstance(one, Axes) for one in found):
        kind = type(given).__name__
        raise InvalidInput(
            f"ax must be axes of Matplotlib's, as plt.subplots() returns them, or several; got a {kind}."
        )
    return found

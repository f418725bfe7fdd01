"""What a figure is drawn on: a canvas of its own, as wide as asked, or axes that are there already.

On a narrow canvas, such as a journal's column, panels stand below one another, the legend has one column and lines are
broken; letters do not shrink below three quarters. A wide one is the usual one enlarged.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..._validate.plain import Keywords
from ...errors import InvalidInput
from .frame import DPI, NOTE, WIDTH, legible, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Sheet", "remark", "settle"]

_LONGEST = 100  # letters of a line of a recipe on the usual width
_SMALLEST = 0.75  # of the usual size of letters
_PANEL = 2.4  # inches of width that a panel beside another needs
_FLAT, _MORE = 0.55, 2.0  # share of the height that does not shrink with the width; inches of a panel put below
_TWO_COLUMNS = 5.0  # inches from which a legend has two columns
_LETTER, _BOLD = 0.58, 1.15  # width of a letter in its size, and that of a bold one in that
_MARGIN = 0.65  # inches left of the axes
_PAD = 3 / 72  # inches between parts of a figure: Matplotlib's own


@dataclass(frozen=True)
class Sheet:
    """Where a figure is drawn.

    Attributes
    ----------
    width, height : float or None
        In inches; None is the figure's own.
    into : tuple of Axes
        Axes for its first panels; where there are any, nothing else is kept of the figure.
    style : str, dict or None
        Matplotlib's settings over ours; into given axes alone.
    """

    width: float | None = None
    height: float | None = None
    into: tuple[Axes, ...] = ()
    style: Any = None

    @property
    def scale(self) -> float:
        """Size of the letters, in that of the usual ones."""
        return 1.0 if self.width is None else max(_SMALLEST, self.width / WIDTH)

    @contextmanager
    def settings(self) -> Iterator[None]:
        """Matplotlib's settings while it is drawn."""
        with style(None if self.into else self.scale, self.style):
            yield

    def canvas(self, title: str, recipe: str, height: float, **grid: Any) -> tuple[Figure, Sequence[Axes]]:
        """Return a figure with its title and recipe above a grid of axes."""
        if self.into:
            return self._given(grid)
        width = self.width or WIDTH
        if self.width is not None and width < _PANEL * grid.get("ncols", 1) and grid.get("ncols", 1) > 1:
            before = grid.get("nrows", 1)
            grid = {**grid, "nrows": before * grid["ncols"], "ncols": 1}
            height += _MORE * (grid["nrows"] - before)
        title, recipe = (
            _broken(title, width, _BOLD * 10.5 * self.scale),
            legible(_broken(_filled(recipe), width, 8.0 * self.scale)),
        )
        lines, line = recipe.count("\n"), self.scale / 6
        above = title.count("\n") * 1.3
        height = self.height or height * (_FLAT + (1 - _FLAT) * width / WIDTH if width < WIDTH else self.scale)
        if self.height is None:
            height += (lines + above) * line
        figure = _figure_class()(figsize=(width, height))
        line /= height
        bold: Keywords = {"fontsize": 10.5 * self.scale, "fontweight": "bold"}
        figure.text(0.012, 1 - 0.5 * line, title, va="top", **bold)
        below = 1 - (1.9 + above) * line
        figure.text(0.012, below, recipe, va="top", fontsize=8.0 * self.scale, color=NOTE, parse_math=False)
        pad = _PAD * self.scale
        top = 1 - line * (3.0 + lines + above)
        figure.set_layout_engine("constrained", rect=(0, 0, 1, top), w_pad=pad, h_pad=pad)
        return figure, list(figure.subplots(squeeze=False, **grid).flat)

    def _given(self, grid: Keywords) -> tuple[Figure, Sequence[Axes]]:
        """The given axes for the first panels, and for the others some that nobody sees."""
        nowhere = _figure_class()()
        spare = list(nowhere.subplots(squeeze=False, **grid).flat)
        if len(self.into) > len(spare):
            raise InvalidInput(f"this figure has {len(spare)} panels, and {len(self.into)} axes were given for them.")
        return nowhere, [*self.into, *spare[len(self.into) :]]

    def label(self, text: str, inches: float) -> str:
        """Return the label of an axis so long; in lines where the sheet is narrow."""
        return text if (self.width or WIDTH) >= WIDTH else _broken(text, inches, 9.0 * self.scale)

    def legend(self, figure: Figure, *axes: Axes) -> None:
        """Below the axes, where it covers nothing; what was measured comes first. In given axes: where they have room.

        Every entry is named once.
        """
        handles = [pair for ax in axes for pair in zip(*ax.get_legend_handles_labels(), strict=True)]
        entries = {label: handle for handle, label in handles}
        words = sorted(entries, key=lambda label: not hasattr(entries[label], "has_yerr"))
        self.explain(figure, [entries[label] for label in words], words, markerscale=1.5)

    def explain(
        self, figure: Figure, handles: Sequence[Any], words: Sequence[str], columns: int = 2, **look: Any
    ) -> None:
        """Put a legend of these entries where `legend` puts its own, in one column where the sheet is narrow."""
        if self.into:
            self.into[0].legend(handles, words, fontsize="small", **look)
            return
        narrow = (self.width or WIDTH) < _TWO_COLUMNS
        figure.legend(handles, words, loc="outside lower center", ncols=1 if narrow else columns, **look)

    def colour_bar(self, figure: Figure, image: Any, beside: Sequence[Axes], label: str) -> None:
        """Below the axes of an image."""
        if self.into:
            beside = [axes for axes in beside if axes in self.into]
            figure, image = root_of(beside[0]), beside[0].images[0]
        figure.colorbar(image, ax=beside, location="bottom", shrink=0.7, label=label)


def root_of(axes: Axes) -> Figure:
    """Return the whole figure that axes are in, also in a part of it."""
    part: Any = axes.figure
    return part.figure  # type: ignore[no-any-return]  # Matplotlib before 3.10 has no get_figure(root=True)


def settle(figure: Figure) -> None:
    """Fix where everything lies: laid out once for all formats, each of which would move it by a hair."""
    engine, usual = figure.get_layout_engine(), figure.dpi
    if engine is None:
        return
    figure.set_dpi(DPI)
    try:
        engine.execute(figure)
    finally:
        figure.set_dpi(usual)
    figure.set_layout_engine(None)  # "none" would have a place holder, for which every format is drawn twice


def remark(axes: Axes, text: str) -> None:
    """Say something small above the axes."""
    whole = root_of(axes)
    width = whole.get_figwidth()
    if isinstance(whole, _figure_class()) and width < WIDTH:
        place = axes.get_subplotspec()
        room = width / (1 if place is None else place.get_gridspec().ncols) - _MARGIN
        text = "\n".join(_broken(line, room, 8.0 * _SMALLEST) for line in text.split("\n"))
    axes.set_title(text, loc="left", color=NOTE)


def _filled(text: str) -> str:
    """Return the text in lines that fit the usual width."""
    return "\n".join(textwrap.fill(line, _LONGEST, break_on_hyphens=False) for line in text.split("\n"))


def _broken(text: str, inches: float, size: float) -> str:
    """Return the text in lines that fit a width, formulas in one piece; as it is where it fits the usual width."""
    if inches >= WIDTH:
        return text
    held = re.sub(r"\$[^$]*\$", lambda found: found.group().replace(" ", "\0"), text)
    letters, whole = max(12, int(inches * 72 / (size * _LETTER))), "$" in text
    return textwrap.fill(held, letters, break_on_hyphens=False, break_long_words=not whole).replace("\0", " ")


@cache
def _figure_class() -> type[Figure]:
    """The class of our figures: Matplotlib's, shown as a picture by a notebook that knows no pyplot."""
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure of fluctua's."""

        def _repr_png_(self) -> bytes:
            buffer = BytesIO()
            self.savefig(buffer, format="png", dpi=DPI)
            return buffer.getvalue()

    return Picture

"""Whether everything that a figure says can be read: nothing cut at its edge, no two labels over one another."""

from __future__ import annotations

import warnings
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ...errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["refuse_cut", "unreadable"]

_SLACK = 0.5  # points by which a text may reach over an edge or into another
_FINE = 300  # dots per inch at which letters are as wide as on paper


def unreadable(figure: Figure) -> list[str]:
    """Return the texts that are cut at the edge of the figure, or lie over one another, each in words."""
    usual = figure.dpi
    figure.set_dpi(_FINE)
    try:
        boxes, edge = _boxes(figure), figure.bbox.padded(_SLACK * _FINE / 72)
        cut = [f"{name} is cut" for name, box in boxes if not (edge.contains(*box.min) and edge.contains(*box.max))]
    finally:
        figure.set_dpi(usual)
    return cut + [f"{one} lies over {two}" for (one, a), (two, b) in combinations(boxes, 2) if _meet(a, b)]


def _boxes(figure: Figure) -> list[tuple[str, Any]]:
    """The texts that are seen, and where."""
    from matplotlib.text import Text

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a layout that has no room: what follows says so
        figure.draw_without_rendering()
    left = _unused(figure)
    said = (each for each in figure.findobj(Text) if id(each) not in left and each.get_text().strip())
    return [
        (_shown(each), each.get_window_extent().padded(-_SLACK * _FINE / 72)) for each in said if each.get_visible()
    ]


def refuse_cut(figure: Figure, name: str) -> None:
    """Raise `InvalidInput` where not everything can be read."""
    found = unreadable(figure)
    if found:
        width, height = figure.get_size_inches()
        raise InvalidInput(
            f"the figure {name} does not fit into {width:.3g} x {height:.3g} inches: {found[0]}. Give more room, or "
            f"the width alone: the height is then the figure's own."
        )


def _unused(figure: Any) -> set[int]:
    """The labels of ticks that an axis keeps and does not draw: beyond its ends, or left from another scale."""
    found = []
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        used = [tick for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()) if low <= tick.get_loc() <= high]
        found += [tick for tick in (*axis.majorTicks, *axis.minorTicks) if tick not in used]
    return {id(text) for tick in found for text in (tick.label1, tick.label2)}


def _meet(one: Any, other: Any) -> bool:
    """Whether two boxes have an area in common."""
    return bool(one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1)


def _shown(text: Any) -> str:
    return repr(" ".join(text.get_text().split()))

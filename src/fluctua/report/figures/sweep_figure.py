"""A sweep: theory as lines through the measured points, against the learning rate, a colour for each batch size."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._arrays import Array
from ...planning.sweep_cells import Cell
from ...planning.sweep_table import value_text
from ...planning.swept import Sweep
from .frame import INK, canvas, decades, drawable, remark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["lines"]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito's palette
_MARKERS = "osD^vph<>8"  # not as many as colours: both repeat, and together they do not
_ABREAST, _MOST = 2, 12  # panels beside one another, and of one figure
_LEVEL = 0.975  # of the upper end of an error bar
_WORDS = {"lr": r"learning rate $\eta$", "batch_size": "batch size $b$", "momentum": r"momentum $\beta$"}
_ROOM = 1.6  # above and below what is drawn, a factor
_FEW = 10  # batch sizes of which each has its tick
_HIGHEST = 0.4  # of the axes, which what is beyond the limit may take
_EDGE, _APART = 0.97, 0.035  # where what is unstable is drawn, in heights of the axes, and one series below another


@dataclass(frozen=True)
class _Layout:
    """Which parameter goes along the axis, which has a colour for each value, and which a panel."""

    along: str
    series: str | None
    panels: tuple[str, ...]

    @classmethod
    def of(cls, sweep: Sweep) -> _Layout:
        names = [name for name, values in sweep.axes.items() if len(values) > 1] or list(sweep.axes)
        along = min(names, key=lambda name: (not _numeric(sweep.axes[name]), name != "lr", -len(sweep.axes[name])))
        rest = [name for name in names if name != along]
        series = min(rest, key=lambda name: name != "batch_size") if rest else None
        return cls(along, series, tuple(name for name in rest if name != series))

    def grouped(self, cells: Sequence[Cell], names: Sequence[str]) -> list[tuple[str, list[Cell]]]:
        """Cells by the values of some parameters, with these in words."""

        def words(cell: Cell) -> str:
            return ", ".join(f"{_plain(name)} {value_text(cell.values[name]).replace('_', ' ')}" for name in names)

        order = {text: i for i, text in enumerate(dict.fromkeys(map(words, cells)))}
        return [(text, list(some)) for text, some in groupby(sorted(cells, key=lambda c: order[words(c)]), words)]


def lines(sweep: Sweep, columns: int = 3) -> Figure:
    """Return the figure of a sweep, its legend in so many columns."""
    layout = _Layout.of(sweep)
    panels = layout.grouped(sweep.cells, layout.panels)[:_MOST]
    abreast = min(_ABREAST, len(panels))
    rows = -(-len(panels) // abreast)
    title = "A sweep, predicted and measured" if sweep.measured else "A sweep, predicted"
    figure, grid = canvas(title, _recipe(sweep), 1.4 + 3.0 * rows, nrows=rows, ncols=abreast, sharex=True, sharey=True)
    for axes, (words, cells) in zip(grid, panels, strict=False):
        _panel(axes, layout, cells, _Height(sweep))
        if words:
            remark(axes, words)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    _frame(grid[: len(panels)], sweep, layout, abreast)
    _legend(figure, sweep, grid[0], columns)
    return figure


class _Height:
    """What is drawn of a cell: its excess loss, or its loss where the optimum is not the same in all cells."""

    def __init__(self, sweep: Sweep) -> None:
        self.budget = bool(sweep.budget)
        self.whole = len({cell.predicted.optimum_loss for cell in sweep.cells}) > 1

    def __call__(self, cell: Cell, excess: float | None) -> float:
        if excess is None:
            return np.nan
        return excess + self.whole * cell.predicted.optimum_loss

    def predicted(self, cell: Cell) -> float:
        return self(cell, cell.excess_loss if self.budget else cell.floor)


def _panel(axes: Axes, layout: _Layout, cells: Sequence[Cell], height: _Height) -> None:
    names = [layout.series] if layout.series else []
    for i, (words, series) in enumerate(layout.grouped(cells, names)):
        colour, marker = _COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)]
        line = "-" if i < len(_COLOURS) else "-."
        some = sorted(series, key=lambda cell: _place(layout, cell))
        x = np.array([_place(layout, cell) for cell in some])
        theory = drawable([height.predicted(cell) for cell in some])
        axes.plot(x, theory, color=colour, linestyle=line, linewidth=1.4, zorder=2)
        if height.budget and layout.along == "lr":
            floor = drawable([height(cell, cell.floor) for cell in some])
            axes.plot(x, floor, color=colour, linestyle=(0, (1, 1.6)), linewidth=1.0, alpha=0.8, zorder=1)
        _points(axes, x, some, height, {"color": colour, "marker": marker, "label": words or None})
        _edges(axes, layout, x, some, i, colour)


def _points(axes: Axes, x: Array, cells: Sequence[Cell], height: _Height, look: dict[str, Any]) -> None:
    """Measured points with 95 % intervals; where nothing was measured, the marker in the legend alone."""
    from scipy.special import stdtrit

    found = [cell.measured for cell in cells]
    y = drawable([np.nan if m is None else height(c, m.excess_loss) for c, m in zip(cells, found, strict=True)])
    bars = [float("nan") if m is None else float(m.error * stdtrit(m.replicas - 1, _LEVEL)) for m in found]
    if not np.isfinite(y).any():
        y = drawable([height.predicted(cell) for cell in cells])
        bars = [0.0] * len(cells)
    style: dict[str, Any] = {"markersize": 4.2, "markeredgecolor": "white", "markeredgewidth": 0.5, "linestyle": "none"}
    axes.errorbar(x, y, drawable(bars), elinewidth=1.1, capsize=1.8, zorder=3, **style, **look)


def _edges(axes: Axes, layout: _Layout, x: Array, cells: Sequence[Cell], place: int, colour: str) -> None:
    """What has no finite loss, at the upper edge; and the limit of stability, on the axis."""
    across = axes.get_xaxis_transform()
    beyond = x[[not cell.stable for cell in cells]]
    y = np.full(len(beyond), _EDGE - _APART * place)
    axes.plot(beyond, y, "x", color=colour, markersize=5, markeredgewidth=1.4, transform=across)
    if layout.along == "lr" and all(cell.sgd.schedule is None for cell in cells):
        limits = sorted({float(cell.limit) for cell in cells})
        axes.vlines(limits, 0, 0.07, color=colour, linewidth=1.6, transform=across, zorder=4)


def _frame(grid: Sequence[Axes], sweep: Sweep, layout: _Layout, abreast: int) -> None:
    height = _Height(sweep)
    lowest = [height.predicted(cell) for cell in sweep.cells if cell.stable]
    seen = np.array([y for y in lowest if np.isfinite(y) and y > 0])
    for i, axes in enumerate(grid):
        if len(seen):
            axes.set_yscale("log")
            axes.set_ylim(seen.min() / _ROOM, _ROOM * seen.max() * (seen.max() / seen.min()) ** _above(sweep, layout))
        values = sweep.axes[layout.along]
        if not _numeric(values):
            axes.set_xticks(range(len(values)), [value_text(value) for value in values])
        elif min(map(float, values)) > 0:  # type: ignore[arg-type]  # they are numbers
            axes.set_xscale("log")
        decades(axes)
        if layout.along == "batch_size" and len(values) <= _FEW:
            axes.set_xticks([float(str(size)) for size in values], list(map(str, values)))
            axes.set_xticks([], minor=True)
        if i + abreast >= len(grid):
            axes.set_xlabel(_WORDS.get(layout.along, _plain(layout.along)))
            axes.tick_params(labelbottom=True)
        if i % abreast == 0:
            axes.set_ylabel(_quantity(height))


def _above(sweep: Sweep, layout: _Layout) -> float:
    """Room above the lines for what is beyond the limit, in heights of what is below."""
    names = [layout.series] if layout.series else []
    rows = [i for i, (_, some) in enumerate(layout.grouped(sweep.cells, names)) if not all(c.stable for c in some)]
    share = 1 - _EDGE + _APART * (rows[-1] + 1) if rows else 0.0
    return min(share, _HIGHEST) / (1 - min(share, _HIGHEST))


def _quantity(height: _Height) -> str:
    formula = r"$E\,L(W_T)$" if height.whole else r"$E\,L(W_T) - L(W^*)$"
    if not height.budget:
        return "loss at rest" if height.whole else r"noise floor, $E\,L(W) - L(W^*)$"
    return f"{'loss' if height.whole else 'excess loss'} after $T$ steps, {formula}"


def _legend(figure: Figure, sweep: Sweep, axes: Axes, columns: int) -> None:
    """Below the axes: the values that have colours, then what lines and marks are."""
    from matplotlib.lines import Line2D

    handles, labels = axes.get_legend_handles_labels()
    marks = [(Line2D([], [], color=INK, linewidth=1.4), "theory, nothing fitted")]
    if sweep.measured:
        marks.append((Line2D([], [], color=INK, marker="|", linestyle="none"), "95 % interval of the runs' mean"))
    if sweep.budget and any(cell.floor for cell in sweep.cells) and "lr" in sweep.axes:
        marks.append((Line2D([], [], color=INK, linestyle=(0, (1, 1.6)), linewidth=1.0), "noise floor"))
    if "lr" in sweep.axes and sweep.sgd.schedule is None:
        marks.append((Line2D([], [], color=INK, marker="|", markersize=8, linestyle="none"), "limit of stability"))
    if any(not cell.stable for cell in sweep.cells):
        marks.append((Line2D([], [], color=INK, marker="x", linestyle="none"), "beyond the limit"))
    handles += [handle for handle, _ in marks]
    labels += [label for _, label in marks]
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, columnspacing=1.2, handletextpad=0.5)


def _recipe(sweep: Sweep) -> str:
    """Say in words what was run."""
    name, sgd = str(sweep.data.get("name", "data")), sweep.sgd
    batches, size = sgd.sampler.words(sgd.batch_size), f"of {sgd.batch_size}"
    parts = [batches.replace(size, "of b", 1) if "batch_size" in sweep.axes else batches]
    parts = [] if "sampling" in sweep.axes else parts
    parts += ["" if "lr" in sweep.axes else f"lr {sgd.lr:g}"]
    parts += [f"weight decay {sgd.weight_decay:g}" if sgd.weight_decay and "weight_decay" not in sweep.axes else ""]
    parts += ["" if {"momentum", "nu", "dampening", "nesterov"} & set(sweep.axes) else sgd.inertia]
    parts += ["" if sgd.schedule is None or "schedule" in sweep.axes else sgd.schedule.words]
    parts += ["" if sweep.average is None else sweep.average.words, sweep.budget]
    counts = sorted({cell.measured.replicas for cell in sweep.cells if cell.measured})
    parts += [f"{counts[0]} to {counts[-1]} runs each" if counts else ""]
    return textwrap.fill(f"{name}: {', '.join(filter(None, parts))}", 100)


def _numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _place(layout: _Layout, cell: Cell) -> float:
    value = cell.values[layout.along]
    return float(value) if _numeric([value]) else 0.0  # type: ignore[arg-type]  # it is a number

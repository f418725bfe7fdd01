"""A sweep as a table that is read: what is beyond the limit and what never comes says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .._tables import text_table
from .sweep_cells import Cell

if TYPE_CHECKING:
    from .swept import Sweep

__all__ = ["cells_of", "text_of", "value_text"]

_NAMES = {"batch_size": "batch"}
_UNSTABLE, _NEVER = "unstable", "never"


def text_of(sweep: Sweep) -> str:
    """Return the cells in text, a line each, under a line of names."""
    columns = cells_of(sweep)
    return text_table([list(columns), *zip(*columns.values(), strict=True)], [">"] * len(columns), gap="  ")


def cells_of(sweep: Sweep) -> dict[str, list[str]]:
    """Return the columns of the table, every cell as text; losses are excess losses."""
    cells = sweep.cells
    found = {_NAMES.get(name, name): [value_text(cell.values[name]) for cell in cells] for name in sweep.axes}
    found["of limit"] = [f"{cell.share:.0%}" for cell in cells]
    found["floor"] = [_excess(cell, cell.floor) for cell in cells]
    if sweep.sgd.tempered:
        found["inflation"] = [_number(cell.predicted.inflation) for cell in cells]
    if sweep.budget:
        found["predicted"] = [_excess(cell, cell.excess_loss) for cell in cells]
    if sweep.measured:
        found["measured"] = [_number(None if cell.measured is None else cell.measured.excess_loss) for cell in cells]
        found["+-"] = [_error(cell) for cell in cells]
        found["z"] = ["" if cell.score is None else f"{cell.score:+.1f}" for cell in cells]
    if sweep.target is not None:
        found["steps to target"] = [_steps(cell.steps_to_target) for cell in cells]
    return found


def value_text(value: object) -> str:
    """Return the value of a parameter as people read it."""
    if isinstance(value, Mapping):
        return str(value.get("name"))
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:#.4g}"


def _excess(cell: Cell, value: float | None) -> str:
    if value is None:
        return "held" if cell.sgd.schedule is not None else "outside" if cell.limit.method == "local" else "not found"
    return _number(value) if np.isfinite(value) else beyond_word(cell)


def beyond_word(cell: Cell) -> str:
    """Return what a cell beyond the limit is: nothing of a head diverges, its weights live outside the bowl."""
    return "outside" if cell.limit.method == "local" else _UNSTABLE


def _error(cell: Cell) -> str:
    found = cell.measured
    if found is None or not found.excess_loss:
        return ""
    return f"{abs(found.error / found.excess_loss):.1%}"


def _steps(steps: float | None) -> str:
    if steps is None:
        return "not found"
    return f"{steps:,.0f}" if np.isfinite(steps) else _NEVER

"""Columns of equal length as a frame, as CSV, as a table of HTML and as one of text: how results become tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ._arrays import AnyArray
from ._optional import needed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Columns", "csv_text", "data_frame", "html_table", "text_table"]

Columns = Mapping[str, Sequence[Any] | AnyArray]
"""Name of each column, and its values."""


def data_frame(columns: Columns) -> pd.DataFrame:
    """Return the columns as a frame of pandas; raises `MissingPackage` where that is not installed."""
    frame: pd.DataFrame = needed("pandas", "a DataFrame").DataFrame(dict(columns))
    return frame


def csv_text(columns: Columns) -> str:
    """Return the columns as CSV with a header; floats to all their digits."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_listed(values) for values in columns.values()), strict=True))
    return stream.getvalue()


def html_table(columns: Columns, *, digits: int = 6, rows: int = 20, caption: str = "") -> str:
    """Return the columns as a table of HTML, numbers to so many digits, and at most so many rows."""
    head = "".join(f"<th>{escape(str(name))}</th>" for name in columns)
    values = list(zip(*(_listed(each) for each in columns.values()), strict=True))
    body = "".join(f"<tr>{''.join(_cell(value, digits) for value in row)}</tr>" for row in values[:rows])
    left = f"<p>{len(values) - rows:,} more rows</p>" if len(values) > rows else ""
    above = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    return f"<table>{above}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{left}"


def text_table(rows: Iterable[Sequence[str]], columns: Sequence[str], gap: str = " ") -> str:
    """Return rows of text, the names of the columns first, as lines whose columns stand one below the other.

    Each column has a side and a least width, as "<20" or ">9", and is as wide as its longest cell. The gap is one more
    blank before a column on the left that follows one on the right.
    """
    lines = [list(row) for row in rows]
    sides = [each[0] for each in columns]
    wide = [
        max(int(each[1:] or 0), *map(len, cells)) for each, cells in zip(columns, zip(*lines, strict=True), strict=True)
    ]
    gaps = ["", *(gap + " " * (one + other == "><") for one, other in pairwise(sides))]
    return "\n".join(
        "".join(
            f"{before}{cell:{side}{width}}" for before, cell, side, width in zip(gaps, line, sides, wide, strict=True)
        ).rstrip()
        for line in lines
    )


def _listed(values: Any) -> list[Any]:
    """Plain Python values, whose text has all the digits."""
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _cell(value: Any, digits: int) -> str:
    text = f"{value:.{digits}g}" if isinstance(value, float) else "" if value is None else escape(str(value))
    return f"<td>{text}</td>"

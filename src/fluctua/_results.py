"""What every object that a user holds does: it is a line in a terminal, a table in a notebook, and equal by value.

A result is a frozen dataclass made with ``eq=False, repr=False`` that inherits `ByValue` and `Tabular`, or `Brief`
where it has no rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ._optional import needed
from ._tables import Columns, csv_text, data_frame, html_table
from ._validate.values import as_path, choice

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Brief", "ByValue", "Tables", "Tabular", "clipped", "files_by", "same"]

Tables = Mapping[str, Callable[[], Columns]]
"""Name of each table of a result, and what makes its columns; the first column says what a row is of."""
LONGEST = 120  # characters of a line that says what an object is
_FEW = 6  # values of a tuple that are shown one by one
_SHARED = 3  # of a longer one
_WRITER: list[Callable[[Path, str], None]] = []
"""What writes a text to a file, whole or not at all; `storage` says what does: formulas meet no file."""


def files_by(write: Callable[[Path, str], None]) -> None:
    """Say what writes a text to a file; the room of files does."""
    _WRITER[:] = [write]


class ByValue:
    """Equal to an object of its own type with equal fields: arrays element by element, NaN equal to itself."""

    def _compared(self) -> Mapping[str, Any]:
        """What two of a kind must have in common."""
        return _fields_of(self)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self) or not isinstance(other, ByValue):
            return NotImplemented
        return self is other or same(self._compared(), other._compared())

    def __hash__(self) -> int:
        plain = (value for value in self._compared().values() if isinstance(value, (str, int, type(None))))
        return hash((type(self).__name__, *plain))


def same(one: object, other: object) -> bool:
    """Whether two values are equal, whatever they are made of."""
    if one is other:
        return True
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return _same_arrays(np.asarray(one), np.asarray(other))
    if type(one) is not type(other):
        return bool(np.isscalar(one) and np.isscalar(other) and one == other)
    if is_dataclass(one) and not isinstance(one, ByValue):
        one, other = _fields_of(one), _fields_of(other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or bool(one != one and other != other)  # noqa: PLR0124  (NaN)


def _fields_of(thing: Any) -> dict[str, Any]:
    """What two dataclasses must have in common."""
    return {each.name: getattr(thing, each.name) for each in fields(thing) if each.compare}


def _same_arrays(one: Any, other: Any) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"))


class Brief:
    """A dataclass shown as the call that makes it, of what is not as usual; in a notebook as a table of its fields."""

    def _shown(self) -> Mapping[str, Any]:
        """What its line says, by name."""
        given: tuple[Field[Any], ...] = fields(self)  # type: ignore[arg-type]
        said = {one.name: (getattr(self, one.name), one.default) for one in given if one.repr}
        return {name: value for name, (value, usual) in said.items() if usual is MISSING or not same(value, usual)}

    def __repr__(self) -> str:
        words = ", ".join(f"{name}={_told(value)}" for name, value in self._shown().items())
        return clipped(f"{type(self).__name__}({words})")

    def _repr_html_(self) -> str:
        shown = self._shown()
        values = [value if isinstance(value, float) else _told(value) for value in shown.values()]
        return html_table({type(self).__name__: list(shown), "": values})


class Tabular(Brief, ABC):
    """A result with rows: as a frame, as CSV, as labelled arrays and, in a notebook, as a table below its line."""

    @abstractmethod
    def _tables(self) -> Tables:
        """Its tables by name; the first is meant where none is named."""

    @property
    def _attributes(self) -> Mapping[str, Any]:
        """What holds for all rows: numbers and words that labelled arrays carry beside them."""
        return {}

    def _grids(self) -> Mapping[str, tuple[tuple[str, ...], Any]]:
        """Arrays of more than one dimension beside the first table: name, dimensions and values."""
        return {}

    def columns(self, table: str | None = None) -> Columns:
        """Return the columns of a table by name, each with a value for every row.

        Parameters
        ----------
        table : str, optional
            Which, where there are several; the error for another name lists them.

        Returns
        -------
        mapping of str to sequence
            The first column says what a row is of.

        Raises
        ------
        UnknownName
            For a table that there is not.
        """
        tables = self._tables()
        return tables[next(iter(tables)) if table is None else choice("table", table, tables)]()

    def to_dataframe(self, table: str | None = None) -> pd.DataFrame:
        """Return a table as a frame of pandas.

        Parameters
        ----------
        table : str, optional
            As for `columns`.

        Returns
        -------
        pandas.DataFrame
            A row for each mode, theory, candidate or whatever the table is of.

        Raises
        ------
        UnknownName
            For a table that there is not.
        MissingPackage
            Where pandas is not installed.
        """
        return data_frame(self.columns(table))

    @overload
    def to_csv(self, path: None = None, table: str | None = None) -> str: ...

    @overload
    def to_csv(self, path: Path | str, table: str | None = None) -> None: ...

    def to_csv(self, path: Path | str | None = None, table: str | None = None) -> str | None:
        """Return a table as CSV with a header, numbers to all their digits, or write it to a file.

        Parameters
        ----------
        path : path, optional
            The file, written whole or not at all.
        table : str, optional
            As for `columns`.

        Returns
        -------
        str or None
            The text, where there is no `path`.

        Raises
        ------
        UnknownName
            For a table that there is not.
        InvalidInput
            If `path` is no path.
        OutputError
            If the file cannot be written.
        """
        text = csv_text(self.columns(table))
        if path is None:
            return text
        (write,) = _WRITER
        write(as_path("path", path), text)
        return None

    def to_xarray(self, table: str | None = None) -> xr.Dataset:
        """Return a table as labelled arrays of xarray along its first column, with what holds for all rows.

        Parameters
        ----------
        table : str, optional
            As for `columns`. Without it matrices come along where the result has them.

        Returns
        -------
        xarray.Dataset
            The numbers of the result that are the same for all rows are its attributes.

        Raises
        ------
        UnknownName
            For a table that there is not.
        MissingPackage
            Where xarray is not installed.
        """
        columns = self.columns(table)
        row, *others = columns
        grids = self._grids() if table is None else {}
        arrays = {name: ((row,), np.asarray(columns[name])) for name in others}
        made: xr.Dataset = needed("xarray", "labelled arrays").Dataset(
            {**arrays, **grids}, {row: np.asarray(columns[row])}, attrs=dict(self._attributes)
        )
        return made

    def _repr_html_(self) -> str:
        return html_table(self.columns(), caption=repr(self))


def clipped(text: str) -> str:
    """Return the text in one line of at most 120 characters."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 4]}...{line[-1]}"


def _told(value: Any) -> str:
    """A value in a few words: long tuples and arrays by their size."""
    if isinstance(value, np.ndarray):
        return f"<{' x '.join(map(str, value.shape)) or 'no'} {value.dtype}>"
    if isinstance(value, tuple) and len(value) > _FEW:
        return f"({', '.join(map(repr, value[:_SHARED]))}, ... {len(value):,} values)"
    return repr(value)

"""Tables of text: .csv and .tsv, also compressed; one pass over the file, strict about every field."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import IO, NoReturn

import numpy as np

from ..._arrays import AnyArray, Array
from ..._half import Rows
from ..._validate.sizes import refuse_bytes
from ...errors import CorruptData, InvalidInput
from .held import Entry, Held, Pair
from .layout import HEAD, Layout, layout_of, missing, number

__all__ = ["text_table"]

_AT_ONCE = 2048  # records
_LINE = 1 << 24  # characters of the longest line that is read
Record = tuple[int, list[str]]


@contextmanager
def text_table(path: Path) -> Iterator[Held]:
    """Give the columns of a table of text."""
    lines = _head(path)
    found = layout_of(path.name, lines, path.name.lower().removesuffix(".gz").endswith(".tsv"))
    entries = {
        name: Entry((), content, _unread, content) for name, content in zip(found.columns, found.contents, strict=True)
    }
    yield _Text(path.name, entries, True, found.named, path=path, layout=found)


def _unread(rows: int | None) -> NoReturn:
    raise AssertionError(f"columns of text are read together, {rows}")


def _head(path: Path) -> list[str]:
    with _opened(path) as stream:
        lines = [stream.readline(_LINE) for _ in range(HEAD)]
    return [line for line in lines if line]


def _opened(path: Path) -> IO[str]:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


@dataclass(frozen=True)
class _Text(Held):
    """A table whose columns are read in one pass."""

    path: Path = field(default_factory=Path)
    layout: Layout = field(default_factory=lambda: Layout(",", False, (), (), 0.0))

    def pair(self, inputs: Sequence[str], targets: Sequence[str], rows: int | None) -> Pair:
        """Read the first `rows` of the inputs, and all of the targets; every line is looked at."""
        columns = list(self.layout.columns)
        x, y = (_Columns(self.name, columns, [columns.index(name) for name in names]) for names in (inputs, targets))
        self._refuse_large(len(inputs), rows)
        samples = 0
        for chunk in self._chunks(len(columns)):
            left = len(chunk) if rows is None else max(0, rows - samples)
            x.add(chunk[:left])
            y.keep(chunk) if self._textual(targets) else y.add(chunk)
            samples += len(chunk)
        return Pair(x.values(), y.labels() if self._textual(targets) else y.values(), samples)

    def _textual(self, targets: Sequence[str]) -> bool:
        """One column of targets is kept as text until all of it is known."""
        return len(targets) == 1

    def _refuse_large(self, width: int, rows: int | None) -> None:
        size = self.path.stat().st_size * (4 if self.path.name.lower().endswith(".gz") else 1)
        samples = min(size / max(self.layout.record_bytes, 1.0), float("inf") if rows is None else rows)
        what = f"{self.name}, about {samples:,.0f} x {width:,} numbers,"
        refuse_bytes(what, 8.0 * samples * width, "Give fewer samples (limit), or save them as float32 in an .npz.")

    def _chunks(self, width: int) -> Iterator[list[Record]]:
        with _opened(self.path) as stream:
            reader = csv.reader(stream, delimiter=self.layout.delimiter, skipinitialspace=True, strict=True)
            records = ((reader.line_num, record) for record in reader if record)
            if self.layout.named:
                next(records, None)
            while chunk := list(islice(records, _AT_ONCE)):
                for line, record in chunk:
                    if len(record) != width:
                        what = f"line {line} has {len(record)} fields, and the first has {width}"
                        raise CorruptData(self.name, what, "Every sample needs a field in every column.")
                yield chunk


class _Columns:
    """Some columns of a table, gathered chunk by chunk."""

    def __init__(self, name: str, columns: list[str], places: list[int]) -> None:
        self.name, self.columns, self.places = name, columns, places
        self._found: list[Array] = []
        self._texts: list[str] = []
        self._lines: list[int] = []
        self._bytes = 0.0

    def add(self, chunk: list[Record]) -> None:
        """Read the numbers of some records."""
        if not self.places or not chunk:
            return
        take = itemgetter(*self.places) if len(self.places) > 1 else lambda record: (record[self.places[0]],)
        fields = list(chain.from_iterable(take(record) for _, record in chunk))
        block = self._numbers(fields, chunk)
        self._bytes += 2 * block.nbytes  # once more when they are put together
        refuse_bytes(f"{self.name}, so far {len(self._found):,} blocks,", self._bytes, "Give fewer samples (limit).")
        self._found.append(block)

    def _numbers(self, fields: list[str], chunk: list[Record]) -> Array:
        try:
            if "_" in "".join(fields):
                raise ValueError("Python's own way to write numbers")
            block = np.array(list(map(float, fields))).reshape(len(chunk), -1)
        except ValueError:
            self._blame(chunk)
        if not np.isfinite(block).all():
            self._blame(chunk)
        return block

    def _blame(self, chunk: list[Record]) -> NoReturn:
        """Name the first field that holds no finite number."""
        for line, record in chunk:
            for place in self.places:
                value = number(record[place])
                if value is None or not np.isfinite(value):
                    self._refuse(place, line, record[place])
        raise AssertionError("a field that is no number was there")

    def _refuse(self, place: int, line: int, text: str) -> NoReturn:
        found = f"has no value ({text!r})" if missing(text) else f"holds {text.strip()!r:.40}, no finite number,"
        hint = " Write decimal points, not commas." if "," in text else ""
        raise InvalidInput(
            f"{self.name}: column {self.columns[place]!r} {found} in line {line}. Leave such samples out or fill what "
            f"is missing first.{hint}"
        )

    def keep(self, chunk: list[Record]) -> None:
        """Keep the text of one column."""
        (place,) = self.places
        for line, record in chunk:
            text = record[place].strip()
            if missing(text) and text not in ("-", ".", "?"):
                self._refuse(place, line, text)
            self._texts.append(text)

    def values(self) -> Rows | None:
        """Return the numbers, (N, d)."""
        if not self.places:
            return None
        return np.concatenate(self._found) if self._found else np.empty((0, len(self.places)))

    def labels(self) -> AnyArray:
        """Return whole numbers, numbers or text: whichever all fields are."""
        distinct = set(self._texts)
        if all(text.lstrip("+-").isdecimal() for text in distinct):
            whole = {text: int(text) for text in distinct}
            return np.array([whole[text] for text in self._texts])
        numbers = {text: number(text) for text in distinct}
        if all(value is not None for value in numbers.values()):
            return np.array([numbers[text] for text in self._texts], np.float64)
        return np.array(self._texts)

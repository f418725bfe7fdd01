"""Lines of a table of text, some at a time: plain ones are read at once, those with quotes field by field."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice

import numpy as np

from ..._arrays import Array
from ...errors import CorruptData

__all__ = ["Chunk", "chunks"]

_AT_ONCE = 2048  # lines
Record = tuple[int, list[str]]


@dataclass(frozen=True)
class Chunk:
    """Some samples.

    Attributes
    ----------
    fields : tuple of (int, list of str)
        Number of the line and its fields, of each sample; empty where `lines` are plain.
    lines : tuple of str
        Without quotes, each with all of its fields.
    first : int
        Number of the first of these lines.
    delimiter : str
    """

    fields: tuple[Record, ...] = ()
    lines: tuple[str, ...] = ()
    first: int = 0
    delimiter: str = ","

    def __len__(self) -> int:
        return len(self.fields) or len(self.lines)

    def head(self, count: int) -> Chunk:
        """Return the first so many."""
        return Chunk(self.fields[:count], self.lines[:count], self.first, self.delimiter)

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """The fields of each, and the number of its line."""
        if self.fields or not self.lines:
            return self.fields
        return tuple((self.first + k, line.rstrip("\r\n").split(self.delimiter)) for k, line in enumerate(self.lines))

    def texts(self, place: int) -> list[str]:
        """Return one field of each."""
        if not self.lines:
            return [record[place] for _, record in self.records]
        if place + 1 == self.lines[0].count(self.delimiter) + 1:
            return [line.rstrip("\r\n").rpartition(self.delimiter)[2] for line in self.lines]
        return [line.rstrip("\r\n").split(self.delimiter, place + 1)[place] for line in self.lines]

    def numbers(self, places: list[int]) -> Array | None:
        """Return numbers of plain lines, (n, k); None where there are none or a field spells none."""
        if not self.lines:
            return None
        try:
            found = np.loadtxt(self.lines, delimiter=self.delimiter, usecols=places, comments=None, ndmin=2)
        except ValueError:  # which field it is, the slow way says
            return None
        return found if found.shape == (len(self.lines), len(places)) else None


def chunks(name: str, stream: Iterable[str], delimiter: str, width: int, named: bool) -> Iterator[Chunk]:
    """Yield the samples in a stream of lines, each of `width` fields; from the first that has quotes on, by csv."""
    stream, first = iter(stream), 1
    while lines := list(islice(stream, _AT_ONCE)):
        if not _is_plain(lines, delimiter, width):
            yield from _parsed(name, chain(lines, stream), delimiter, width, (first, named and first == 1))
            return
        skipped = int(named and first == 1)
        if len(lines) > skipped:
            yield Chunk((), tuple(lines[skipped:]), first + skipped, delimiter)
        first += len(lines)


def _is_plain(lines: list[str], delimiter: str, width: int) -> bool:
    return all(line.count(delimiter) == width - 1 and '"' not in line and line.strip() for line in lines)


def _parsed(name: str, stream: Iterable[str], delimiter: str, width: int, begin: tuple[int, bool]) -> Iterator[Chunk]:
    first, named = begin
    reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
    records = ((first - 1 + reader.line_num, record) for record in reader if record)
    if named:
        next(records, None)
    while some := tuple(islice(records, _AT_ONCE)):
        for line, record in some:
            if len(record) != width:
                what = f"line {line} has {len(record)} fields, and the first has {width}"
                raise CorruptData(name, what, "Every sample needs a field in every column.")
        yield Chunk(some)

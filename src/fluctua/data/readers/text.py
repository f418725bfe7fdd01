"""Tables of text: .csv and .tsv, also compressed; one pass over the file, strict about every field."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NoReturn

import numpy as np

from ..._arrays import AnyArray, Array
from ..._half import Rows
from ..._validate.sizes import refuse_bytes
from ...errors import InvalidInput
from .held import Entry, Held, Pair
from .layout import HEAD, Layout, layout_of, missing, number
from .lines import Chunk, chunks

__all__ = ["text_table"]

_WHOLE = re.compile(r"[+-]?\d{1,20}")
_LINE = 1 << 24  # characters of the longest line that is read


@contextmanager
def text_table(path: Path, counting: bool = False) -> Iterator[Held]:
    """Give the columns of a table of text; one of `counting` numbers may begin with 0, 1 and has no names then."""
    lines = _head(path)
    found = layout_of(path.name, lines, path.name.lower().removesuffix(".gz").endswith(".tsv"), counting)
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
        with _opened(self.path) as stream:
            for chunk in chunks(self.name, stream, self.layout.delimiter, len(columns), self.layout.named):
                x.add(chunk if rows is None else chunk.head(max(0, rows - samples)))
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


class _Columns:
    """Some columns of a table, gathered chunk by chunk."""

    def __init__(self, name: str, columns: list[str], places: list[int]) -> None:
        self.name, self.columns, self.places = name, columns, places
        self._found: list[Array] = []
        self._texts: list[str] = []
        self._bytes = 0.0

    def add(self, chunk: Chunk) -> None:
        """Read the numbers of some samples."""
        if not self.places or not len(chunk):
            return
        block = chunk.numbers(self.places)
        block = self._spelled(chunk) if block is None else block
        if not np.isfinite(block).all():
            self._blame(chunk)
        self._bytes += 2 * block.nbytes  # once more when they are put together
        refuse_bytes(f"{self.name}, so far {len(self._found):,} blocks,", self._bytes, "Give fewer samples (limit).")
        self._found.append(block)

    def _spelled(self, chunk: Chunk) -> Array:
        """The same, field by field."""
        found = [number(record[place]) for _, record in chunk.records for place in self.places]
        if None in found:
            self._blame(chunk)
        return np.array(found, np.float64).reshape(len(chunk), -1)

    def _blame(self, chunk: Chunk) -> NoReturn:
        """Name the first field that holds no finite number."""
        for line, record in chunk.records:
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

    def keep(self, chunk: Chunk) -> None:
        """Keep the text of one column."""
        (place,) = self.places
        texts = [text.strip() for text in chunk.texts(place)]
        for k, text in enumerate(texts):
            if missing(text) and text not in ("-", ".", "?"):
                self._refuse(place, chunk.records[k][0], text)
        self._texts += texts

    def _refuse_spellings(self, whole: dict[str, int]) -> None:
        """Refuse whole numbers that are written in several ways: they may be several labels."""
        if len(set(whole.values())) == len(whole):
            return
        ways: dict[int, list[str]] = {}
        for text in sorted(whole):
            ways.setdefault(whole[text], []).append(text)
        first, second, *_ = next(texts for texts in ways.values() if len(texts) > 1)
        raise InvalidInput(
            f"{self.name}: column {self.columns[self.places[0]]!r} holds {first!r} and {second!r}, and nobody can tell "
            f"whether they are one label or two. Write one label in one way, or two labels so that they differ as text "
            f"(such as c{first} and c{second})."
        )

    def values(self) -> Rows | None:
        """Return the numbers, (N, d)."""
        if not self.places:
            return None
        return np.concatenate(self._found) if self._found else np.empty((0, len(self.places)))

    def labels(self) -> AnyArray:
        """Return whole numbers, numbers or text: whichever all fields are."""
        distinct = set(self._texts)
        if all(_WHOLE.fullmatch(text) for text in distinct):
            whole = {text: int(text) for text in distinct}
            self._refuse_spellings(whole)
            return np.array([whole[text] for text in self._texts])
        numbers = {text: number(text) for text in distinct}
        if all(value is not None for value in numbers.values()):
            return np.array([numbers[text] for text in self._texts], np.float64)
        return np.array(self._texts)

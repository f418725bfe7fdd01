"""What a file or an object holds, before its values are read: names, shapes, kinds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from ..._arrays import AnyArray
from ..._half import HalfArray, Rows, as_half
from ..._validate.sizes import refuse_bytes
from ..._validate.values import as_array
from ...errors import InvalidInput

__all__ = ["Content", "Entry", "Held", "first_rows", "kind_of_type", "spelled", "stacked"]

Content = Literal["number", "text", "other"]


@dataclass(frozen=True)
class Entry:
    """One array or one column.

    Attributes
    ----------
    shape : tuple of int
        Samples first; empty where it is not known before reading.
    content : {"number", "text", "other"}
    read : callable
        Returns its first so many rows, or with None all of them.
    about : str
        Its type in words.
    declared : bool
        Whether the file says that it holds labels.
    """

    shape: tuple[int, ...]
    content: Content
    read: Callable[[int | None], Rows]
    about: str = ""
    declared: bool = False

    @property
    def is_vector(self) -> bool:
        """Whether each sample has several numbers in it."""
        return len(self.shape) > 1 and self.content == "number"


class Pair(NamedTuple):
    """What was read: inputs, targets, and how many samples there are, were all of them read."""

    inputs: Rows | None
    targets: Rows | None
    samples: int


@dataclass(frozen=True)
class Held:
    """What is in a file or an object.

    Attributes
    ----------
    name : str
        Of the file or the object, in error texts.
    entries : mapping of str to Entry
    table : bool
        Whether the entries are columns of one table, rather than arrays beside each other.
    named : bool
        Whether a table gives its columns' names; they are numbers otherwise.
    part : str
        Which part of the data this is, such as train.
    """

    name: str
    entries: Mapping[str, Entry]
    table: bool = False
    named: bool = True
    part: str = ""

    @property
    def words(self) -> str:
        """The names found, and what they are."""
        every = [f"{name} ({spelled(entry)})" for name, entry in self.entries.items()]
        some = every if len(every) <= 14 else [*every[:8], "...", *every[-4:]]
        return f"{', '.join(some) or 'nothing'}{f' ({len(every):,} in all)' if len(some) < len(every) else ''}"

    def pair(self, inputs: Sequence[str], targets: Sequence[str], rows: int | None) -> Pair:
        """Read the first `rows` of the inputs, and all of the targets."""
        x = stacked(self, inputs, rows) if inputs else None
        y = stacked(self, targets, None) if targets else None
        lengths = [self.entries[name].shape[:1] for name in (*inputs, *targets)]
        found = [length[0] for length in lengths if length] or [0]
        return Pair(x, y, found[0])


def stacked(held: Held, names: Sequence[str], rows: int | None) -> Rows:
    """Return one array, or several columns of numbers side by side in float64, or in float32 where all are."""
    if len(names) == 1:
        return held.entries[names[0]].read(rows)
    if odd := [name for name in names if held.entries[name].content != "number" or held.entries[name].is_vector]:
        raise InvalidInput(f"{held.name}: {odd[0]} is no column of numbers ({spelled(held.entries[odd[0]])}).")
    samples = held.entries[names[0]].shape[0] if rows is None else min(rows, held.entries[names[0]].shape[0])
    refuse_bytes(
        f"{held.name}, {samples:,} x {len(names):,} numbers,", 8.0 * samples * len(names), "Give fewer samples (limit)."
    )
    columns = [np.asarray(held.entries[name].read(rows)) for name in names]
    narrow = all(column.dtype == np.float32 for column in columns)
    out = np.empty((samples, len(names)), np.float32 if narrow else np.float64)
    for k, column in enumerate(columns):
        out[:, k] = column
    return out


def spelled(entry: Entry) -> str:
    """Return the shape and the type in words."""
    shape = " x ".join(f"{length:,}" for length in entry.shape if length >= 0)
    return " ".join(part for part in (shape, entry.about or entry.content) if part)


def kind_of_type(dtype: np.dtype[Any]) -> Content:
    """Return what NumPy's type holds."""
    return "number" if dtype.kind in "fiubc" else "text" if dtype.kind in "UST" else "other"


def first_rows(name: str, value: object, rows: int | None) -> Rows:
    """Return the first rows of whatever holds an array; 16 bits stay 16 bits."""
    half = as_half(value)
    array: Rows = as_array(name, value) if half is None else half
    if rows is None or array.ndim == 0 or rows >= len(array):
        return array
    return array.taken(slice(rows)) if isinstance(array, HalfArray) else array[:rows].copy()


def size_refused(name: str, shape: tuple[int, ...], width: int) -> None:
    """Refuse what would not fit into memory."""
    what = f"{name}, {' x '.join(f'{n:,}' for n in shape)} numbers of {width} bytes,"
    refuse_bytes(what, float(math.prod(shape)) * width, "Give fewer samples (limit), or more memory.")


def as_numbers(array: AnyArray) -> AnyArray:
    """Return an array in memory of its own byte order."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)

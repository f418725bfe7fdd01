"""Rows of inputs that are read chunk by chunk, in order, pass after pass; the same ones each time, or it is said so."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import AnyArray, Array, DType, Ints
from .._validate.sizes import refuse_bytes
from .._validate.targets import Label, columns_of
from .._validate.values import as_array, listed, shown
from ..errors import InvalidInput
from .streaming import StreamingMoments, read_chunk

__all__ = ["ChunkedRows", "Survey", "surveyed"]

Progress = Callable[[str, float], None]
Chunk = tuple[AnyArray, AnyArray]


@dataclass(frozen=True)
class Source:
    """Where chunks come from, and the labels that their targets are of."""

    batches: Any
    classes: tuple[Label, ...] | None

    def chunks(self) -> Iterator[Chunk]:
        """Yield inputs and targets, checked, from the first chunk on."""
        sizes, names = None, None
        for number, given in enumerate(self._begun()):
            inputs, targets = self._pair(number, given)
            names = _same_columns(number, names, _columns(inputs))
            chunk = read_chunk(number, inputs, targets, sizes)
            sizes = chunk[0].shape[1], chunk[1].shape[1]
            yield chunk

    def _begun(self) -> Iterator[Any]:
        made = self.batches() if callable(self.batches) else self.batches
        if not isinstance(made, Iterable):
            raise InvalidInput(f"batches must give pairs (inputs, targets) when iterated, and gave {shown(made)}.")
        return iter(made)

    def _pair(self, number: int, given: Any) -> tuple[Any, Any]:
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise InvalidInput(f"chunk {number} (counted from 0) must be a pair (inputs, targets), got {shown(given)}.")
        inputs, targets = given
        if self.classes is not None:
            others = f"the classes {', '.join(map(str, self.classes[:8]))}"
            kind = np.dtype(np.float32) if as_array("inputs", inputs).dtype == np.float32 else np.dtype(np.float64)
            return inputs, columns_of(f"targets of chunk {number}", targets, self.classes, kind, others)
        return inputs, _values(number, targets)


def _columns(inputs: Any) -> list[Any] | None:
    """What the columns of a frame are called; None of an array."""
    return list(inputs.columns) if hasattr(inputs, "columns") and hasattr(inputs, "to_numpy") else None


def _same_columns(number: int, before: list[Any] | None, here: list[Any] | None) -> list[Any] | None:
    """Refuse frames whose columns are others than before, or in another order: they would be added by place."""
    if before is None or here is None or before == here:
        return before if here is None else here
    place = next((k for k, (old, new) in enumerate(zip(before, here, strict=False)) if old != new), len(before))
    raise InvalidInput(
        f"chunk {number} (counted from 0) has the columns {shown(here)}, and the frames before it {shown(before)}: "
        f"they differ from column {place} on, and inputs are added by place. Select the same columns in the same "
        f"order, frame[names]."
    )


def _values(number: int, targets: Any) -> AnyArray:
    """Targets that are numbers: whole ones and text, one to a sample, are labels by the rule of `LeastSquares`."""
    array = as_array(f"targets of chunk {number}", targets)
    if array.dtype.kind in "iubUST" and (array.ndim == 1 or array.shape[1:] == (1,)):
        raise InvalidInput(
            f"targets of chunk {number} (counted from 0) are labels, {array.dtype} in shape {array.shape}, and a chunk "
            f"need not have all of them. Name them, classes=range(10), for an output each; if they are values to "
            f"regress on, give floats, .astype(float)."
        )
    return array


class ChunkedRows:
    """Inputs, (N, d), of which rows are read in the order of the chunks; reading an earlier row begins a new pass.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    factors : ndarray, (N,), or None
        What each row is multiplied by when it is read.
    """

    ndim = 2

    def __init__(
        self,
        source: Source,
        shape: tuple[int, int],
        dtype: DType,
        marks: Sequence[tuple[int, int]],
        progress: Progress | None = None,
        factors: Array | None = None,
    ) -> None:
        self.source, self.shape, self.dtype, self.marks = source, shape, dtype, tuple(marks)
        self.progress, self.factors, self._passes = progress, factors, 1
        self._rest: Iterator[Chunk] | None = None
        self._number, self._begin, self._chunk = -1, 0, np.empty((0, shape[1]), dtype)

    @property
    def size(self) -> int:
        """Numbers in all."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes, were they in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ChunkedRows):
            return NotImplemented
        same = (self.shape, self.dtype, self.marks) == (other.shape, other.dtype, other.marks)
        return same and self.factors is other.factors

    def __hash__(self) -> int:
        return hash((self.shape, self.marks))

    def scaled(self, factors: Array) -> ChunkedRows:
        """Return the rows multiplied by `factors` when they are read."""
        both = factors if self.factors is None else self.factors * factors
        return ChunkedRows(self.source, self.shape, self.dtype, self.marks, self.progress, both)

    def __getitem__(self, key: Any) -> AnyArray:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        wanted = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.arange(len(self))[rows]
        found = self._read(np.atleast_1d(wanted))
        if self.factors is not None:
            found = (found * self.factors[np.atleast_1d(wanted), None]).astype(self.dtype)
        return np.asarray((found if np.ndim(wanted) else found[0])[..., columns])

    def _read(self, wanted: Ints) -> AnyArray:
        """Rows in the order asked for, read in the order of the chunks."""
        order = np.argsort(wanted, kind="stable")
        found, done = np.empty((len(wanted), self.shape[1]), self.dtype), 0
        while done < len(wanted):
            self._hold(int(wanted[order[done]]))
            last = int(np.searchsorted(wanted[order], self._begin + len(self._chunk)))
            found[order[done:last]] = self._chunk[wanted[order[done:last]] - self._begin]
            done = last
        return found

    def _hold(self, row: int) -> None:
        """Have the chunk with this row at hand."""
        if self._rest is None or row < self._begin:
            self._rest, self._number, self._begin = self.source.chunks(), -1, 0
            self._chunk, self._passes = self._chunk[:0], self._passes + 1
        while row >= self._begin + len(self._chunk):
            self._advance()

    def _advance(self) -> None:
        assert self._rest is not None
        self._begin, self._number = self._begin + len(self._chunk), self._number + 1
        given = next(self._rest, None)
        if given is None or _mark(given) != self.marks[self._number]:
            raise self._changed("is missing" if given is None else "is another")
        self._chunk = given[0]
        if self._number + 1 == len(self.marks) and next(self._rest, None) is not None:
            raise self._changed("is followed by more")
        if self.progress is not None:
            self.progress(f"pass {self._passes}", (self._begin + len(self._chunk)) / self.shape[0])

    def _changed(self, how: str) -> InvalidInput:
        self._rest = None
        return InvalidInput(
            f"batches changed between passes: chunk {self._number} of {len(self.marks):,} (counted from 0) {how} in "
            f"pass {self._passes}. Every pass must give the same samples in the same order: seed what is random, do "
            f"not shuffle, and return a new iterator from the function each time."
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        del copy
        refuse_bytes(
            f"{self.shape[0]:,} x {self.shape[1]:,} inputs at once, which this needs,",
            self.nbytes,
            "Ask for what passes over the samples find, or take fewer samples.",
        )
        found = self[:]
        return found if dtype is None else found.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"ChunkedRows({self.shape[0]:,} x {self.shape[1]:,} in {len(self.marks):,} chunks)"


def _mark(chunk: Chunk) -> tuple[int, int]:
    """Length and checksum of a chunk, by which it is known again."""
    found = 0
    for array in chunk:
        found = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, found)
    return len(chunk[0]), found


@dataclass(frozen=True)
class Survey:
    """What the first pass found.

    Attributes
    ----------
    rows : ChunkedRows
    targets : ndarray, (N, c)
    moments : StreamingMoments
    alike : bool
        Whether all inputs are equal.
    """

    rows: ChunkedRows
    targets: AnyArray
    moments: StreamingMoments
    alike: bool


def surveyed(batches: Any, classes: Any, progress: Progress | None, *, squares: bool = True) -> Survey:
    """Pass over all chunks once: sums, targets, and marks by which the chunks are known again.

    Without `squares` x x^T is not summed: then no matrix of all inputs is made.
    """
    _refuse_once(batches)
    named = None if classes is None else _named(classes)
    source, marks, targets, kinds = Source(batches, named), [], [], set()
    moments, first, alike = None, None, True
    for x, y in source.chunks():
        moments = StreamingMoments(x.shape[1], y.shape[1], squares=squares) if moments is None else moments
        moments.take(x, y)
        first = x[0].copy() if first is None else first
        alike = alike and bool((x == first).all())
        marks.append(_mark((x, y)))
        targets.append(np.array(y))
        kinds.add(x.dtype)
        if progress is not None:
            progress("pass 1", len(marks) / len(batches) if hasattr(batches, "__len__") else 0.0)
    if moments is None:
        raise InvalidInput("batches gave no chunk: there are no samples. Give pairs (inputs, targets).")
    shape = moments.samples, moments.features
    rows = ChunkedRows(source, shape, np.result_type(*kinds), marks, progress)
    return Survey(rows, np.concatenate(targets), moments, alike)


def _named(classes: Any) -> tuple[Label, ...]:
    """Labels, each once."""
    named = listed("classes", list(classes) if isinstance(classes, range) else classes, "labels, as range(10)")
    kinds = int | str | np.integer | np.bool_
    if others := [label for label in named if not isinstance(label, kinds)]:
        raise InvalidInput(f"classes must be labels, whole numbers or text, and {shown(others[0])} is neither.")
    twice = [label for k, label in enumerate(named) if label in named[:k]]
    if twice:
        raise InvalidInput(f"classes has {shown(twice[0])} twice, and every label has one output. Give each once.")
    return tuple(named)


def _refuse_once(batches: Any) -> None:
    """Refuse what is gone after one pass."""
    if isinstance(batches, Iterator):
        raise InvalidInput(
            f"batches = {shown(batches)} can be read only once, and there are several passes. Give the function that "
            f"makes it, from_batches(chunks) instead of from_batches(chunks()), or a list of chunks."
        )
    if isinstance(batches, np.ndarray | str | bytes) or not (callable(batches) or isinstance(batches, Iterable)):
        raise InvalidInput(
            f"batches must be a function that returns chunks (inputs, targets), or a list of them, got "
            f"{shown(batches)}. For files: fluctua.data.batches('inputs.npy', targets='targets.npy')."
        )

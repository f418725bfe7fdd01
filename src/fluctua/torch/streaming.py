"""A loader streamed once: features batch by batch onto the host, and the labels beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._arrays import AnyArray
from .._validate.values import shown
from ..errors import InvalidInput
from .batches import Keys, array_of
from .features import Extractor, extracting
from .kept import Kept, rows_of, shape_of
from .noticed import Dice, drawn_words, expected_rows, remarks

__all__ = ["Stream", "streamed"]

Progress = Callable[[float], None] | None


@dataclass
class Stream:
    """What came out of a loader.

    Attributes
    ----------
    kept : Kept
        The features.
    labels : list of ndarray
        Of each batch.
    batch_size : int
        Samples of the first batch.
    notes : list of str
        What is to be said of the loader and of the features.
    shape : tuple of int
        Of one sample's features, before they are flattened.
    seconds : float
        From the first batch to the last.
    """

    kept: Kept
    labels: list[AnyArray] = field(default_factory=list)
    batch_size: int = 0
    notes: list[str] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    seconds: float = 0.0

    @property
    def targets(self) -> AnyArray:
        """All labels, one row a sample."""
        return np.concatenate(self.labels)


def streamed(source: Any, loader: Any, layer: str | None, keys: Keys, limit: int | None, progress: Progress) -> Stream:
    """Return the features and the labels of every batch, each taken from the loader once.

    Raises
    ------
    InvalidInput
        For a loader that cannot be iterated or gives no batch, and for what a batch lacks; see `Keys` and `Kept`.
    """
    batches = _begun(loader)
    stream, dice, began = Stream(Kept(expected_rows(loader, limit))), Dice(), time.perf_counter()
    drew = {"loader": False, "model": False}
    with extracting(source, layer) as extract:
        dice.look()
        for number, batch in enumerate(batches, 1):
            drew["loader"] |= number > 1 and dice.rolled
            dice.look()
            _take(stream, batch, number, extract, keys, limit)
            drew["model"] |= dice.rolled
            dice.look()
            _tell(stream, progress)
            if limit is not None and stream.kept.rows >= limit:
                break
    if not stream.kept.rows:
        raise InvalidInput("the loader gave no batch: a probe needs at least two samples with their labels.")
    stream.seconds = time.perf_counter() - began
    stream.notes += [*remarks(loader), *drawn_words(**drew)]
    return stream


def _begun(loader: Any) -> Iterator[Any]:
    if isinstance(loader, str | bytes) or not isinstance(loader, Iterable):
        raise InvalidInput(
            f"loader must be an iterable of batches (inputs, labels), such as a torch.utils.data.DataLoader or a list; "
            f"got {shown(loader)}."
        )
    return iter(loader)


def _take(stream: Stream, batch: Any, number: int, extract: Extractor, keys: Keys, limit: int | None) -> None:
    """Add one batch to the stream."""
    inputs, given = keys.parted(batch, number)
    labels = array_of(given, number)
    try:
        output = extract(inputs, number)
    except Exception as error:
        error.add_note(f"while the features of batch {number} of the loader were computed")
        raise
    rows = rows_of(output, number)
    if len(rows) != len(labels):
        raise InvalidInput(
            f"batch {number} has {len(rows):,} rows of features (shape {tuple(rows.shape)}) and {len(labels):,} "
            f"labels: row i of both must belong to the same sample."
        )
    if number == 1:
        stream.batch_size, stream.shape = len(rows), shape_of(output, number)
    room = len(rows) if limit is None else min(len(rows), limit - stream.kept.rows)
    stream.kept.add(rows[:room], number)
    stream.labels.append(_alike(stream.labels, labels[:room], number))


def _alike(before: list[AnyArray], labels: AnyArray, number: int) -> AnyArray:
    if before and labels.shape[1:] != before[0].shape[1:]:
        raise InvalidInput(
            f"the labels of batch {number} have the shape {labels.shape}, and those before {before[0].shape}: every "
            f"sample needs as many."
        )
    return labels


def _tell(stream: Stream, progress: Progress) -> None:
    if progress is not None and stream.kept.expected:
        progress(min(1.0, stream.kept.rows / stream.kept.expected))

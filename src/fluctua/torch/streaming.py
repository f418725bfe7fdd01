"""A loader streamed once: features batch by batch onto the host, and the labels beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
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


class Stream:
    """What comes out of a loader.

    Parameters
    ----------
    loader : iterable
        Of batches.
    keys : Keys
        Which entries of a batch are inputs and targets.
    limit : int or None
        Of samples.

    Attributes
    ----------
    kept : Kept
        The features.
    batch_size : int
        Samples of the first batch.
    notes : list of str
        What is to be said of the loader and of the features.
    shape : tuple of int
        Of one sample's features, before they are flattened.
    seconds : float
        From the first batch to the last.
    """

    def __init__(self, loader: Any, keys: Keys, limit: int | None) -> None:
        self.loader, self.keys, self.limit, self.kept = loader, keys, limit, Kept()
        self.batch_size, self.shape, self.seconds, self.notes = 0, (), 0.0, list[str]()
        self._labels: list[AnyArray] = []

    shape: tuple[int, ...]

    @property
    def targets(self) -> AnyArray:
        """All labels, one row a sample."""
        return np.concatenate(self._labels)

    @property
    def full(self) -> bool:
        """Whether there are as many samples as were asked for."""
        return self.limit is not None and self.kept.rows >= self.limit

    @property
    def share(self) -> float:
        """What is done of it, where the loader says how much there is; else 0."""
        return min(1.0, self.kept.rows / self.kept.expected) if self.kept.expected else 0.0

    def take(self, batch: Any, number: int, extract: Extractor) -> None:
        """Add one batch."""
        inputs, given = self.keys.parted(batch, number)
        labels = array_of(given, number)
        try:
            output = extract(inputs, number)
        except Exception as error:
            error.add_note(f"while the features of batch {number} of the loader were computed")
            raise
        rows = rows_of(output, number)
        _hold_together(rows, labels, number)
        if number == 1:
            self.kept.expected = expected_rows(self.loader, len(rows), self.limit)
            self.batch_size, self.shape = len(rows), shape_of(output, number)
        room = len(rows) if self.limit is None else min(len(rows), self.limit - self.kept.rows)
        self.kept.add(rows[:room], number)
        self._labels.append(self._alike(labels[:room], number))

    def _alike(self, labels: AnyArray, number: int) -> AnyArray:
        before = self._labels[0].shape if self._labels else labels.shape
        if labels.shape[1:] != before[1:]:
            raise InvalidInput(
                f"the labels of batch {number} have the shape {labels.shape}, and those before {before}: every sample "
                f"needs as many."
            )
        return labels


def streamed(source: Any, loader: Any, layer: str | None, keys: Keys, limit: int | None, progress: Progress) -> Stream:
    """Return the features and the labels of every batch, each taken from the loader once.

    Raises
    ------
    InvalidInput
        For a loader that cannot be iterated or gives no batch, and for what a batch lacks; see `Keys` and `Kept`.
    """
    batches = _begun(loader)
    stream, dice, began = Stream(loader, keys, limit), Dice(), time.perf_counter()
    with extracting(source, layer) as extract:
        drew = {"loader": False, "model": False}
        for number, batch in enumerate(batches, 1):
            drew["loader"] |= number > 1 and dice.rolled
            dice.look()
            stream.take(batch, number, extract)
            drew["model"] |= dice.rolled
            dice.look()
            if progress is not None:
                progress(stream.share)
            if stream.full:
                break
    if not stream.kept.rows:
        raise InvalidInput("the loader gave no batch: a probe needs at least two samples with their labels.")
    stream.seconds = time.perf_counter() - began
    stream.notes += [*remarks(loader), *drawn_words(**drew)]
    return stream


def _begun(loader: Any) -> Iterator[Any]:
    if isinstance(loader, str | bytes) or not isinstance(loader, Iterable):
        raise InvalidInput(
            f"loader must be an iterable of batches (inputs, labels): a list, or of a data set "
            f"torch.utils.data.DataLoader(dataset, batch_size=...); got {shown(loader)}."
        )
    return iter(loader)


def _hold_together(rows: Any, labels: AnyArray, number: int) -> None:
    if len(rows) != len(labels):
        raise InvalidInput(
            f"batch {number} has {len(rows):,} rows of features (shape {tuple(rows.shape)}) and {len(labels):,} "
            f"labels: row i of both must belong to the same sample."
        )

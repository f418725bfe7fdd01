"""Which samples of a user's arrays are wanted, and what their targets are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._arrays import AnyArray
from .._half import HalfArray, Rows, read_type
from .._validate.targets import (
    KINDS,
    Kind,
    TargetsAre,
    decided,
    labels_text,
    one_hot,
    plain,
    read_labels,
    refuse_unknown,
)
from .._validate.values import as_array, choice, real_array, sample_rows
from ..errors import InvalidInput
from .dataset import Dataset, chosen_labels, chosen_samples

__all__ = ["Selection", "class_list", "recoded"]


@dataclass(frozen=True)
class Selection:
    """What `fluctua.load` was asked to keep, and how to read it.

    Attributes
    ----------
    classes : sequence of int or str, optional
    limit : int, optional
    targets_are : "labels" or "values", optional
    like : Dataset, optional
        Whose outputs the targets become.
    optional : bool
        Whether there may be no targets: inputs are then all that is asked for.
    """

    classes: Sequence[int | str] | None = None
    limit: int | None = None
    targets_are: TargetsAre = None
    like: Dataset | None = None
    optional: bool = False

    def __post_init__(self) -> None:
        if self.targets_are is not None:
            choice("targets_are", self.targets_are, KINDS)
        if self.like is not None and not isinstance(self.like, Dataset):
            raise InvalidInput(f"like must be the Dataset whose outputs these data share, got {self.like!r}.")

    def dataset(self, name: str, inputs: Rows, y: AnyArray | None, files: Mapping[str, str]) -> Dataset:
        """Return what is wanted of the arrays of a file; without y it has no outputs."""
        if y is None:
            chosen = _inputs(inputs, slice(self.limit))
            return Dataset(chosen, np.zeros((len(chosen), 0), read_type(chosen)), None, name, (), files)
        if self._kind(name, y) == "labels":
            return self._labelled(name, inputs, read_labels(f"y of {name}", y), files)
        if self.classes is not None:
            raise InvalidInput(
                f"classes chooses among integer labels, or text, and y of {name} has dtype {y.dtype}, shape {y.shape}."
            )
        every = slice(self.limit)
        chosen, kept = _inputs(inputs, every), _as_columns(_kept(y, every))
        return Dataset(chosen, real_array("y", kept, ndim=2, shape="(N,) or (N, c)"), None, name, (), files)

    def _kind(self, name: str, y: AnyArray) -> Kind:
        one_per_sample = y.size > 0 and (y.ndim == 1 or y.shape[1:] == (1,))
        whole = one_per_sample and y.dtype.kind in "iubUST"
        if self.targets_are is None and self.like is not None:
            return "values" if self.like.labels is None or not one_per_sample else "labels"
        if self.targets_are is None and self.classes is not None and whole:
            return "labels"
        return decided(f"y of {name}", y, self.targets_are)

    def _labelled(self, name: str, inputs: Rows, labels: AnyArray, files: Mapping[str, str]) -> Dataset:
        # The columns come from the whole file, so that `limit` does not change how many outputs there are.
        known, names = self._known(labels)
        wanted, class_names = chosen_labels(self.classes, known, names, name)
        if self.like is not None and self.classes is None:
            refuse_unknown(f"y of {name}", labels, known, f"the data of {self.like.name}")
        index = chosen_samples(labels, wanted, self.limit)
        chosen, kept = _inputs(inputs, index), _kept(labels, index)
        if self.like is not None:
            wanted, class_names = known, tuple(names)
        targets = one_hot(kept, wanted, read_type(chosen))
        return Dataset(chosen, targets, kept, name, class_names, files, tuple(wanted))

    def _known(self, labels: AnyArray) -> tuple[list[int | str], Sequence[str]]:
        """Return the labels that have an output, and their names."""
        if self.like is not None:
            return list(self.like.classes), self.like.class_names
        known = [plain(label) for label in np.unique(labels)]
        return known, [str(label) for label in known]


def recoded(dataset: Dataset, like: Dataset) -> Dataset:
    """Return labelled data with the outputs of `like`; a label that it does not have is refused by name."""
    if dataset.classes == like.classes:
        return dataset
    if dataset.labels is None or like.labels is None:
        raise InvalidInput(
            f"{dataset.name} holds labels ({labels_text(dataset.classes)}) and {like.name} values: their losses cannot "
            f"be compared. Give labels for both, or values for both."
        )
    refuse_unknown(dataset.name, dataset.labels, like.classes, f"the data of {like.name}")
    targets = one_hot(dataset.labels, like.classes, dataset.targets.dtype)
    return replace(dataset, targets=targets, class_names=like.class_names, classes=like.classes)


def class_list(classes: Any) -> Any:
    """Return the labels in an array of any library as a list; anything else as it is, for `chosen_labels` to check."""
    if classes is None or isinstance(classes, Sequence) or not hasattr(classes, "__array__"):
        return classes
    array = as_array("classes", classes)
    if array.ndim != 1:
        raise InvalidInput(f"classes must be a sequence of labels such as [3, 8], got an array of shape {array.shape}.")
    return array.tolist()


def _inputs(array: Rows, index: AnyArray | slice) -> AnyArray:
    kept = _taken(array, index) if isinstance(array, HalfArray) else _kept(array, index)
    flat = kept.reshape(len(kept), -1) if kept.ndim > 2 and kept.size else kept
    rows = sample_rows("X", flat, "(N, d)")
    return rows.given if isinstance(rows, HalfArray) else rows


def _taken(array: HalfArray, index: AnyArray | slice) -> HalfArray:
    whole = isinstance(index, slice) and (index.stop is None or index.stop >= len(array))
    return array if whole or array.ndim == 0 else array.taken(index)


def _kept(array: AnyArray, index: AnyArray | slice) -> AnyArray:
    if array.ndim == 0 or (isinstance(index, slice) and (index.stop is None or index.stop >= len(array))):
        return array
    # A copy, so that a small choice does not keep a large file in memory.
    return array[index].copy() if isinstance(index, slice) else array[index]


def _as_columns(array: AnyArray) -> AnyArray:
    return array[:, None] if array.ndim == 1 else array

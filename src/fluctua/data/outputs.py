"""The outputs that training targets ask for: one for each label, or the values' own columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._arrays import AnyArray, DType
from .._validate.targets import (
    Label,
    TargetsAre,
    columns_of,
    labels_text,
    one_hot,
    plain,
    read_labels,
    read_targets,
    refuse_unknown,
)
from .._validate.values import as_array, listed, shown
from ..errors import InvalidInput
from .dataset import Dataset

__all__ = ["Outputs", "label_list"]


def label_list(classes: Any) -> tuple[Label, ...] | None:
    """Return the labels that were given, each once; None where none were."""
    if classes is None:
        return None
    labels = read_labels("classes", as_array("classes", listed("classes", classes, "labels, as [3, 8]")))
    found = tuple(plain(label) for label in labels)
    if len(set(found)) < len(found):
        raise InvalidInput(f"classes must hold each label once, got {shown(classes)}.")
    return found


@dataclass(frozen=True)
class Outputs:
    """What the columns of the targets are.

    Attributes
    ----------
    count : int
    classes : tuple of int or str, or None
        The label of each; None where they are values.
    """

    count: int
    classes: tuple[Label, ...] | None

    @classmethod
    def of(cls, targets: Any, dtype: DType, classes: tuple[Label, ...] | None, targets_are: TargetsAre) -> Outputs:
        """Read the training targets by the rule of `LeastSquares`, or as the labels `classes`."""
        if classes is None:
            columns, coding = read_targets("targets", targets, dtype, targets_are)
            return cls(columns.shape[1], coding.classes)
        labels = read_labels("targets", as_array("targets", targets))
        return cls._labelled("targets", labels, classes)

    @classmethod
    def of_dataset(cls, dataset: Dataset, classes: tuple[Label, ...] | None) -> Outputs:
        """Return those of data that were read already, or `classes` of them."""
        if dataset.labels is None:
            if classes is not None:
                raise InvalidInput(f"classes are labels, and the targets of {dataset.name} are values: leave them out.")
            return cls(dataset.targets.shape[1], None)
        if classes is None:
            return cls(len(dataset.classes), dataset.classes)
        return cls._labelled(dataset.name, dataset.labels, classes)

    @classmethod
    def _labelled(cls, name: str, labels: AnyArray, classes: tuple[Label, ...]) -> Outputs:
        refuse_unknown(name, labels, classes, "the classes given")
        there = {plain(label) for label in np.unique(labels)}
        idle = [label for label in classes if label not in there]
        if idle:
            raise InvalidInput(
                f"classes holds {labels_text(idle)}, and no sample of {name} has such a label: its output would be "
                f"trained to 0. Leave it out."
            )
        return cls(len(classes), classes)

    def encode(self, targets: Any, dtype: DType) -> AnyArray:
        """Return targets as these outputs, (n, c)."""
        columns = columns_of("targets", targets, self.classes, dtype, "the training data")
        if columns.shape[1] != self.count:
            raise InvalidInput(
                f"targets have {columns.shape[1]} columns, and the training's have {self.count}: both must be the same "
                f"outputs in the same order."
            )
        return columns.astype(dtype, copy=False)

    def of_other(self, dataset: Dataset) -> Dataset:
        """Return a data set with its targets as these outputs."""
        if self.classes is None or dataset.labels is None:
            return replace(dataset, targets=self.encode(dataset.targets, dataset.targets.dtype))
        if dataset.classes == self.classes:
            return dataset
        refuse_unknown(dataset.name, dataset.labels, self.classes, "the training data")
        names = dict(zip(dataset.classes, dataset.class_names, strict=True))
        targets = one_hot(dataset.labels, self.classes, dataset.targets.dtype)
        known = tuple(names.get(label, str(label)) for label in self.classes)
        return replace(dataset, targets=targets, classes=self.classes, class_names=known)

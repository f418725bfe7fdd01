"""The accuracy of a probe, in the words and the JSON of `fluctua predict`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..data import Dataset
from ..errors import InvalidInput
from ..theory.prediction import Prediction
from ..theory.probe import ExpectedAccuracy, expected_accuracy

__all__ = ["Accuracies", "accuracies", "refuse_unlabelled"]


@dataclass(frozen=True)
class Accuracies:
    """On the training data and, where there are some, on held-out data."""

    training: ExpectedAccuracy
    held_out: ExpectedAccuracy | None
    other: str
    """Name of the held-out data."""

    def to_dict(self) -> dict[str, Any]:
        """Both, for JSON."""
        other = None if self.held_out is None else asdict(self.held_out)
        return {"training": asdict(self.training), "held_out": other}

    @property
    def words(self) -> Iterator[str]:
        """A line for each."""
        yield f"accuracy      {_words(self.training)}"
        if self.held_out is not None:
            yield f"accuracy      {self.other}: {_words(self.held_out)}"
        if not self.training.pairs:
            yield "              (optimistic: noise shared out among the outputs may hide a fifth of the fall;"
            yield "              --accuracy solves every pair of them)"


def accuracies(
    prediction: Prediction, training: Dataset, held_out: Dataset | None, *, pairs: bool
) -> Accuracies | None:
    """Return the accuracies of a prediction; None for data without two labels, or two values that are asked about."""
    if not (_labelled(training) or (pairs and _of_two_values(training))):
        return None
    found = expected_accuracy(prediction, pairs=pairs)
    if held_out is None:
        return Accuracies(found, None, "")
    other = expected_accuracy(prediction, held_out.inputs, held_out.targets, pairs=pairs)
    return Accuracies(found, other, held_out.name)


def refuse_unlabelled(training: Dataset) -> None:
    """Refuse --accuracy of what has none: one output of two values decides against their middle."""
    if not (_labelled(training) or _of_two_values(training)):
        raise InvalidInput(
            f"--accuracy is of labels, two at least, and {training.name} has {training.targets_words.splitlines()[0]}. "
            f"Leave it out, or say --targets-are labels. One output of two values, such as -1 and 1, has one too."
        )


def _labelled(dataset: Dataset) -> bool:
    return dataset.labels is not None and dataset.targets.shape[1] > 1


def _of_two_values(dataset: Dataset) -> bool:
    return dataset.targets.shape[1] == 1 and len(np.unique(dataset.targets)) == 2


def _words(found: ExpectedAccuracy) -> str:
    expected = f"{found.expected:.2%} expected" if np.isfinite(found.expected) else "no stationary state to expect"
    return f"{found.optimum:.2%} at W*, {expected}"

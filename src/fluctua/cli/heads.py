"""What commands do with --loss cross-entropy: a softmax head on data with labels."""

from __future__ import annotations

from typing import Any

from .._validate.plain import Keywords
from ..data import Dataset
from ..data.prepared import preparation_words
from ..errors import InvalidInput
from ..problem.softmax.heads import Softmax
from .options import LOSS_NAMES

__all__ = ["head_words", "posed_head", "refuse_head"]


def posed_head(dataset: Dataset) -> Softmax:
    """Return the problem of a softmax head on labels; values are refused."""
    if dataset.labels is None:
        raise InvalidInput(
            f"--loss cross-entropy is of classes, and the targets of {dataset.name} are values. Give labels, with "
            f"--targets-are labels where whole numbers are meant as such, or leave --loss out."
        )
    return Softmax(dataset.inputs, dataset.labels)


def head_words(dataset: Dataset, problem: Softmax) -> str:
    """Return the data, and the head on them, in a line each."""
    done = preparation_words(dataset.preparation)
    return "\n".join(
        (
            f"data      {dataset.name}: {problem.samples:,} samples, {problem.features} inputs",
            *([f"prepared  {done}"] if done else []),
            f"head      softmax, cross-entropy of {len(problem.classes)} classes, {problem.rank:,} modes",
        )
    )


def refuse_head(options: Keywords, *names: str, **given: Any) -> None:
    """Refuse options that a softmax head has no answer for: `names` as typed, and those of `given` that are set."""
    if options.get("loss", LOSS_NAMES[0]) == LOSS_NAMES[0]:
        return
    asked = [*names, *(f"--{name.replace('_', '-')}" for name, value in given.items() if value)]
    if asked:
        raise InvalidInput(
            f"{asked[0]} is of squared errors: for --loss cross-entropy it is not covered. Leave one of the two out."
        )

"""What targets mean: labels, which get an output each, or values to regress on. One rule for arrays and files.

Whole numbers (bool among them) and strings of shape (N,) or (N, 1) are labels; floats, and several columns, are values.
`targets_are` says otherwise. Where whole numbers hold more classes than a fifth of the samples the rule asks.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, SupportsInt

import numpy as np

from .._arrays import AnyArray, DType
from ..errors import AmbiguousTargets, InvalidInput
from .sizes import refuse_bytes
from .values import as_array, choice, real_array

__all__ = [
    "KINDS",
    "VALUES",
    "Coding",
    "Kind",
    "Label",
    "TargetsAre",
    "columns_of",
    "decided",
    "labels_text",
    "one_hot",
    "plain",
    "read_labels",
    "read_targets",
    "refuse_unknown",
    "values_of",
]

Kind = Literal["labels", "values"]
TargetsAre = Kind | None
Label = int | str
KINDS: tuple[Kind, ...] = ("labels", "values")
_MOST_CLASSES = 5  # samples per class, on average, below which the rule asks
_HELD = 4.0  # arrays of the outputs' size that a problem comes to: targets, residuals, and what makes those
_TOY = 20  # samples below which it does not ask: labels where one comes twice, values where all differ


@dataclass(frozen=True)
class Coding:
    """How targets were read.

    Attributes
    ----------
    classes : tuple of int or str, or None
        The label of each output; None where the targets are values.
    """

    classes: tuple[Label, ...] | None = None

    @property
    def kind(self) -> Kind:
        """The word for it."""
        return "values" if self.classes is None else "labels"


VALUES = Coding()


def read_targets(name: str, given: object, dtype: DType, targets_are: TargetsAre = None) -> tuple[AnyArray, Coding]:
    """Return targets as the (N, c) numbers to regress on, and how they were read; one-hot in `dtype` for labels.

    Raises
    ------
    InvalidInput
        For whole numbers that may be either, and where `targets_are` asks for what they cannot be.

    Warns
    -----
    AmbiguousTargets
        For labels with negative ones among them, and floats that look like labels.
    """
    array = as_array(name, given)
    if decided(name, array, targets_are) == "values":
        return values_of(name, array), VALUES
    labels = read_labels(name, array)
    classes = tuple(plain(label) for label in np.unique(labels))
    return one_hot(labels, classes, dtype), Coding(classes)


def values_of(name: str, array: AnyArray) -> AnyArray:
    """Return the numbers as they are, one column where there is one number per sample."""
    return real_array(name, array[:, None] if array.ndim == 1 else array, ndim=2, shape="(samples, outputs)")


def decided(name: str, array: AnyArray, targets_are: TargetsAre) -> Kind:
    """Return which of the two an array is; warns and raises as `read_targets` does."""
    if targets_are is not None:
        return choice("targets_are", targets_are, KINDS)  # type: ignore[return-value]
    if not _one_per_sample(array) or array.dtype.kind not in "iubfUST" or _numbers_as_text(array):
        return "values"
    flat = array.reshape(-1)
    distinct = np.unique(flat)
    if array.dtype.kind == "f":
        _mind_floats(name, flat, distinct)
        return "values"
    if array.dtype.kind == "b":
        return "labels"
    if len(flat) < _TOY:
        return "values" if array.dtype.kind in "iu" and len(distinct) == len(flat) else "labels"
    if _MOST_CLASSES * len(distinct) > len(flat):
        raise _undecided(name, len(distinct), len(flat))
    _mind_negative(name, distinct)
    return "labels"


def read_labels(name: str, array: AnyArray) -> AnyArray:
    """Return labels as int64, uint64 where that is too small, or text, (N,)."""
    if not _one_per_sample(array):
        raise InvalidInput(f"{name} must hold one label per sample to be labels, got shape {array.shape}.")
    flat = array.reshape(-1)
    if flat.dtype.kind in "fO":
        flat = real_array(name, flat, ndim=1, shape="(samples,)")
        broken = flat[(flat != np.round(flat)) | (np.abs(flat) > 2**53)]
        if len(broken):
            raise InvalidInput(
                f"{name} holds {broken[0]:g}, and labels are whole numbers or text. If these are values to regress on, "
                f"say targets_are='values' (of the training data, for held-out ones)."
            )
    if flat.dtype.kind in "ST":
        flat = np.char.decode(flat, "utf-8", "backslashreplace") if flat.dtype.kind == "S" else flat.astype(str)
    if flat.dtype.kind == "U":
        return flat
    if flat.dtype.kind not in "iubf":
        raise InvalidInput(f"{name} of dtype {flat.dtype} holds no labels: they are whole numbers or text.")
    return flat if flat.dtype.kind == "u" and int(flat.max()) >= 2**63 else flat.astype(np.int64)


def one_hot(labels: AnyArray, classes: Iterable[Label], dtype: DType) -> AnyArray:
    """Return the (N, c) indicator of each label among `classes`, one column each, in that order."""
    column = {label: k for k, label in enumerate(classes)}
    refuse_bytes(
        f"one column for each of {len(column):,} labels of {len(labels):,} samples",
        _HELD * dtype.itemsize * len(labels) * len(column),
        "Are they labels? Give numbers to be predicted as floats, or fewer classes.",
    )
    distinct, inverse = np.unique(labels, return_inverse=True)
    place = np.array([column[plain(label)] for label in distinct])
    out = np.zeros((len(labels), len(column)), dtype)
    out[np.arange(len(labels)), place[inverse]] = 1
    return out


def plain(label: SupportsInt | str) -> Label:
    """Return a label as a plain int or str, so that those of different arrays compare."""
    return str(label) if isinstance(label, str) else int(label)


def columns_of(name: str, given: object, classes: tuple[Label, ...] | None, dtype: DType, others: str) -> AnyArray:
    """Return other targets as the outputs that `classes` name; those of the training data, called `others`.

    None stands for values. Floats are labels here if they are whole, because the training data's are. A label that has
    no sample keeps its column; a label that has no column is refused by name.
    """
    array = as_array(name, given)
    if classes is None or not _one_per_sample(array) or (array.dtype.kind == "f" and len(classes) == 1):
        return values_of(name, array)
    labels = read_labels(name, array)
    refuse_unknown(name, labels, classes, others)
    return one_hot(labels, classes, dtype)


def refuse_unknown(name: str, labels: AnyArray, classes: Iterable[Label], others: str) -> None:
    """Raise `InvalidInput`, naming them, for labels that have no output."""
    found, counts = np.unique(labels, return_counts=True)
    known = tuple(classes)
    unknown = {
        plain(label): int(count) for label, count in zip(found, counts, strict=True) if plain(label) not in known
    }
    if unknown:
        raise InvalidInput(
            f"{name} holds the label{'s' * (len(unknown) > 1)} {labels_text(unknown)} (in {sum(unknown.values()):,} of "
            f"{len(labels):,} samples), for which {others} have no output; they know {labels_text(known)}. Leave such "
            f"samples out, or learn from data with these labels."
        )


def labels_text(labels: Iterable[Label], width: int = 60) -> str:
    """Return labels in text, as many as fit the width and one at least."""
    every = [repr(label) if isinstance(label, str) else str(label) for label in labels]
    ends = np.cumsum([len(label) + 2 for label in every])
    some = max(int(np.searchsorted(ends, width, side="right")), 1)
    return ", ".join(every[:some]) + (f", ... ({len(every):,} in all)" if len(every) > some else "")


def _one_per_sample(array: AnyArray) -> bool:
    return array.size > 0 and (array.ndim == 1 or array.shape[1:] == (1,))


def _numbers_as_text(array: AnyArray) -> bool:
    """Whether all entries are text that spells numbers: then the file was read wrongly, and nobody knows which."""
    if array.dtype.kind not in "UST":
        return False
    try:
        array.astype(np.float64)
    except ValueError:
        return False
    return True


def _undecided(name: str, classes: int, samples: int) -> InvalidInput:
    return InvalidInput(
        f"{name} holds {classes:,} distinct labels or whole numbers in {samples:,} samples, more than a fifth: are "
        f"they labels, with {classes:,} outputs, or values to regress on, with one? Say targets_are='labels' or "
        f"targets_are='values' (--targets-are labels|values on the command line)."
    )


def _mind_negative(name: str, distinct: AnyArray) -> None:
    if distinct.dtype.kind != "i" or distinct[0] >= 0 or distinct[-1] < 0 or distinct.tolist() == [-1, 1]:
        return
    negative = [int(label) for label in distinct if label < 0]
    warnings.warn(
        AmbiguousTargets(
            f"{name} holds labels below zero beside others: {labels_text(negative)}. Each became a class with an "
            f"output of its own. If they mark samples without a label, as torch's ignore_index does, leave those out "
            f"(classes=, --classes); if the numbers are values to regress on, say targets_are='values' "
            f"(--targets-are values)."
        ),
        stacklevel=5,
    )


def _mind_floats(name: str, flat: AnyArray, distinct: AnyArray) -> None:
    few = 2 < len(distinct) <= len(flat) / _MOST_CLASSES and len(flat) >= _TOY
    if few and np.isfinite(distinct).all() and (distinct == np.round(distinct)).all():
        warnings.warn(
            AmbiguousTargets(
                f"{name} holds floats that are all whole, {len(distinct)} different ones: they are values, "
                f"regressed on by one output. If they are labels, say targets_are='labels' (--targets-are labels), "
                f"or .astype(int)."
            ),
            stacklevel=5,
        )

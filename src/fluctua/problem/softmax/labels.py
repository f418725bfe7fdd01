"""Labels of a head, read at the door: hard or soft, smoothed, weighted by class, and some of them ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._arrays import AnyArray, Array, Bools
from ..._validate.sizes import refuse_bytes
from ..._validate.targets import Label, labels_text, plain, read_labels
from ..._validate.values import as_array, real_array, real_number, shown
from ...errors import InvalidInput

__all__ = ["Read", "read_classes"]

_SUM = 1e-5  # of a row of soft targets, from 1: what float32 rounds


@dataclass(frozen=True)
class Read:
    """What labels mean.

    Attributes
    ----------
    targets : ndarray, (N, c)
        y of each sample that counts, rows that sum to 1.
    factors : ndarray, (N,), or None
        What the loss of each is multiplied by; None where that is 1 throughout.
    classes : tuple
        The label of each column.
    kept : ndarray of bool
        Which of the samples given count.
    """

    targets: Array
    factors: Array | None
    classes: tuple[Label, ...]
    kept: Bools

    @property
    def ignored(self) -> int:
        """Samples that do not count."""
        return int(np.count_nonzero(~self.kept))


def read_classes(
    labels: object, class_weight: object, label_smoothing: object, ignore_index: object, *, pair: bool = False
) -> Read:
    """Return what labels of a head mean; `pair` asks for two classes, and takes chances of the second one too."""
    smoothing = real_number("label_smoothing", label_smoothing, minimum=0.0, below=1.0)
    array = as_array("labels", labels)
    if pair and _chances(array):
        array = np.stack([1.0 - array.reshape(-1), array.reshape(-1)], axis=1)
    soft = array.ndim == 2 and array.shape[1] > 1
    targets, classes, kept = _soft(array, ignore_index) if soft else _hard(array, ignore_index)
    _refuse_few(classes, pair)
    weights = _class_weights(class_weight, classes, targets)
    norm = 1.0 if weights is None or soft else float((targets @ weights).mean())  # torch's, over all samples
    targets = (1 - smoothing) * targets + smoothing / len(classes)
    if weights is None:
        return Read(targets, None, classes, kept)
    factors = targets @ weights / norm
    weighted = targets * weights
    return Read(weighted / weighted.sum(axis=1, keepdims=True), factors, classes, kept)


def _chances(array: AnyArray) -> bool:
    """Whether one number per sample is the chance of the second class."""
    one = array.ndim == 1 or array.shape[1:] == (1,)
    return bool(one and array.dtype.kind == "f" and array.size and ((array > 0) & (array < 1)).any())


def _soft(array: AnyArray, ignore_index: object) -> tuple[Array, tuple[Label, ...], Bools]:
    if ignore_index is not None:
        raise InvalidInput(
            f"ignore_index = {shown(ignore_index)} is for labels, and these are soft targets of shape {array.shape}, "
            f"which name no class. Leave such rows out before."
        )
    y = real_array("labels", array, ndim=2, shape="(samples, classes)").astype(np.float64)
    if y.min() < 0:
        bad = tuple(map(int, np.argwhere(y < 0)[0]))
        raise InvalidInput(
            f"labels of shape {y.shape} are soft targets, which are at least 0; got {y[bad]:g} at {bad}."
        )
    off = np.abs(y.sum(axis=1) - 1)
    if off.max() > _SUM:
        row = int(np.argmax(off))
        raise InvalidInput(
            f"labels of shape {y.shape} are soft targets, whose rows sum to 1; row {row} sums to {y[row].sum():g}. "
            f"Divide each row by its sum, or give one label per sample."
        )
    empty = np.flatnonzero(~y.any(axis=0))
    if empty.size:
        raise InvalidInput(
            f"class {empty[0]} has no sample: column {empty[0]} of the soft targets is 0 throughout"
            f"{f', and so are {empty.size - 1} others' if empty.size > 1 else ''}. Its probability would only be "
            f"pushed to 0. Leave the column out, or give it samples."
        )
    return y / y.sum(axis=1, keepdims=True), tuple(range(y.shape[1])), np.ones(len(y), bool)


def _hard(array: AnyArray, ignore_index: object) -> tuple[Array, tuple[Label, ...], Bools]:
    found = read_labels("labels", array)
    kept = np.ones(len(found), bool) if ignore_index is None else found != _index(ignore_index, found)
    if not kept.any():
        raise InvalidInput(f"all {len(found)} labels are ignore_index = {shown(ignore_index)}: no sample is left.")
    distinct, place = np.unique(found[kept], return_inverse=True)
    _refuse_negative(found[kept], distinct)
    refuse_bytes(
        f"one probability for each of {len(distinct):,} classes of {len(place):,} samples",
        32.0 * len(distinct) * len(place),
        "Are they labels? For numbers to be predicted use LeastSquares.",
    )
    return np.eye(len(distinct))[place], tuple(plain(label) for label in distinct), kept


def _index(given: object, labels: AnyArray) -> Any:
    """Return what is ignored, of the labels' kind."""
    text = labels.dtype.kind == "U"
    if isinstance(given, str) != text or (not text and real_number("ignore_index", given) != round(float(given))):  # type: ignore[arg-type]
        kind = "text" if text else "whole numbers"
        raise InvalidInput(f"ignore_index must be one of the labels, which are {kind}, or None; got {shown(given)}.")
    return given


def _refuse_negative(labels: AnyArray, distinct: AnyArray) -> None:
    """Labels below 0 are what torch refuses, -100 by itself; -1 and 1 are the two classes of old."""
    if distinct.dtype.kind == "i" and distinct[0] < 0 and distinct.tolist() != [-1, 1]:
        count = int(np.count_nonzero(labels == distinct[0]))
        raise InvalidInput(
            f"labels hold {distinct[0]} ({count:,} times), and a class is counted from 0. If it marks samples without "
            f"a label, say ignore_index={distinct[0]}; if it is a class, number the classes from 0."
        )


def _refuse_few(classes: tuple[Label, ...], pair: bool) -> None:
    if len(classes) < 2:
        raise InvalidInput(
            f"labels hold the one class {labels_text(classes)}: its probability is 1 and there is nothing to learn. "
            f"Give samples of two classes at least."
        )
    if pair and len(classes) != 2:
        raise InvalidInput(
            f"Logistic is for two classes, and labels hold {len(classes)}: {labels_text(classes)}. Use Softmax."
        )


def _class_weights(given: object, classes: tuple[Label, ...], targets: Array) -> Array | None:
    """Return the weights of the classes in their order, (c,); "balanced" ones are N / (c N_a), as scikit-learn has."""
    if given is None:
        return None
    if isinstance(given, str):
        if given != "balanced":
            raise InvalidInput(f"class_weight must be 'balanced', a weight for each class or None, got {given!r}.")
        return np.asarray(len(targets) / (len(classes) * targets.sum(axis=0)))
    if isinstance(given, Mapping):
        unknown = [label for label in given if label not in classes]
        if unknown or len(given) < len(classes):
            missing = [label for label in classes if label not in given]
            raise InvalidInput(
                f"class_weight must have a weight for each of the classes {labels_text(classes)}; "
                + (f"it has {labels_text(unknown)}, which no sample is of." if unknown else f"it lacks {missing[0]!r}.")
            )
        given = [given[label] for label in classes]
    weights = real_array("class_weight", given, ndim=1, shape="(classes,)").astype(np.float64)  # type: ignore[arg-type]
    if len(weights) != len(classes):
        raise InvalidInput(
            f"class_weight holds {len(weights)} weights for {len(classes)} classes, {labels_text(classes)}: every "
            f"class needs its own, and a class without samples has none."
        )
    if not (weights > 0).all():
        raise InvalidInput(
            f"class_weight must be greater than 0, got {weights.min():g}. Leave such a class out instead."
        )
    return np.asarray(weights)

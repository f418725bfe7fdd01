"""How a linear probe is found: features posed as a problem, and the verbs asked about it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from .._arrays import AnyArray
from .._half import HalfArray
from .._validate.targets import one_hot, plain, read_labels
from ..data import Dataset, Preparation
from ..errors import AmbiguousTargets, InvalidInput
from ..problem.least_squares import LeastSquares
from ..problem.softmax.heads import Softmax
from . import head_probes as _heads  # noqa: F401  (says what a probe asks of them)
from .posed import least_squares_of
from .probe_nouns import asked_of_plan, found_of
from .probed import Probe, Streamed
from .recipes import plan
from .wanted import Wanted

__all__ = ["probe_on", "reading_targets"]

_IGNORED = -100  # the label that nn.CrossEntropyLoss leaves out


def probe_on(
    data: Dataset,
    wanted: Wanted,
    streamed: Streamed | None = None,
    held_out: Dataset | None = None,
    progress: Callable[[float], None] | None = None,
) -> Probe:
    """Return what is predicted of a linear probe on features.

    Raises
    ------
    InvalidInput
        For a batch larger than the data, for features and labels that no problem can be made of, and for cross-entropy
        of values.
    NotConverged
        As of `plan`.
    """
    came = Streamed(0.0, data.inputs.shape[1:]) if streamed is None else streamed
    if wanted.loss == "cross_entropy":
        data, left = _counted(_labelled(data))
        came = replace(came, notes=(*came.notes, *_ignored_words(left)))
        held_out = None if held_out is None else _counted(_labelled(held_out))[0]
    prepared, preparation = wanted.prepared(data)
    problem = _POSED[wanted.loss](prepared)
    other = None if held_out is None else _as_prepared(preparation, held_out)
    steps = wanted.steps(problem.samples)
    planned = plan(problem, steps, **asked_of_plan(problem, wanted), progress=progress)
    found = found_of(problem, planned, wanted, prepared, other)
    limit = found.plan.limits[found.plan.best.sgd.momentum]
    record = dict(prepared.preparation)
    return Probe(data, came, wanted, preparation, problem, steps, limit=limit, record=record, **vars(found))


@contextmanager
def reading_targets(loss: str) -> Iterator[None]:
    """Read targets without the warnings that a softmax probe has its own answer to: -100, and whole floats."""
    with warnings.catch_warnings():
        if loss == "cross_entropy":
            warnings.simplefilter("ignore", AmbiguousTargets)
        yield


def _softmax_of(data: Dataset) -> Softmax:
    """The head of a data set: its labels, or targets whose rows are probabilities."""
    return Softmax(data.inputs, data.targets if data.labels is None else data.labels)


_POSED: dict[str, Callable[[Dataset], LeastSquares | Softmax]] = {"mse": least_squares_of, "cross_entropy": _softmax_of}


def _as_prepared(preparation: Preparation, data: Dataset) -> Dataset:
    """Held-out data as the training data were prepared."""
    return preparation.transform(data) if preparation.bias or preparation.center else data


def _labelled(data: Dataset) -> Dataset:
    """Data of classes: whole numbers in floats are labels too, where each sample has one."""
    if data.labels is not None or data.targets.shape[1] > 1:
        return data
    labels = _whole(data)
    classes = tuple(plain(label) for label in np.unique(labels))
    targets, names = one_hot(labels, classes, data.targets.dtype), tuple(map(str, classes))
    return replace(data, labels=labels, targets=targets, classes=classes, class_names=names)


def _whole(data: Dataset) -> AnyArray:
    try:
        return read_labels("targets", data.targets)
    except InvalidInput as error:
        raise InvalidInput(
            f"loss = 'cross_entropy' is of classes, and the targets of {data.name} are values, a number a sample. Give "
            f"labels, or rows of probabilities, (N, c); of values take loss='mse'."
        ) from error


def _counted(data: Dataset) -> tuple[Dataset, int]:
    """The samples that nn.CrossEntropyLoss counts, and how many it does not."""
    if data.labels is None or _IGNORED not in data.classes:
        return data, 0
    keep = data.labels != _IGNORED
    rows, column = np.flatnonzero(keep), data.classes.index(_IGNORED)
    inputs = data.inputs.taken(rows) if isinstance(data.inputs, HalfArray) else data.inputs[rows]
    left = replace(
        data,
        inputs=inputs,
        labels=data.labels[rows],
        targets=np.delete(data.targets[rows], column, axis=1),
        classes=tuple(one for one in data.classes if one != _IGNORED),
        class_names=tuple(name for k, name in enumerate(data.class_names) if k != column),
    )
    return left, len(keep) - len(rows)


def _ignored_words(count: int) -> Iterator[str]:
    if count:
        yield f"{count:,} samples with the label {_IGNORED} do not count, as in nn.CrossEntropyLoss"

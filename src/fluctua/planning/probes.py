"""How a linear probe is found: features posed as a problem, and the verbs asked about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .._half import HalfArray
from ..data import Dataset, Preparation
from ..problem.least_squares import LeastSquares
from ..problem.softmax.heads import Softmax
from . import head_probes as _heads  # noqa: F401  (says what a probe asks of them)
from .posed import least_squares_of
from .probe_nouns import asked_of_plan, found_of
from .probed import Probe, Streamed
from .recipes import plan
from .wanted import Wanted

__all__ = ["probe_on"]

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
        For a batch larger than the data, and for features and labels that no problem can be made of.
    NotConverged
        As of `plan`.
    """
    came = Streamed(0.0, data.inputs.shape[1:]) if streamed is None else streamed
    if wanted.loss == "cross_entropy" and _IGNORED in data.classes:
        data, came = _without_ignored(data, came)
    prepared, preparation = wanted.prepared(data)
    problem = _POSED[wanted.loss](prepared)
    other = None if held_out is None else _as_prepared(preparation, held_out)
    steps = wanted.steps(problem.samples)
    planned = plan(problem, steps, **asked_of_plan(problem, wanted), progress=progress)
    found = found_of(problem, planned, wanted, prepared, other)
    limit = found.plan.limits[found.plan.best.sgd.momentum]
    record = dict(prepared.preparation)
    return Probe(data, came, wanted, preparation, problem, steps, limit=limit, record=record, **vars(found))


def _softmax_of(data: Dataset) -> Softmax:
    """The head of a data set: its labels, or targets whose rows are probabilities."""
    return Softmax(data.inputs, data.targets if data.labels is None else data.labels)


_POSED: dict[str, Callable[[Dataset], LeastSquares | Softmax]] = {"mse": least_squares_of, "cross_entropy": _softmax_of}


def _as_prepared(preparation: Preparation, data: Dataset) -> Dataset:
    """Held-out data as the training data were prepared."""
    return preparation.transform(data) if preparation.bias or preparation.center else data


def _without_ignored(data: Dataset, streamed: Streamed) -> tuple[Dataset, Streamed]:
    """The samples that nn.CrossEntropyLoss counts, and a note of how many it does not."""
    assert data.labels is not None
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
    note = f"{len(keep) - len(rows):,} samples with the label {_IGNORED} do not count, as in nn.CrossEntropyLoss"
    return left, replace(streamed, notes=(*streamed.notes, note))
